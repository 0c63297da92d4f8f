import { alignUp, granuleBytes } from './granule.ts'

interface Gap {
  start: number
  end: number
}

/**
 * Memory that is handed out again and again. V8 counts every buffer that is made and looks at the whole heap
 * each 64 MiB, which took a third of the processor time of a cold read; a place here is not a new buffer.
 * What was never used takes no memory.
 */
export class Arena {
  readonly #memory: ArrayBuffer
  /** Apart from each other, in order. */
  readonly #gaps: Gap[]

  constructor(sizeBytes: number) {
    this.#memory = new ArrayBuffer(alignUp(sizeBytes))
    this.#gaps = [{ start: 0, end: this.#memory.byteLength }]
  }

  /** A place of `sizeBytes`, which holds anything; `undefined` when there is none of that length. */
  take(sizeBytes: number): Uint8Array | undefined {
    const length = Math.max(alignUp(sizeBytes), granuleBytes)
    // The lowest: what was used before is in the processor's caches, and in memory at all.
    const at = this.#gaps.findIndex(({ start, end }) => end - start >= length)
    const gap = this.#gaps[at]
    if (gap === undefined) return undefined
    const { start } = gap
    gap.start += length
    if (gap.start === gap.end) this.#gaps.splice(at, 1)
    return new Uint8Array(this.#memory, start, sizeBytes)
  }

  /** Takes a place back; nobody may read or write there any more. */
  give(place: Uint8Array): void {
    const start = place.byteOffset
    const end = start + Math.max(alignUp(place.byteLength), granuleBytes)
    const found = this.#gaps.findIndex((gap) => gap.start >= end)
    const at = found < 0 ? this.#gaps.length : found
    const before = this.#gaps[at - 1]
    const after = this.#gaps[at]
    if (before?.end === start) {
      before.end = end
      if (after?.start === end) {
        before.end = after.end
        this.#gaps.splice(at, 1)
      }
    } else if (after?.start === end) after.start = start
    else this.#gaps.splice(at, 0, { start, end })
  }
}
