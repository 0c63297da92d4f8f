import { type ByteRange, clampRange } from '../byte-range.ts'

/** A stretch of a file, and what is known of it. */
export interface Extent<Kind extends string> extends ByteRange {
  readonly kind: Kind
}

/** Which stretches of a file are what: apart from each other, in order, neighbours of a kind as one. */
export class Extents<Kind extends string> {
  #extents: Extent<Kind>[] = []

  get isEmpty(): boolean {
    return this.#extents.length === 0
  }

  /** Makes all of `range` a stretch of `kind`, whatever it was. */
  set(range: ByteRange, kind: Kind): void {
    if (range.end <= range.start) return
    const first = this.#firstEndingAt(range.start)
    let last = first
    let { start, end } = range
    const pieces: Extent<Kind>[] = []
    for (; last < this.#extents.length; last++) {
      const extent = this.#extents[last]
      if (extent === undefined || extent.start > range.end) break
      if (extent.kind === kind) {
        start = Math.min(start, extent.start)
        end = Math.max(end, extent.end)
      } else {
        if (extent.start < range.start) pieces.push({ ...extent, end: range.start })
        if (extent.end > range.end) pieces.push({ ...extent, start: range.end })
      }
    }
    pieces.push({ start, end, kind })
    this.#extents.splice(first, last - first, ...pieces.sort((a, b) => a.start - b.start))
  }

  /** Forgets what lies at and beyond `sizeBytes`. */
  cut(sizeBytes: number): void {
    const kept = this.#extents.filter(({ start }) => start < sizeBytes)
    this.#extents = kept.map((extent) =>
      extent.end > sizeBytes ? { ...extent, end: sizeBytes } : extent,
    )
  }

  /** Forgets all that is of `kind`. */
  forget(kind: Kind): void {
    this.#extents = this.#extents.filter((extent) => extent.kind !== kind)
  }

  clear(): void {
    this.#extents = []
  }

  /** The extents that touch `range`, cut to it, with the gaps between them. */
  *over(range: ByteRange): Generator<ByteRange & { readonly kind: Kind | undefined }, void> {
    let at = range.start
    for (const extent of this.within(range)) {
      if (extent.start > at) yield { start: at, end: extent.start, kind: undefined }
      yield extent
      at = extent.end
    }
    if (at < range.end) yield { start: at, end: range.end, kind: undefined }
  }

  /** The extents that touch `range`, cut to it. */
  *within(range: ByteRange): Generator<Extent<Kind>, void> {
    if (range.end <= range.start) return
    for (let at = this.#firstEndingAt(range.start + 1); at < this.#extents.length; at++) {
      const extent = this.#extents[at]
      if (extent === undefined || extent.start >= range.end) return
      const start = Math.max(extent.start, range.start)
      yield { ...extent, start, end: clampRange(extent, range.end).end }
    }
  }

  /** Whether an extent touches `range`. */
  touches(range: ByteRange): boolean {
    return this.within(range).next().done !== true
  }

  /** The index of the first extent that ends at `offset` or later. */
  #firstEndingAt(offset: number): number {
    let low = 0
    let high = this.#extents.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#extents[middle]?.end ?? 0) < offset) low = middle + 1
      else high = middle
    }
    return low
  }
}
