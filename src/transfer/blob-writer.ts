import type { BlobProperties, BlobStore, Conditions, Metadata } from '../blob/store.ts'
import { maxBlobPutBytes, maxBlocks } from '../blob/validate.ts'
import { MiB } from '../byte-range.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { BlockBuffer } from './block-buffer.ts'
import { baseBlockBytes, blockBytesAt, maxBlobBytes } from './block-size.ts'
import { BlockStager } from './block-stager.ts'

// Bytes go this way:
// 1. `write` copies into the tail, the block that is filling. A full tail is handed to the stager,
//    which uploads several at a time; `write` waits while that many are under way.
// 2. `commit` of a blob that never left the tail is one Put Blob. Otherwise the tail is staged as
//    a short last block and Put Block List makes the blob, at once.
// 3. After a commit the tail stays, and goes on filling: the next commit sends it again in place of
//    its shorter self, so that many small commits do not cost a block each.

export interface BlobWriterOptions {
  readonly store: BlobStore
  readonly path: BlobPath
  /** What must hold of the blob at the first commit; later ones carry our own last etag. */
  readonly conditions?: Conditions | undefined
  readonly metadata?: Metadata | undefined
  readonly contentType?: string | undefined
  /** The size of blocks to begin with; they grow with the blob. Default 8 MiB. */
  readonly blockBytes?: number | undefined
  /** Blocks under way at once. Default 4; fewer when blocks are large. */
  readonly concurrency?: number | undefined
  /** The size that is expected, when known: chooses blocks that reach it. */
  readonly expectedBytes?: number | undefined
}

export interface CommitOptions {
  /** Replaces the metadata that the blob gets, from this commit on. */
  readonly metadata?: Metadata | undefined
}

/** What blocks under way may hold together, where several of them would exceed it. */
const maxStagingBytes = 256 * MiB

/** Writes one blob from its beginning to its end; visible at `commit`, all at once, or never. */
export class BlobWriter {
  readonly path: BlobPath
  readonly #store: BlobStore
  readonly #stager: BlockStager
  readonly #contentType: string | undefined
  readonly #baseBytes: number
  readonly #concurrency: number
  readonly #blockIds: string[] = []
  readonly #cancel = new AbortController()
  readonly #free: BlockBuffer[] = []
  #conditions: Conditions
  #metadata: Metadata | undefined
  #tail = new BlockBuffer()
  /** Bytes in the blocks before the tail. */
  #stagedBytes = 0
  #inFlightBytes = 0
  #committed: BlobProperties | undefined
  #dirty = true
  #aborted = false

  constructor(options: BlobWriterOptions) {
    this.path = options.path
    this.#store = options.store
    this.#concurrency = options.concurrency ?? 4
    this.#stager = new BlockStager({ ...options, concurrency: this.#concurrency })
    this.#conditions = options.conditions ?? {}
    this.#metadata = options.metadata
    this.#contentType = options.contentType
    this.#baseBytes = baseBlockBytes(options.blockBytes ?? 8 * MiB, options.expectedBytes)
  }

  /** Bytes written up to here. */
  get sizeBytes(): number {
    return this.#stagedBytes + this.#tail.length
  }

  /** Whether `commit` would change the blob: something was written, or nothing committed yet. */
  get dirty(): boolean {
    return this.#dirty
  }

  /**
   * Appends a copy of `data`; resolves when there is room for more. One call at a time. Rejects
   * with what made an earlier block fail; `EFBIG` beyond what a blob may hold.
   */
  async write(data: Uint8Array): Promise<void> {
    this.#checkOpen('write')
    if (this.sizeBytes + data.byteLength > maxBlobBytes) throw this.#tooLarge()
    for (let at = 0; at < data.byteLength; ) {
      const capacity = this.#tailCapacity()
      if (this.#tail.length >= capacity) await this.#stageTail()
      else at += this.#tail.append(at === 0 ? data : data.subarray(at), capacity)
      this.#dirty = true
    }
  }

  /**
   * Makes all that was written the blob and returns what the service says of it; without a request
   * when nothing changed. `ESTALE` or `EEXIST` when somebody else wrote it meanwhile. What failed
   * for a passing reason may be committed again.
   */
  async commit(options: CommitOptions = {}): Promise<BlobProperties> {
    this.#checkOpen('commit')
    if (!this.#dirty && options.metadata === undefined && this.#committed !== undefined) {
      return this.#committed
    }
    this.#metadata = options.metadata ?? this.#metadata
    const small = this.#blockIds.length === 0 && this.#tail.length <= maxBlobPutBytes
    const committed = small ? await this.#commitWhole() : await this.#commitBlocks()
    this.#conditions = { ifMatch: committed.etag }
    this.#committed = committed
    this.#dirty = false
    return committed
  }

  /** Gives up what is not committed. Never throws. */
  async abort(): Promise<void> {
    this.#aborted = true
    this.#cancel.abort()
    await this.#stager.abort()
  }

  /** Aborts, unless everything written is committed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#dirty) await this.abort()
  }

  /** The first block ends at the base size; it is what one Put Blob can carry. */
  #tailCapacity(): number {
    return blockBytesAt(this.#stagedBytes, this.#baseBytes)
  }

  /** Hands the full tail over and goes on with a free buffer. */
  async #stageTail(): Promise<void> {
    // The last id is for the commit's short block.
    if (this.#blockIds.length >= maxBlocks - 1) throw this.#tooLarge()
    const full = this.#tail
    await this.#makeRoom(full.length)
    this.#inFlightBytes += full.length
    const size = full.length
    const id = await this.#stager.stage(full.bytes, () => {
      this.#inFlightBytes -= size
      this.#free.push(full.reset())
    })
    this.#blockIds.push(id)
    this.#stagedBytes += size
    this.#tail = this.#free.pop() ?? new BlockBuffer()
  }

  async #makeRoom(bytes: number): Promise<void> {
    const crowded = this.#inFlightBytes > 0 && this.#inFlightBytes + bytes > maxStagingBytes
    if (crowded) await this.#stager.drain()
  }

  async #commitWhole(): Promise<BlobProperties> {
    return this.#guard(() => this.#store.put(this.path, this.#tail.bytes, this.#options()))
  }

  async #commitBlocks(): Promise<BlobProperties> {
    const ids = [...this.#blockIds]
    if (this.#tail.length > 0) ids.push(await this.#stager.stage(this.#tail.bytes))
    await this.#stager.drain()
    return this.#guard(() => this.#store.commitBlocks(this.path, ids, this.#options()))
  }

  #options() {
    return {
      ...this.#conditions,
      metadata: this.#metadata,
      contentType: this.#contentType,
      signal: this.#cancel.signal,
    }
  }

  /**
   * A commit by another writer drops the blocks that we staged, and Azure then names the list
   * invalid before it looks at the conditions: where the blob was not to exist, it does now.
   */
  async #guard(commit: () => Promise<BlobProperties>): Promise<BlobProperties> {
    try {
      const metadata = this.#metadata ?? {}
      return { ...(await commit()), sizeBytes: this.sizeBytes, metadata }
    } catch (error) {
      const lost = isFileSystemError(error) && error.serviceCode === 'InvalidBlockList'
      if (!lost || this.#conditions.ifNoneMatch === undefined) throw error
      throw this.#lostRace(error)
    }
  }

  #lostRace(cause: unknown): FileSystemError {
    const detail = 'another writer created this blob meanwhile'
    return new FileSystemError('EEXIST', 'commit', { path: formatPath(this.path), detail, cause })
  }

  #checkOpen(syscall: string): void {
    this.#stager.throwIfFailed()
    if (!this.#aborted) return
    const detail = 'the writer was aborted'
    throw new FileSystemError('EBADF', syscall, { path: formatPath(this.path), detail })
  }

  #tooLarge(): FileSystemError {
    const detail =
      'more blocks than a blob may have; give the expected size when opening it for writing'
    return new FileSystemError('EFBIG', 'write', { path: formatPath(this.path), detail })
  }
}
