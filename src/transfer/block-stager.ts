import { randomBytes } from 'node:crypto'
import type { BlobStore } from '../blob/store.ts'
import { Limiter } from '../concurrency.ts'
import type { BlobPath } from '../path.ts'

export interface BlockStagerOptions {
  readonly store: BlobStore
  readonly path: BlobPath
  /** Blocks under way at once. Default 4. */
  readonly concurrency?: number | undefined
}

/** A block's bytes, or what produces them when its turn comes. Not to be changed until settled. */
export type BlockSource = Uint8Array | (() => Promise<Uint8Array>)

/** Random bytes at the head of each id: two writers of one blob never name the same block. */
const sessionBytes = 12

/**
 * Uploads blocks of one blob, several at a time. Nothing becomes visible: the ids are for
 * `commitBlocks`. The first failure is kept: every later `stage` and `drain` rejects with it.
 */
export class BlockStager {
  readonly #store: BlobStore
  readonly #path: BlobPath
  readonly #limiter: Limiter
  readonly #session = randomBytes(sessionBytes)
  readonly #cancel = new AbortController()
  readonly #running = new Set<Promise<void>>()
  readonly #failures: unknown[] = []
  #count = 0

  constructor(options: BlockStagerOptions) {
    this.#store = options.store
    this.#path = options.path
    this.#limiter = new Limiter(options.concurrency ?? 4)
  }

  /** Blocks that were handed over up to here. */
  get blockCount(): number {
    return this.#count
  }

  /**
   * Starts the upload of a block when there is room for it and resolves to its id, while the upload
   * goes on; `onSettled` runs when the bytes are no longer needed.
   */
  async stage(source: BlockSource, onSettled?: () => void): Promise<string> {
    const id = this.#nextId()
    const release = await this.#limiter.acquire(this.#cancel.signal)
    const work = this.#upload(id, source)
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

  async #upload(id: string, source: BlockSource): Promise<void> {
    const data = typeof source === 'function' ? await source() : source
    await this.#store.stageBlock(this.#path, id, data, { signal: this.#cancel.signal })
  }

  /** Throws the first failure, if there was one. */
  throwIfFailed(): void {
    if (this.#failures.length > 0) throw this.#failures[0]
  }

  /** Base64 of the session's bytes and a 4-byte big-endian counter: 24 characters, always. */
  #nextId(): string {
    const id = Buffer.alloc(sessionBytes + 4)
    this.#session.copy(id)
    id.writeUInt32BE(this.#count++, sessionBytes)
    return id.toString('base64')
  }
}
