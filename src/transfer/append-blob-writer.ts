import type { BlobProperties, BlobStore, Metadata } from '../blob/store.ts'
import { MiB } from '../byte-range.ts'
import type { BlobPath } from '../path.ts'
import type { MemoryBudget } from './memory-budget.ts'

export interface AppendBlobWriterOptions {
  readonly store: BlobStore
  readonly path: BlobPath
  /** Of the append blob as it is. */
  readonly sizeBytes: number
  /** Bytes of one append, 100 MiB at most. What waits for its append is as much, for each open writer. */
  readonly blockBytes: number
  readonly leaseId?: string | undefined
  readonly memory?: MemoryBudget | undefined
  readonly signal?: AbortSignal | undefined
}

/** So much is appended at once: what waits is outside of the budget. */
const maxWaitingBytes = 4 * MiB

/**
 * Adds to the end of an append blob. Each block is visible to everybody once it is sent; what was sent stays
 * when the writer is aborted. Somebody else's bytes at the end make it fail with `ESTALE`, and none of its own
 * come behind them. Has the shape of `BlobWriter`.
 */
export class AppendBlobWriter {
  readonly #options: AppendBlobWriterOptions
  readonly #blockBytes: number
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #position: number
  #last: BlobProperties | undefined

  constructor(options: AppendBlobWriterOptions) {
    this.#options = options
    this.#blockBytes = Math.min(options.blockBytes, maxWaitingBytes)
    this.#position = options.sizeBytes
  }

  /** Bytes of the blob with what was written up to here. */
  get sizeBytes(): number {
    return this.#position + this.#waitingBytes
  }

  /** Takes a copy of `data`. One call at a time. */
  async write(data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.byteLength; ) {
      const piece = data.slice(at, at + this.#blockBytes - this.#waitingBytes)
      this.#waiting.push(piece)
      this.#waitingBytes += piece.byteLength
      at += piece.byteLength
      if (this.#waitingBytes === this.#blockBytes) await this.#send()
    }
  }

  /** Sends the rest, and `metadata` in a request of its own. */
  async commit(
    options: { readonly metadata?: Metadata | undefined } = {},
  ): Promise<BlobProperties> {
    await this.#send()
    const { store, path, leaseId, signal } = this.#options
    const { metadata } = options
    this.#last ??= await store.head(path, { signal })
    if (metadata !== undefined) {
      const ifMatch = this.#last.etag
      const changed = await store.setMetadata(path, metadata, { ifMatch, leaseId, signal })
      this.#last = { ...this.#last, ...changed, metadata }
    }
    return this.#last
  }

  /** Sends all that waits, which everybody then sees. */
  async flush(): Promise<void> {
    await this.#send()
  }

  /** Gives up what was not sent. Never throws. */
  async abort(): Promise<void> {
    this.#waiting = []
    this.#waitingBytes = 0
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.abort()
  }

  async #send(): Promise<void> {
    if (this.#waitingBytes === 0) return
    const { store, path, leaseId, memory, signal } = this.#options
    const data = Buffer.concat(this.#waiting)
    const position = this.#position
    const append = () => store.appendBlock(path, data, { position, leaseId, signal })
    this.#last = await (memory?.run(data.length, append, signal) ?? append())
    this.#position += data.length
    this.#waiting = []
    this.#waitingBytes = 0
  }
}
