import type { StagedBlob } from '../blob/staged-blob.ts'
import type { BlobProperties, BlobStore, Conditions, Metadata, PutOptions } from '../blob/store.ts'
import { maxBlobPutBytes, maxBlocks } from '../blob/validate.ts'
import { MiB } from '../byte-range.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { BlockBuffer } from './block-buffer.ts'
import { baseBlockBytes, blockBytesAt, maxBlobBytes } from './block-size.ts'
import { BlockStager } from './block-stager.ts'
import { type Claim, MemoryBudget } from './memory-budget.ts'

// Bytes go this way:
// 1. `write` copies into the tail, the block that is filling. A full tail is handed to the stager,
//    which uploads several at a time; `write` waits while that many are under way.
// 2. `commit` of a blob that never left the tail is one Put Blob. Otherwise the tail is staged as
//    a short last block and Put Block List makes the blob, at once.
// 3. After a commit the tail stays, and goes on filling: the next commit sends it again in place of
//    its shorter self, so that many small commits do not cost a block each.
// 4. All memory is claimed from the budget. A tail that waits for its writer is lent: when others wait
//    for memory it becomes a short block, so a writer that waits holds none.

export interface BlobWriterOptions {
  readonly store: BlobStore
  readonly path: BlobPath
  /** What must hold of the blob at the first commit; later ones carry our own last etag. */
  readonly conditions?: Conditions | undefined
  readonly metadata?: Metadata | undefined
  readonly contentType?: string | undefined
  /** What else the blob gets beside its bytes. */
  readonly kept?: Pick<PutOptions, 'headers' | 'tier' | 'tags'> | undefined
  /** The size of blocks to begin with; they grow with the blob. Default 8 MiB. */
  readonly blockBytes?: number | undefined
  /** Blocks under way at once. Default 4; fewer when memory is short. */
  readonly concurrency?: number | undefined
  /** The memory that it shares with other transfers; absent: 256 MiB of its own. */
  readonly memory?: MemoryBudget | undefined
  /** The size that is expected, when known: chooses blocks that reach it. */
  readonly expectedBytes?: number | undefined
  /** Blocks that the blob has or that were staged, which stay before what is written. */
  readonly continues?:
    | {
        readonly blockIds: readonly string[]
        readonly sizeBytes: number
        /** Whether some are staged and not committed, so that they may not be cleared away. */
        readonly hasStaged?: boolean | undefined
        /** How long the ids are; absent: as those that are made here. */
        readonly idBytes?: number | undefined
      }
    | undefined
}

export interface CommitOptions {
  /** Replaces the metadata that the blob gets, from this commit on. */
  readonly metadata?: Metadata | undefined
}

/** Blocks cut short for others' sake; beyond this a blob would run out of blocks for its own bytes. */
const maxShortBlocks = 5000

/** Memory for a block, and the claim that it stands under. */
interface Block {
  readonly buffer: BlockBuffer
  claim: Claim | undefined
}

/** Writes one blob from its beginning to its end; visible at `commit`, all at once, or never. */
export class BlobWriter {
  readonly path: BlobPath
  readonly #store: BlobStore
  readonly #stager: BlockStager
  readonly #contentType: string | undefined
  readonly #kept: BlobWriterOptions['kept']
  readonly #baseBytes: number
  readonly #memory: MemoryBudget
  readonly #stopLending: () => void
  readonly #blockIds: string[] = []
  readonly #cancel = new AbortController()
  /** At most one: the next tail is usually wanted when a block is done. */
  readonly #free: Block[] = []
  #conditions: Conditions
  #metadata: Metadata | undefined
  #tail: Block = emptyBlock()
  /** Bytes in the blocks before the tail. */
  #stagedBytes = 0
  #shortBlocks = 0
  /** Writes and commits at work, and what is given back now is its own matter. */
  #busy = 0
  /** Staging for others' sake that is under way. */
  #givingBack: Promise<void> = Promise.resolve()
  #committed: BlobProperties | undefined
  #dirty = true
  #aborted = false

  constructor(options: BlobWriterOptions) {
    this.path = options.path
    this.#store = options.store
    this.#memory = options.memory ?? new MemoryBudget()
    this.#stopLending = this.#memory.lend(() => this.#giveBack())
    const { continues } = options
    const idBytes = continues?.idBytes
    const { leaseId } = options.conditions ?? {}
    this.#stager = new BlockStager({
      ...options,
      concurrency: options.concurrency ?? 4,
      idBytes,
      leaseId,
      clears: continues?.hasStaged !== true,
      onRemade: ({ from, to }) => {
        if (this.#conditions.ifMatch === from)
          this.#conditions = { ...this.#conditions, ifMatch: to }
      },
    })
    this.#blockIds.push(...(continues?.blockIds ?? []))
    this.#stagedBytes = continues?.sizeBytes ?? 0
    this.#conditions = options.conditions ?? {}
    this.#metadata = options.metadata
    this.#contentType = options.contentType
    this.#kept = options.kept
    this.#baseBytes = baseBlockBytes(options.blockBytes ?? 8 * MiB, options.expectedBytes)
  }

  /** Bytes written up to here. */
  get sizeBytes(): number {
    return this.#stagedBytes + this.#tail.buffer.length
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
    await this.#work(async () => {
      for (let at = 0; at < data.byteLength; ) {
        at += await this.#append(at === 0 ? data : data.subarray(at))
        this.#dirty = true
      }
    })
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
    const committed = await this.#work(() => {
      const small = this.#blockIds.length === 0 && this.#tail.buffer.length <= maxBlobPutBytes
      return small ? this.#commitWhole() : this.#commitBlocks()
    })
    this.#conditions = { ifMatch: committed.etag }
    this.#committed = committed
    this.#dirty = false
    return committed
  }

  /**
   * Stages what is not staged yet, so that `commit` only has to name blocks, and whoever has the answer can do that
   * for a week. Nothing is to be written afterwards.
   */
  async prepare(): Promise<StagedBlob> {
    this.#checkOpen('commit')
    return this.#work(async () => {
      if (this.#tail.buffer.length > 0) await this.#stageTail()
      await this.#stager.drain()
      const blockIds = [...this.#blockIds]
      const { path, sizeBytes } = this
      const { ifMatch, ifNoneMatch } = this.#conditions
      const described = { ...this.#kept, metadata: this.#metadata, contentType: this.#contentType }
      const crc64 = this.#stager.crc64Of(blockIds)
      return { ...described, path, blockIds, sizeBytes, crc64, ifMatch, ifNoneMatch }
    })
  }

  /**
   * Resolves when all blocks that are full have come to the service; what does not fill one waits on. Nothing becomes
   * visible. Rejects with what made a block fail.
   */
  async flush(): Promise<void> {
    this.#checkOpen('flush')
    await this.#work(async () => {
      if (this.#tail.buffer.length >= this.#tailCapacity()) await this.#stageTail()
      await this.#stager.drain()
    })
  }

  /** Gives up what is not committed. Never throws. */
  async abort(): Promise<void> {
    this.#aborted = true
    this.#cancel.abort()
    await this.#stager.abort()
    this.#letGo()
  }

  /** Aborts, unless everything written is committed; gives the memory back. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#dirty) await this.abort()
    this.#letGo()
  }

  /** Nothing is written or committed any more. */
  #letGo(): void {
    this.#aborted = true
    this.#stopLending()
    for (const block of [this.#tail, ...this.#free.splice(0)]) block.claim?.release()
    this.#tail = emptyBlock()
  }

  async #work<T>(task: () => Promise<T>): Promise<T> {
    this.#busy += 1
    try {
      await this.#givingBack
      return await task()
    } finally {
      this.#busy -= 1
    }
  }

  /** Others wait for memory: what lies idle goes, the tail as a short block. */
  #giveBack(): number {
    let given = 0
    for (const block of this.#free.splice(0)) {
      given += block.claim?.bytes ?? 0
      block.claim?.release()
    }
    const isIdle = this.#busy === 0 && !this.#aborted && this.#tail.buffer.length > 0
    if (!isIdle || this.#shortBlocks >= maxShortBlocks) return given
    given += this.#tail.claim?.bytes ?? 0
    this.#givingBack = this.#work(() => this.#stageTail()).catch(() => undefined)
    return given
  }

  /** Takes the next bytes of `data` into the tail and returns how many. */
  async #append(data: Uint8Array): Promise<number> {
    const capacity = this.#tailCapacity()
    if (this.#tail.buffer.length >= capacity) {
      await this.#stageTail()
      return 0
    }
    const { buffer } = this.#tail
    const length = Math.min(buffer.length + data.byteLength, capacity)
    if (buffer.memoryFor(length, capacity) > buffer.memoryBytes) {
      if (!(await this.#claimTail(length, capacity))) return 0
    }
    return buffer.append(data, capacity)
  }

  /** Who waits for memory must hold none: a tail that cannot grow at once becomes a short block. */
  async #claimTail(length: number, capacity: number): Promise<boolean> {
    const { buffer, claim } = this.#tail
    // Only the first block of a blob may stay small.
    const wanted = this.#blockIds.length > 0 ? capacity : buffer.memoryFor(length, capacity)
    if (claim?.tryGrow(wanted) !== true) {
      if (buffer.length > 0) {
        await this.#stageTail()
        return false
      }
      claim?.release()
      this.#tail = emptyBlock()
      this.#tail.claim = await this.#memory.claim(wanted, this.#cancel.signal)
    }
    if (this.#blockIds.length > 0) this.#tail.buffer.reserve(capacity)
    return this.#tail.buffer === buffer
  }

  /** The first block ends at the base size; it is what one Put Blob can carry. */
  #tailCapacity(): number {
    return blockBytesAt(this.#stagedBytes, this.#baseBytes)
  }

  /** Hands the tail over and goes on with a free one. */
  async #stageTail(): Promise<void> {
    // The last id is for the commit's short block.
    if (this.#blockIds.length >= maxBlocks - 1) throw this.#tooLarge()
    const full = this.#tail
    const size = full.buffer.length
    if (size < this.#tailCapacity()) this.#shortBlocks += 1
    this.#tail = this.#free.pop() ?? emptyBlock()
    this.#stagedBytes += size
    this.#blockIds.push(await this.#stager.stage(full.buffer.bytes, () => this.#reuse(full)))
  }

  #reuse(block: Block): void {
    block.buffer.reset()
    const isWanted = this.#free.length === 0 && this.#memory.waiting === 0 && !this.#aborted
    if (isWanted) this.#free.push(block)
    else block.claim?.release()
  }

  async #commitWhole(): Promise<BlobProperties> {
    return this.#guard(() => this.#store.put(this.path, this.#tail.buffer.bytes, this.#options()))
  }

  async #commitBlocks(): Promise<BlobProperties> {
    const ids = [...this.#blockIds]
    const { buffer } = this.#tail
    if (buffer.length > 0) ids.push(await this.#stager.stage(buffer.bytes))
    await this.#stager.drain()
    const { sizeBytes } = this
    const options = { ...this.#options(), sizeBytes, crc64: this.#stager.crc64Of(ids) }
    return this.#guard(() => this.#store.commitBlocks(this.path, ids, options))
  }

  #options() {
    return {
      ...this.#kept,
      ...this.#conditions,
      metadata: this.#metadata,
      contentType: this.#contentType,
      signal: this.#cancel.signal,
    }
  }

  /**
   * A commit by another writer drops the blocks that we staged, and Azure then names the list
   * invalid before it looks at the conditions: where the blob was not to exist, it may now.
   */
  async #guard(commit: () => Promise<BlobProperties>): Promise<BlobProperties> {
    try {
      const metadata = this.#metadata ?? {}
      return { ...(await commit()), sizeBytes: this.sizeBytes, metadata }
    } catch (error) {
      const lost = isFileSystemError(error) && error.serviceCode === 'InvalidBlockList'
      if (!lost || this.#conditions.ifNoneMatch === undefined) throw error
      if (!(await this.#exists())) throw error
      throw this.#lostRace(error)
    }
  }

  /** Writers that clear away staged blocks make no blob that stays. */
  async #exists(): Promise<boolean> {
    try {
      await this.#store.head(this.path, { signal: this.#cancel.signal })
      return true
    } catch (error) {
      if (isFileSystemError(error, 'ENOENT')) return false
      throw error
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

function emptyBlock(): Block {
  return { buffer: new BlockBuffer(), claim: undefined }
}
