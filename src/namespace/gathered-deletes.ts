import type { DeleteManyOptions, Deletion } from '../blob/deletion.ts'
import type { BlobStore, CallOptions } from '../blob/store.ts'
import { nextTurn } from '../clock.ts'
import { limitOf } from './tree-limit.ts'

/**
 * Deletions in one request: 256 are allowed. Nobody says that a service works at more than one part of a batch at
 * a time, so what is there is shared out among all batches that may be under way, down to this (docs/decisions/0080).
 */
const batchSize = { least: 64, most: 256 }

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
  readonly #maxBatches: number
  readonly #waiting: Waiting[] = []
  #underWay = 0
  #isGathering = false

  constructor(
    store: BlobStore,
    options: CallOptions & { readonly concurrency?: number | undefined },
  ) {
    const concurrency = limitOf(options)
    // A batch is a request: a fourth of them at once, where each is the work of many.
    const batches = Math.ceil(concurrency / 4)
    this.limit = store.deleteMany === undefined ? concurrency : batches * batchSize.most
    this.#store = store
    this.#maxBatches = batches
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
      void this.#sendSoon()
    })
  }

  /** What comes within this turn goes along. */
  async #sendSoon(): Promise<void> {
    if (this.#isGathering) return
    this.#isGathering = true
    await nextTurn()
    this.#isGathering = false
    while (this.#waiting.length > 0 && this.#underWay < this.#maxBatches) {
      const share = Math.ceil(this.#waiting.length / (this.#maxBatches - this.#underWay))
      const size = Math.min(Math.max(share, batchSize.least), batchSize.most)
      void this.#send(this.#waiting.splice(0, size))
    }
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    this.#underWay += 1
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
    } finally {
      this.#underWay -= 1
      if (this.#waiting.length > 0) void this.#sendSoon()
    }
  }
}
