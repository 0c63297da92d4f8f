// Azure stamps changes with 100-nanosecond ticks since the year 1. Two changes within one
// millisecond differ in the ticks, so that stamps never repeat and always grow.
const ticksAtEpoch = 621_355_968_000_000_000n

/** Etags, snapshot times and version ids of one account: each call gives a later one. */
export class TimeStamps {
  readonly #nowMs: () => number
  #lastMs = 0
  #ticks = 0

  readonly #afterMs: () => number

  /** `afterMs`: the latest time of a stamp from elsewhere, asked when the first one is made. */
  constructor(nowMs: () => number, afterMs: () => number = () => 0) {
    this.#nowMs = nowMs
    this.#afterMs = afterMs
  }

  /** Quoted, in the form of Azure's: `"0x8DE2AB0C5F3D1A0"`. */
  nextEtag(): string {
    this.#advance()
    const ticks = ticksAtEpoch + BigInt(this.#lastMs) * 10_000n + BigInt(this.#ticks)
    return `"0x${ticks.toString(16).toUpperCase()}"`
  }

  /** ISO 8601 with seven decimals: `2026-01-01T00:00:00.0000001Z`. */
  nextTimestamp(): string {
    this.#advance()
    const text = new Date(this.#lastMs).toISOString()
    return `${text.slice(0, -1)}${String(this.#ticks).padStart(4, '0')}Z`
  }

  #advance(): void {
    if (this.#lastMs === 0) this.#lastMs = Math.floor(this.#afterMs()) + 1
    const nowMs = Math.floor(this.#nowMs())
    if (nowMs > this.#lastMs) {
      this.#lastMs = nowMs
      this.#ticks = 0
    } else if (++this.#ticks === 10_000) {
      this.#lastMs++
      this.#ticks = 0
    }
  }
}
