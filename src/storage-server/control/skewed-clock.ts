import type { Clock } from '../../clock.ts'

/** A clock that goes ahead of another, or after it, by what `skewMs` says at the moment. */
export class SkewedClock implements Clock {
  /** Milliseconds; negative when late. */
  skewMs = 0
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  nowMs(): number {
    return this.#clock.nowMs() + this.skewMs
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.#clock.sleep(ms, signal)
  }
}
