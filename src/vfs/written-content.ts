import type { ByteRange } from '../byte-range.ts'
import type { Entry } from '../namespace/entry.ts'
import type { BlobPath } from '../path.ts'
import { type BaseVersion, FileContent } from '../transfer/file-content.ts'
import { StagedBlocks } from '../transfer/staged-blocks.ts'
import type { FileMutex } from './file-mutex.ts'
import type { Allocation } from './operations.ts'
import type { WritableFileContext } from './writable-file-options.ts'

/** The bytes of a file that is being written, and the blocks that are made of them. */
export interface ContentAndBlocks {
  readonly content: FileContent
  readonly blocks: StagedBlocks
}

/** Holds the content of an open file from the first change of it until nobody needs it. */
export class WrittenContent {
  readonly #context: WritableFileContext
  readonly #leaseId: () => string | undefined
  readonly #mutex: FileMutex
  #held: ContentAndBlocks | undefined

  /** `leaseId` is that of a lease which is held on the blob. */
  constructor(context: WritableFileContext, mutex: FileMutex, leaseId: () => string | undefined) {
    this.#context = context
    this.#mutex = mutex
    this.#leaseId = leaseId
  }

  get held(): ContentAndBlocks | undefined {
    return this.#held
  }

  get isSent(): boolean {
    const { content } = this.#held ?? {}
    return content?.isSent({ start: 0, end: content.sizeBytes }) === true
  }

  /** Holds the content of `base`, or none. */
  begin(base: BaseVersion | undefined): ContentAndBlocks {
    const { spool, namespace, chunkCache, blockBytes, memory } = this.#context
    const { store } = namespace
    const content = new FileContent({ store, chunkCache, spool, base })
    const leaseId = this.#leaseId
    const beforeBlock = (): void => this.#mutex.stopIfWanted()
    const blocks = new StagedBlocks({ store, content, blockBytes, leaseId, memory, beforeBlock })
    this.#held = { content, blocks }
    return this.#held
  }

  /** The content is as it was, but of another version now. */
  rebase(path: BlobPath, { etag, sizeBytes }: Entry): void {
    if (etag !== undefined) this.#held?.content.rebase({ path, etag, sizeBytes })
  }

  /** Gives uploads up: they were for another name or version. */
  async forgetBlocks(): Promise<void> {
    await this.#held?.blocks.reset()
  }

  /** Gives memory, disk and uploads back. */
  async release(): Promise<void> {
    const held = this.#held
    this.#held = undefined
    await held?.blocks.reset()
    await held?.content.close()
  }

  /** As `FileOperations.seek`. */
  seek(offset: number, what: 'data' | 'hole'): number | undefined {
    const content = this.#held?.content
    if (content === undefined || offset >= content.sizeBytes) return undefined
    const data = content.nextData(offset)
    if (what === 'data') return data?.start
    return data === undefined || data.start > offset ? offset : endOfData(content, data.end)
  }
}

function endOfData(content: FileContent, end: number): number {
  const next = content.nextData(end)
  return next?.start === end ? endOfData(content, next.end) : end
}

/** A change of content: refused by `check`, where it cannot be made, before anything is changed. */
export interface Edit<T> {
  check(held: ContentAndBlocks, path: BlobPath): void
  /** `path` is where blocks are uploaded: absent for a file that has lost its name. */
  run(held: ContentAndBlocks, path: BlobPath | undefined): Promise<T>
}

/** Takes `data` at `offsetBytes`, or at the end; the number of bytes taken. */
export function writing(offsetBytes: number | 'end', data: Uint8Array): Edit<number> {
  const rangeIn = ({ content }: ContentAndBlocks): ByteRange => {
    const start = offsetBytes === 'end' ? content.sizeBytes : offsetBytes
    return { start, end: start + data.length }
  }
  return {
    check: (held, path) => checkChange(held, rangeIn(held), path),
    async run(held, path) {
      const { content, blocks } = held
      const range = rangeIn(held)
      blocks.changed(range)
      if (!content.hasRoomFor(data.length)) await blocks.settle()
      await content.write(range.start, data)
      if (path !== undefined) await blocks.written(range, path)
      return data.length
    },
  }
}

/** Cuts the content at `sizeBytes`, or adds zeros up to there. */
export function truncating(sizeBytes: number): Edit<void> {
  const rangeIn = ({ content }: ContentAndBlocks): ByteRange => ({
    start: sizeBytes,
    end: Math.max(sizeBytes, content.sizeBytes),
  })
  return {
    check(held, path) {
      held.blocks.checkSize(sizeBytes, { path, syscall: 'write' })
      held.blocks.checkChange(rangeIn(held), path)
    },
    async run(held) {
      held.blocks.changed(rangeIn(held))
      held.content.truncate(sizeBytes)
    },
  }
}

/** Makes zeros of a range, or room after the end. */
export function allocating({ range, zero, keepSize }: Allocation): Edit<void> {
  return {
    check(held, path) {
      if (keepSize) held.blocks.checkChange(range, path)
      else checkChange(held, range, path)
    },
    async run({ content, blocks }) {
      blocks.changed(range)
      if (!keepSize && range.end > content.sizeBytes) content.truncate(range.end)
      if (zero) content.zero(range)
    },
  }
}

function checkChange({ blocks }: ContentAndBlocks, range: ByteRange, path: BlobPath): void {
  blocks.checkSize(range.end, { path, syscall: 'write' })
  blocks.checkChange(range, path)
}
