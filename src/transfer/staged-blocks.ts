import type { BlobStore } from '../blob/store.ts'
import { type ByteRange, lengthOf, MiB } from '../byte-range.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import {
  cutAtMultiples,
  cutWhereStored,
  gapsBetween,
  maxFragments,
  minCopiedBytes,
  type PlacedBlock,
  withoutCrowds,
} from './block-layout.ts'
import { BlockStager } from './block-stager.ts'
import { isBarred } from './clear-staged-blocks.ts'
import type { FileContent } from './file-content.ts'
import type { MemoryBudget } from './memory-budget.ts'

/** The most blocks that one blob can have; Put Block List, "Remarks". */
const maxBlocks = 50_000
/** Ids shorter than this might meet another writer's. */
const minIdBytes = 6

export interface StagedBlocksOptions {
  readonly store: BlobStore
  readonly content: FileContent
  /** The largest block that is made. Default 8 MiB. */
  readonly blockBytes?: number | undefined
  /** Of the lease that is held on the blob when a block is staged. */
  readonly leaseId?: (() => string | undefined) | undefined
  /** Called before each block that a version still needs; what it throws ends `complete`. */
  readonly beforeBlock?: (() => void) | undefined
  /** Blocks under way at once. Default 4. */
  readonly concurrency?: number | undefined
  /** Counts the bytes that are on their way. Absent: nobody does. */
  readonly memory?: MemoryBudget | undefined
}

/**
 * The blocks that a file's next version is made of. What did not change keeps the blocks of the
 * version before, whatever their sizes are; what did is uploaded, and the rest of a block that is
 * taken apart is copied on the service where it can do that. While writes arrive in sequence, each
 * block is uploaded as soon as it is complete; a change forgets the uploads that it touches.
 */
export class StagedBlocks {
  readonly blockBytes: number
  readonly #options: StagedBlocksOptions
  /** Uploaded and still right, by where they begin. */
  readonly #staged = new Map<number, PlacedBlock>()
  readonly #remade = new Map<string, string>()
  #stager: BlockStager | undefined
  /** The blocks of the stored version. */
  #stored: Promise<readonly PlacedBlock[]> | undefined
  #copiesOnService = true
  /** Uploaded blocks of nothing but zeros, by their size: one stands wherever so many are. */
  readonly #zeros = new Map<number, string>()
  /** How long the ids were that blocks were last staged under. */
  #idBytes: number | undefined
  /** The latest run of writes of which each began where the one before ended. */
  #run: ByteRange = { start: 0, end: 0 }

  constructor(options: StagedBlocksOptions) {
    this.#options = options
    this.blockBytes = options.blockBytes ?? 8 * MiB
  }

  /** The etag of the version that has taken the place of that of `etag` and is equal, or `etag`. */
  currentEtag(etag: string): string {
    return this.#remade.get(etag) ?? etag
  }

  /** The largest file that fits; bytes. */
  get maxFileBytes(): number {
    return maxBlocks * this.blockBytes
  }

  /** `EFBIG` for a file that is to have more bytes than blocks can hold. */
  checkSize(sizeBytes: number, call: { readonly path: BlobPath; readonly syscall: string }): void {
    const { maxFileBytes } = this
    if (sizeBytes <= maxFileBytes) return
    const detail = `this file can grow to ${maxFileBytes} bytes; write a larger one anew`
    throw new FileSystemError('EFBIG', call.syscall, { path: formatPath(call.path), detail })
  }

  /**
   * Forgets the uploads that a change of `range` touches, the zeros between the end of the content
   * and the range included. To be called before the change is made.
   */
  changed(range: ByteRange): void {
    for (const block of this.#touchedBy(range)) this.#staged.delete(block.start)
  }

  /**
   * `ENOSPC` when a change of `range` needs the rest of a block that is uploaded and, as the disk is
   * full, not kept here. Nothing is changed then, and the file can be stored as it is.
   */
  checkChange(range: ByteRange, path: BlobPath): void {
    const { content } = this.#options
    const needed = this.#touchedBy(range).flatMap(({ start, end }) => [
      { start, end: Math.min(end, range.start) },
      { start: Math.max(start, range.end), end },
    ])
    if (!needed.some((part) => content.isSent(part))) return
    const detail =
      'the disk that buffers unsaved writes is full, and this part was uploaded already: ' +
      'free space, or close the file and open it again'
    throw new FileSystemError('ENOSPC', 'write', { path: formatPath(path), detail })
  }

  /** Runs `task`, which takes `bytes` of the content into memory and sends them, when there is room for them. */
  holding<T>(bytes: number, task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const { memory } = this.#options
    return memory === undefined ? task() : memory.run(bytes, task, signal)
  }

  /** Waits for uploads under way, which give memory back where the disk is full. */
  async settle(): Promise<void> {
    await this.#stager?.drain()
  }

  #touchedBy(range: ByteRange): PlacedBlock[] {
    const start = Math.min(range.start, this.#options.content.sizeBytes)
    return [...this.#staged.values()].filter(
      (block) => block.start < range.end && block.end > start,
    )
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
    for (let index = first; index < end; index++) {
      const start = index * this.blockBytes
      await this.#stage({ start, end: start + this.blockBytes }, path)
    }
  }

  /** Uploads what is missing; the ids of all blocks in order, ready to commit. */
  async complete(path: BlobPath): Promise<string[]> {
    const { content } = this.#options
    const stored = await this.#storedBlocks(path)
    const all = [...this.#staged.values(), ...stored.filter((block) => content.isStored(block))]
    const everything = { start: 0, end: content.sizeBytes }
    const blocks = content.isSent(everything)
      ? all
      : withoutCrowds(all, content.sizeBytes, this.blockBytes)
    for (const gap of gapsBetween(blocks, content.sizeBytes)) {
      for (const piece of this.#piecesOf(gap, blocks)) {
        this.#options.beforeBlock?.()
        blocks.push(await this.#stageOrRepeat(piece, path))
      }
    }
    await this.#stager?.drain()
    this.#checkCount(blocks.length, path)
    return blocks.sort((a, b) => a.start - b.start).map(({ id }) => id)
  }

  /** Gives all uploads up, as after a rename or a commit. */
  async reset(): Promise<void> {
    this.#staged.clear()
    await this.retreat()
  }

  /** As `reset` after a failure: what is nowhere else may still be there, and is not given up. */
  async retreat(): Promise<void> {
    const stager = this.#stager
    this.#stager = undefined
    this.#stored = undefined
    this.#zeros.clear()
    for (const [start, block] of this.#staged) {
      if (!this.#options.content.isSent(block)) this.#staged.delete(start)
    }
    this.#run = { start: 0, end: 0 }
    await stager?.abort()
  }

  #checkCount(count: number, path: BlobPath): void {
    if (count <= maxBlocks) return
    const detail = `a blob has at most ${maxBlocks} blocks, not ${count}: write the file anew`
    throw new FileSystemError('EFBIG', 'close', { path: formatPath(path), detail })
  }

  /** Cut at multiples of the block size, and where copying on the service spares sending. */
  #piecesOf(gap: ByteRange, blocks: readonly ByteRange[]): ByteRange[] {
    const { content } = this.#options
    const cells = cutAtMultiples(gap, this.blockBytes)
    const mayCut = blocks.length + cells.length * maxFragments < maxBlocks
    if (content.base === undefined || !this.#copiesOnService || !mayCut) return cells
    return cells.flatMap((cell) => {
      const pieces = cutWhereStored(content, cell)
      return pieces.length > maxFragments ? [cell] : pieces
    })
  }

  /** Zeros are sent once: a list may name a block any number of times. */
  async #stageOrRepeat(piece: ByteRange, path: BlobPath): Promise<PlacedBlock> {
    if (!this.#options.content.isZero(piece)) return this.#stage(piece, path)
    const sizeBytes = lengthOf(piece)
    let id = this.#zeros.get(sizeBytes)
    if (id === undefined) {
      const stager = await this.#stagerFor(path)
      id = await stager.run((blockId, signal) =>
        this.#send(() => new Uint8Array(sizeBytes), sizeBytes, { path, blockId, signal }),
      )
      this.#zeros.set(sizeBytes, id)
    }
    return { ...piece, id }
  }

  async #stage(piece: ByteRange, path: BlobPath): Promise<PlacedBlock> {
    const stager = await this.#stagerFor(path)
    const id = await stager.run((blockId, signal) => this.#upload(piece, { path, blockId, signal }))
    const block = { ...piece, id }
    this.#staged.set(piece.start, block)
    return block
  }

  async #stagerFor(path: BlobPath): Promise<BlockStager> {
    const { store, concurrency } = this.#options
    const idBytes = this.#stager === undefined ? await this.#chooseIdBytes(path) : undefined
    this.#stager ??= new BlockStager({
      store,
      path,
      concurrency,
      idBytes,
      leaseId: this.#options.leaseId?.(),
      // A version that is still read from has to stay.
      clears: this.#options.content.base === undefined && this.#staged.size === 0,
      onRemade: ({ from, to }) => this.#remade.set(from, to),
    })
    return this.#stager
  }

  async #upload(piece: ByteRange, target: UploadTarget): Promise<void> {
    const { content } = this.#options
    if (await this.#copy(piece, target)) return
    await this.#send(() => readPadded(content, piece), lengthOf(piece), target)
    if (this.#staged.get(piece.start)?.id === target.blockId) content.noteStaged(piece)
  }

  async #send(
    read: () => Uint8Array | Promise<Uint8Array>,
    sizeBytes: number,
    { path, blockId, signal }: UploadTarget,
  ): Promise<void> {
    const stage = async (): Promise<void> => {
      const data = await read()
      const leaseId = this.#options.leaseId?.()
      await this.#options.store.stageBlock(path, blockId, data, { signal, leaseId })
    }
    await this.holding(sizeBytes, stage, signal)
  }

  /** Has the service make the block of the stored version; says whether it could. */
  async #copy(range: ByteRange, { path, blockId, signal }: UploadTarget): Promise<boolean> {
    const { store, content } = this.#options
    const { base } = content
    const worthIt = lengthOf(range) >= minCopiedBytes && content.isStored(range)
    if (base === undefined || !this.#copiesOnService || !worthIt) return false
    const source = { path: base.path, range, ifMatch: base.etag }
    try {
      const leaseId = this.#options.leaseId?.()
      await store.stageBlockFrom(path, blockId, source, { signal, leaseId })
      return true
    } catch (error) {
      if (isFileSystemError(error, 'ENOENT')) throw goneVersion(base.path, error)
      const isBeyondReach = isFileSystemError(error, 'ENOTSUP', 'EINVAL', 'EACCES')
      if (!isBeyondReach || isBarred(error)) throw error
      this.#copiesOnService = false
      return false
    }
  }

  /** Ids in one list have one length, and so have those of blocks that were staged and given up. */
  async #chooseIdBytes(path: BlobPath): Promise<number | undefined> {
    const [first] = await this.#storedBlocks(path)
    if (first !== undefined) this.#idBytes = idBytesOf(first)
    return this.#idBytes
  }

  #storedBlocks(path: BlobPath): Promise<readonly PlacedBlock[]> {
    this.#stored ??= this.#askStoredBlocks(path)
    return this.#stored
  }

  /** None of another blob, and none where the version is small enough to have been stored by one request. */
  async #askStoredBlocks(path: BlobPath): Promise<readonly PlacedBlock[]> {
    const { base } = this.#options.content
    if (base === undefined || base.sizeBytes <= this.blockBytes) return []
    if (base.path.name !== path.name) return []
    const { store } = this.#options
    const { etag, blocks } = await store.getBlocks(base.path).catch((error: unknown) => {
      throw isFileSystemError(error, 'ENOENT') ? goneVersion(base.path, error) : error
    })
    if (etag !== base.etag) throw goneVersion(base.path, undefined)
    let start = 0
    const placed = blocks.map(({ id, sizeBytes }) => {
      const block = { id, start, end: start + sizeBytes }
      start = block.end
      return block
    })
    return placed.every((block) => idBytesOf(block) >= minIdBytes) ? placed : []
  }
}

/** Others have replaced or removed the version that a file began with. */
function goneVersion(path: BlobPath, cause: unknown): FileSystemError {
  const detail = 'the version that was opened is gone: open the file again'
  return new FileSystemError('ESTALE', 'write', { path: formatPath(path), detail, cause })
}

interface UploadTarget {
  readonly path: BlobPath
  readonly blockId: string
  readonly signal: AbortSignal
}

function idBytesOf({ id }: PlacedBlock): number {
  return Buffer.from(id, 'base64').length
}

/** As long as promised even if the content was cut meanwhile, which has the block staged again. */
async function readPadded(content: FileContent, range: ByteRange): Promise<Uint8Array> {
  const bytes = await content.read(range, 'once')
  return bytes.length === lengthOf(range) ? bytes : new Uint8Array(lengthOf(range))
}
