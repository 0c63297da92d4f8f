import type { BlobStore } from '../blob/store.ts'
import { MiB } from '../byte-range.ts'
import { defaultStreamBelowMs } from './blob-stream.ts'

/** What is fetched ahead from a near service: some milliseconds of work, little enough for the processor's caches. */
const nearWindowBytes = 4 * MiB
/** And for each millisecond that an answer takes to begin: what the fastest connections bring. */
const bytesPerMs = MiB

/** Whether one connection to the service of a reader brings what there is to be had. */
export class NearService {
  readonly #store: Pick<BlobStore, 'roundTripMs'>
  readonly #belowMs: number
  #isSlow = false

  /** `belowMs`: how soon a near service begins to answer; `Infinity`: all are near, and one connection is enough. */
  constructor(store: Pick<BlobStore, 'roundTripMs'>, belowMs: number = defaultStreamBelowMs) {
    this.#store = store
    this.#belowMs = belowMs
  }

  /** Whether that holds: the service is near, and no connection was slow. */
  get isFast(): boolean {
    const { roundTripMs = Number.POSITIVE_INFINITY } = this.#store
    return !this.#isSlow && (this.#isDemanded || roundTripMs < this.#belowMs)
  }

  /** Whether a connection was slow. */
  get isSlow(): boolean {
    return this.#isSlow
  }

  /** To be called when a connection was slow; `undefined` where that is nobody's concern. */
  get onSlow(): (() => void) | undefined {
    return this.#isDemanded ? undefined : () => this.#noteSlow()
  }

  /**
   * How much of a window of `windowBytes` is worth having on its way: from a fast connection more than what is
   * read meanwhile leaves the processor's caches before it is looked at, and takes memory.
   */
  worthAhead(windowBytes: number): number {
    const { roundTripMs = 0 } = this.#store
    return this.isFast
      ? Math.min(windowBytes, nearWindowBytes + roundTripMs * bytesPerMs)
      : windowBytes
  }

  get #isDemanded(): boolean {
    return this.#belowMs === Number.POSITIVE_INFINITY
  }

  #noteSlow(): void {
    this.#isSlow = true
  }
}
