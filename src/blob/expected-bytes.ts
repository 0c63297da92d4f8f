/** The fewest bytes that {@link ExpectedBytes} look for. */
const minExpected = 4

/**
 * Bytes that stand at a place again and again, compared four at a time: as text they would be compared one by one, and calls
 * out of JavaScript take longer than that for what is as short.
 */
export class ExpectedBytes {
  #words = new Int32Array(8)
  /** The last four, which the last of `#words` may overlap. */
  #last = 0
  #length = 0

  /** How many; 0 where nothing is expected. */
  get length(): number {
    return this.#length
  }

  /** Expects what stands from `start` to `end`; nothing where that is less than four bytes. */
  learn(view: DataView, start: number, end: number): void {
    const length = end - start
    this.#length = length < minExpected ? 0 : length
    if (this.#length === 0) return
    const count = length >> 2
    if (count > this.#words.length) this.#words = new Int32Array(count)
    for (let word = 0; word < count; word++) {
      this.#words[word] = view.getInt32(start + (word << 2), true)
    }
    this.#last = view.getInt32(end - minExpected, true)
  }

  /** Whether they stand at `at`; never where nothing is expected. */
  isAt(view: DataView, at: number): boolean {
    const length = this.#length
    const end = at + length
    if (length === 0 || end > view.byteLength) return false
    if (view.getInt32(end - minExpected, true) !== this.#last) return false
    const words = this.#words
    const count = length >> 2
    for (let word = 0; word < count; word++) {
      if (view.getInt32(at + (word << 2), true) !== words[word]) return false
    }
    return true
  }
}

/** The same memory, to be read by the word. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
