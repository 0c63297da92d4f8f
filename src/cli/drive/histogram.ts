/** Upper bounds of the buckets, milliseconds; what is slower is in a last one. */
export const boundsMs: readonly number[] = [0.25, 1, 4, 16, 64, 256, 1024, 4096, 16_384]

/** How long calls took: a count a bucket, at a fixed cost of memory. */
export class Histogram {
  readonly #buckets: number[] = new Array<number>(boundsMs.length + 1).fill(0)

  add(durationMs: number): void {
    let index = 0
    while (durationMs > (boundsMs[index] ?? Number.POSITIVE_INFINITY)) index += 1
    this.#buckets[index] = (this.#buckets[index] ?? 0) + 1
  }

  /** Counts by bucket, the last without a bound. */
  get buckets(): readonly number[] {
    return [...this.#buckets]
  }
}

/** The upper bound of the bucket that `share` (0 to 1) of all is within; `Infinity` for the last. */
export function quantileMs(buckets: readonly number[], share: number): number {
  const total = buckets.reduce((sum, count) => sum + count, 0)
  let seen = 0
  for (const [index, count] of buckets.entries()) {
    seen += count
    if (seen >= share * total) return boundsMs[index] ?? Number.POSITIVE_INFINITY
  }
  return Number.POSITIVE_INFINITY
}
