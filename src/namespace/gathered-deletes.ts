import type { BlobStore, CallOptions, DeleteManyOptions, Deletion } from '../blob/store.ts'
import { nextTurn } from '../clock.ts'
import { limitOf } from './tree-limit.ts'

/**
 * Deletions in one request. A service works through a batch one part after the other, so several batches of
 * this size are done sooner than one of the 256 that are allowed (docs/decisions/0080).
 */
const batchSize = 64

interface Waiting {
  readonly deletion: Deletion
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Deletes the blobs of one container; deletions that are asked for at the same time share a request. */
export class GatheredDeletes {
  /** How many deletions are to be under way, so that batches become full. */
  readonly limit: number
  readonly #store: BlobStore
  readonly #call: DeleteManyOptions
  #waiting: Waiting[] = []

  constructor(
    store: BlobStore,
    options: CallOptions & { readonly concurrency?: number | undefined },
  ) {
    const concurrency = limitOf(options)
    // A batch is a request: a fourth of them at once, where each is the work of many.
    const batches = Math.ceil(concurrency / 4)
    this.limit = store.deleteMany === undefined ? concurrency : batches * batchSize
    this.#store = store
    this.#call = { signal: options.signal, concurrency: Math.ceil(concurrency / batches) }
  }

  /** As `BlobStore.delete`. */
  delete(deletion: Deletion): Promise<void> {
    const { path, ...conditions } = deletion
    if (this.#store.deleteMany === undefined) {
      return this.#store.delete(path, { ...conditions, signal: this.#call.signal })
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ deletion, resolve, reject })
      if (this.#waiting.length === 1) void this.#sendSoon()
      if (this.#waiting.length === batchSize) void this.#send()
    })
  }

  /** What comes within this turn goes along. */
  async #sendSoon(): Promise<void> {
    await nextTurn()
    await this.#send()
  }

  async #send(): Promise<void> {
    const batch = this.#waiting
    if (batch.length === 0) return
    this.#waiting = []
    try {
      const deletions = batch.map(({ deletion }) => deletion)
      const outcomes = (await this.#store.deleteMany?.(deletions, this.#call)) ?? []
      for (const [index, { resolve, reject }] of batch.entries()) {
        const error = outcomes[index]
        if (error === undefined) resolve()
        else reject(error)
      }
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }
}
