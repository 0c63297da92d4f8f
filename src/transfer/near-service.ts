import type { BlobStore } from '../blob/store.ts'
import { MiB } from '../byte-range.ts'
import { type Clock, systemClock } from '../clock.ts'
import { defaultStreamBelowMs } from './blob-stream.ts'
import { readsOf, type ServiceReads } from './service-reads.ts'

/** What is fetched ahead from a near service: some milliseconds of work, little enough for the processor's caches. */
const nearWindowBytes = 4 * MiB
/** Of what streams have on their way together, their part; no less than two of the kernel's reads. */
const nearWindowsBytes = 8 * MiB
const leastWindowBytes = 2 * MiB
/** And for each millisecond that an answer takes to begin, what the fastest networks bring: all streams share it. */
const bytesPerMs = MiB

type Store = Pick<BlobStore, 'roundTripMs' | 'receivedBytes'>

export interface NearServiceOptions {
  readonly store: Store
  /** How soon a near service begins to answer; `Infinity`: all are near, and one connection is enough. */
  readonly belowMs?: number | undefined
  readonly clock?: Clock | undefined
}

/** Whether one connection to the service of a reader brings what there is to be had. */
export class NearService {
  readonly #store: Store
  readonly #belowMs: number
  readonly #clock: Clock
  readonly #reads: ServiceReads
  #isSlow = false

  constructor({ store, belowMs, clock }: NearServiceOptions) {
    this.#store = store
    this.#belowMs = belowMs ?? defaultStreamBelowMs
    this.#clock = clock ?? systemClock
    this.#reads = readsOf(store)
  }

  /** Whether that holds: the service is near, and no connection was slow. */
  get isFast(): boolean {
    const { roundTripMs = Number.POSITIVE_INFINITY } = this.#store
    return !this.isSlow && (this.#isDemanded || roundTripMs < this.#belowMs)
  }

  /** Whether a connection was slow, and several at once bring more as far as is known. */
  get isSlow(): boolean {
    if (this.#isSlow && this.#reads.isRefuted(this.#clock)) this.#isSlow = false
    return this.#isSlow
  }

  /** `BlobStreamOptions.onSlow`. */
  get onSlow(): ((bytesPerMs: number) => boolean) | undefined {
    return this.#isDemanded ? undefined : (bytesPerMs) => this.#giveUp(bytesPerMs)
  }

  /**
   * How much of a window of `windowBytes` is worth having on its way: from a fast connection more than what is
   * read meanwhile leaves the processor's caches before it is looked at, and takes memory.
   */
  worthAhead(windowBytes: number): number {
    const { roundTripMs = 0 } = this.#store
    if (!this.isFast) return windowBytes
    const { streamCount } = this.#reads
    const shareBytes = Math.max(nearWindowsBytes / streamCount, leastWindowBytes)
    const farBytes = (roundTripMs * bytesPerMs) / streamCount
    return Math.min(windowBytes, Math.min(shareBytes, nearWindowBytes) + farBytes)
  }

  get #isDemanded(): boolean {
    return this.#belowMs === Number.POSITIVE_INFINITY
  }

  #giveUp(bytesPerMs: number): boolean {
    this.#isSlow = this.#reads.mayGiveUp(bytesPerMs, this.#clock)
    return this.#isSlow
  }
}
