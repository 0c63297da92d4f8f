import type { BlobStore } from '../blob/store.ts'
import { type ByteRange, lengthOf, MiB } from '../byte-range.ts'
import type { BlobPath } from '../path.ts'
import { BlockStager } from '../transfer/block-stager.ts'
import type { Spool } from './spool.ts'

/** The most blocks that one blob can have; Put Block List, "Remarks". */
const maxBlocks = 50_000

export interface StagedBlocksOptions {
  readonly store: BlobStore
  readonly content: Spool
  /** Every block's size but the last one's. Default 8 MiB. */
  readonly blockBytes?: number | undefined
  /** Blocks under way at once. Default 4. */
  readonly concurrency?: number | undefined
}

/**
 * Which blocks of a file's content are uploaded but not yet committed, or committed already. While
 * writes arrive in sequence, each block is uploaded as soon as it is complete; a change of a block
 * forgets its upload, and the commit uploads whatever is missing.
 */
export class StagedBlocks {
  readonly blockBytes: number
  readonly #options: StagedBlocksOptions
  readonly #ids = new Map<number, string>()
  #stager: BlockStager | undefined
  /** The latest run of writes of which each began where the one before ended. */
  #run: ByteRange = { start: 0, end: 0 }

  constructor(options: StagedBlocksOptions) {
    this.#options = options
    this.blockBytes = options.blockBytes ?? 8 * MiB
  }

  /** The largest file that fits; bytes. */
  get maxFileBytes(): number {
    return maxBlocks * this.blockBytes
  }

  /**
   * Forgets the uploads of all blocks that a change of `range` touches, the zeros between the end
   * of the content and the range included. To be called before the change is made.
   */
  changed(range: ByteRange): void {
    const start = Math.min(range.start, this.#options.content.sizeBytes)
    const first = Math.floor(start / this.blockBytes)
    const last = Math.ceil(range.end / this.blockBytes)
    if (last - first < this.#ids.size) {
      for (let index = first; index < last; index++) this.#ids.delete(index)
    } else {
      for (const index of this.#ids.keys())
        if (index >= first && index < last) this.#ids.delete(index)
    }
  }

  /** Notes a write and uploads the blocks that it completed in sequence. Waits only for room. */
  async written(range: ByteRange, path: BlobPath): Promise<void> {
    const before =
      this.#run.end === range.start ? this.#run : { start: range.start, end: range.start }
    this.#run = { start: before.start, end: range.end }
    const firstWhole = Math.ceil(before.start / this.blockBytes)
    const first = Math.max(firstWhole, Math.floor((before.end - 1) / this.blockBytes))
    // A block waits for one byte more: a file of exactly one block needs no staging.
    const end = Math.floor((range.end - 1) / this.blockBytes)
    for (let index = first; index < end; index++) await this.#stage(index, path)
  }

  /** Uploads what is missing; the ids of all blocks in order, ready to commit. */
  async complete(path: BlobPath): Promise<string[]> {
    const count = Math.ceil(this.#options.content.sizeBytes / this.blockBytes)
    for (let index = 0; index < count; index++) {
      if (!this.#ids.has(index)) await this.#stage(index, path)
    }
    await this.#stager?.drain()
    return Array.from({ length: count }, (_, index) => this.#ids.get(index) ?? '')
  }

  /** Gives all uploads up, as after a failure, a rename or a commit that used no blocks. */
  async reset(): Promise<void> {
    const stager = this.#stager
    this.#stager = undefined
    this.#ids.clear()
    this.#run = { start: 0, end: 0 }
    await stager?.abort()
  }

  async #stage(index: number, path: BlobPath): Promise<void> {
    const { store, content, concurrency } = this.#options
    this.#stager ??= new BlockStager({ store, path, concurrency })
    const start = index * this.blockBytes
    const range = { start, end: Math.min(start + this.blockBytes, content.sizeBytes) }
    this.#ids.set(index, await this.#stager.stage(() => readPadded(content, range)))
  }
}

/** As long as promised even if the content was cut meanwhile, which has the block staged again. */
async function readPadded(content: Spool, range: ByteRange): Promise<Uint8Array> {
  const bytes = await content.read(range)
  return bytes.length === lengthOf(range) ? bytes : new Uint8Array(lengthOf(range))
}
