import type { CallOptions } from '../blob/store.ts'
import type { StatOptions } from '../namespace/namespace.ts'

/** How a listing is asked for. A call's signal, which takes 3 µs to make, is looked at only where somebody waits. */
export class Listing implements StatOptions {
  readonly metadata = true
  readonly #call: CallOptions

  constructor(call: CallOptions) {
    this.#call = call
  }

  get signal(): AbortSignal | undefined {
    return this.#call.signal
  }
}
