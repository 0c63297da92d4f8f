import type { HttpResponse } from '../http/handler.ts'

/** How soon a service answers reads, and how much it has brought: what its readers see together. */
export class ServicePace {
  #roundTripMs: number | undefined
  #receivedBytes = 0

  /** As `BlobStore.roundTripMs`. */
  get roundTripMs(): number | undefined {
    return this.#roundTripMs
  }

  /** As `BlobStore.receivedBytes`. */
  get receivedBytes(): number {
    return this.#receivedBytes
  }

  /** Takes note of `count` bytes of a blob, as they come. */
  noteBytes(count: number): void {
    this.#receivedBytes += count
  }

  /** Takes note of how soon the answer to a read began. */
  noteRead({ firstByteMs }: HttpResponse): void {
    // It follows a change of the route within some twenty reads, and no burst of slow ones.
    const before = this.#roundTripMs
    if (firstByteMs !== undefined) {
      this.#roundTripMs = Math.min(
        firstByteMs,
        before === undefined ? firstByteMs : before * 1.05 + 0.05,
      )
    }
  }

  /** A read does not take longer, as a page has to be made first: an answer before anybody reads. */
  noteListing(firstByteMs: number | undefined): void {
    if (firstByteMs === undefined) return
    this.#roundTripMs = Math.min(this.#roundTripMs ?? firstByteMs, firstByteMs)
  }
}
