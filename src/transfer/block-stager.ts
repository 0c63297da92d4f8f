import { randomBytes } from 'node:crypto'
import type { BlobStore } from '../blob/store.ts'
import { Limiter } from '../concurrency.ts'
import { type Crc64, type Crc64Part, composeCrc64, crc64Aside } from '../crc64.ts'
import type { FileSystemError } from '../errors.ts'
import type { BlobPath } from '../path.ts'
import { barred, clearStagedBlocks, isBarred, type Remade } from './clear-staged-blocks.ts'

export interface BlockStagerOptions {
  readonly store: BlobStore
  readonly path: BlobPath
  /** Blocks under way at once. Default 4. */
  readonly concurrency?: number | undefined
  /** How long ids are, which must be as long as those that they are committed with; at least 6. Default 16. */
  readonly idBytes?: number | undefined
  /** Of the lease that the caller holds on the blob. */
  readonly leaseId?: string | undefined
  /**
   * Whether the blob may be cleared of staged blocks that are in the way: default true. Not where blocks are to
   * be committed that were staged elsewhere.
   */
  readonly clears?: boolean | undefined
  /** Told when clearing has put an equal version in the place of the one that was there. */
  readonly onRemade?: ((remade: Remade) => void) | undefined
}

/** A block's bytes, or what produces them when its turn comes. Not to be changed until settled. */
export type BlockSource = Uint8Array | (() => Promise<Uint8Array>)

/** The number of a block, at the end of its id. */
const counterBytes = 3

/**
 * Uploads blocks of one blob, several at a time. Nothing becomes visible: the ids are for
 * `commitBlocks`. The first failure is kept: every later `stage` and `drain` rejects with it.
 */
export class BlockStager {
  readonly #store: BlobStore
  readonly #path: BlobPath
  readonly #limiter: Limiter
  /** Random bytes at the head of each id: two writers of one blob never name the same block. */
  readonly #session: Buffer
  readonly #cancel = new AbortController()
  readonly #running = new Set<Promise<void>>()
  readonly #failures: unknown[] = []
  readonly #leaseId: string | undefined
  readonly #sums = new Map<string, Crc64Part>()
  readonly #clears: boolean
  readonly #onRemade: BlockStagerOptions['onRemade']
  /** First attempts under way. */
  readonly #attempts = new Set<Promise<void>>()
  #landed = 0
  /** Once a block was refused for those that are there: settles when they are gone. */
  #cleared: Promise<void> | undefined
  #count = 0

  constructor(options: BlockStagerOptions) {
    this.#store = options.store
    this.#path = options.path
    this.#leaseId = options.leaseId
    this.#clears = options.clears ?? true
    this.#onRemade = options.onRemade
    this.#limiter = new Limiter(options.concurrency ?? 4)
    this.#session = randomBytes((options.idBytes ?? 16) - counterBytes)
  }

  /** Blocks that were handed over up to here. */
  get blockCount(): number {
    return this.#count
  }

  /**
   * Starts the upload of a block when there is room for it and resolves to its id, while the upload
   * goes on; `onSettled` runs when the bytes are no longer needed.
   */
  stage(source: BlockSource, onSettled?: () => void): Promise<string> {
    return this.run((id) => this.#upload(id, source), onSettled)
  }

  /** As `stage`, for a block that `upload` brings to the service under the id that it is given. */
  async run(
    upload: (id: string, signal: AbortSignal) => Promise<void>,
    onSettled?: () => void,
  ): Promise<string> {
    const id = this.#nextId()
    const release = await this.#limiter.acquire(this.#cancel.signal).catch((error: unknown) => {
      onSettled?.()
      throw error
    })
    const work = this.#land(() => upload(id, this.#cancel.signal))
      .catch((error: unknown) => void this.#failures.push(error))
      .finally(() => {
        release()
        this.#running.delete(work)
        onSettled?.()
      })
    this.#running.add(work)
    this.throwIfFailed()
    return id
  }

  /** Resolves when all blocks are staged. */
  async drain(): Promise<void> {
    await Promise.all(this.#running)
    this.throwIfFailed()
  }

  /** Cancels what is under way and resolves when it has ended. Never throws. */
  async abort(): Promise<void> {
    this.#cancel.abort()
    await Promise.all(this.#running)
  }

  /** Runs an upload; once more when staged blocks were in its way and could be cleared. */
  async #land(upload: () => Promise<void>): Promise<void> {
    const mayClear = this.#cleared === undefined
    if (!mayClear) await this.#cleared
    try {
      await this.#attempt(upload)
    } catch (error) {
      if (!isBarred(error)) throw error
      if (!mayClear) throw barred(this.#path, error)
      this.#cleared ??= this.#clear(error)
      await this.#cleared
      await this.#attempt(upload)
    }
  }

  async #attempt(upload: () => Promise<void>): Promise<void> {
    const attempt = upload().then(() => void this.#landed++)
    this.#attempts.add(attempt)
    await attempt.finally(() => this.#attempts.delete(attempt))
  }

  /** Clearing takes all blocks: not while one of our own lies there, whose bytes are gone here. */
  async #clear(cause: FileSystemError): Promise<void> {
    await Promise.allSettled(this.#attempts)
    if (this.#landed > 0 || !this.#clears) throw barred(this.#path, cause)
    const { signal } = this.#cancel
    const options = { leaseId: this.#leaseId, signal }
    const remade = await clearStagedBlocks(this.#store, this.#path, options)
    if (remade !== undefined) this.#onRemade?.(remade)
  }

  async #upload(id: string, source: BlockSource): Promise<void> {
    const data = typeof source === 'function' ? await source() : source
    const { signal } = this.#cancel
    const isSummed = this.#store.integrity === 'crc64'
    const crc64 = isSummed ? await crc64Aside(data) : undefined
    if (crc64 !== undefined) this.#sums.set(id, { crc64, bytes: data.byteLength })
    await this.#store.stageBlock(this.#path, id, data, {
      signal,
      crc64,
      leaseId: this.#leaseId,
    })
  }

  /** The CRC of the blocks `ids`, one behind the other; `undefined` unless all were summed here. */
  crc64Of(ids: readonly string[]): Crc64 | undefined {
    return composeCrc64(ids.map((id) => this.#sums.get(id)))
  }

  /** Throws the first failure, if there was one. */
  throwIfFailed(): void {
    if (this.#failures.length > 0) throw this.#failures[0]
  }

  /** Base64 of the session's bytes and a big-endian counter: all ids have one length. */
  #nextId(): string {
    const id = Buffer.alloc(this.#session.length + counterBytes)
    this.#session.copy(id)
    id.writeUIntBE(this.#count++, this.#session.length, counterBytes)
    return id.toString('base64')
  }
}
