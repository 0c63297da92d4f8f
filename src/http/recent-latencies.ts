const keptCount = 200
/** Fewer say nothing of a percentile. */
const leastCount = 20
/** Sorting 200 numbers takes 20 µs: not for each read. */
const sortEvery = 10

/** How soon the last answers began. */
export class RecentLatencies {
  readonly #percentile: number
  readonly #kept: number[] = []
  #count = 0
  #lateMs: number | undefined

  constructor(percentile: number) {
    this.#percentile = percentile
  }

  /** What the percentile of the last answers took; milliseconds. `undefined` until there are enough. */
  get lateMs(): number | undefined {
    return this.#lateMs
  }

  note(latencyMs: number): void {
    this.#kept[this.#count % keptCount] = latencyMs
    this.#count += 1
    if (this.#count < leastCount || this.#count % sortEvery !== 0) return
    const sorted = this.#kept.toSorted((a, b) => a - b)
    const index = Math.ceil((sorted.length * this.#percentile) / 100) - 1
    // Less than the resolution of timers is no delay.
    this.#lateMs = Math.max(sorted[Math.max(index, 0)] ?? 0, 1)
  }
}
