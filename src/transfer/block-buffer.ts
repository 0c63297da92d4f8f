import { KiB } from '../byte-range.ts'

/** What a new buffer holds before it grows: most files are small. */
const initialBytes = 64 * KiB

/** The bytes of one block while it fills; its memory grows with them. */
export class BlockBuffer {
  #memory: Buffer = Buffer.alloc(0)
  #length = 0

  get length(): number {
    return this.#length
  }

  /** The bytes written; a view that later writes may change. */
  get bytes(): Uint8Array {
    return this.#memory.subarray(0, this.#length)
  }

  /** Copies what fits of `data` within `capacity` bytes; returns how much that was. */
  append(data: Uint8Array, capacity: number): number {
    const taken = Math.min(data.byteLength, capacity - this.#length)
    this.#reserve(this.#length + taken, capacity)
    this.#memory.set(taken === data.byteLength ? data : data.subarray(0, taken), this.#length)
    this.#length += taken
    return taken
  }

  /** Forgets the bytes and keeps the memory. */
  reset(): this {
    this.#length = 0
    return this
  }

  #reserve(needed: number, capacity: number): void {
    if (needed <= this.#memory.byteLength) return
    const doubled = Math.max(2 * this.#memory.byteLength, initialBytes, needed)
    const grown = Buffer.allocUnsafeSlow(Math.min(doubled, capacity))
    grown.set(this.bytes)
    this.#memory = grown
  }
}
