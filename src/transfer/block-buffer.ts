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

  /** What it takes of memory. */
  get memoryBytes(): number {
    return this.#memory.byteLength
  }

  /** What it takes of memory once it holds `lengthBytes` of at most `capacity`. */
  memoryFor(lengthBytes: number, capacity: number): number {
    if (lengthBytes <= this.#memory.byteLength) return this.#memory.byteLength
    return Math.min(Math.max(2 * this.#memory.byteLength, initialBytes, lengthBytes), capacity)
  }

  /** Takes all the memory that a block of `capacity` needs. */
  reserve(capacity: number): void {
    this.#grow(capacity)
  }

  /** The bytes written; a view that later writes may change. */
  get bytes(): Uint8Array {
    return this.#memory.subarray(0, this.#length)
  }

  /** Copies what fits of `data` within `capacity` bytes; returns how much that was. */
  append(data: Uint8Array, capacity: number): number {
    const taken = Math.min(data.byteLength, capacity - this.#length)
    this.#grow(this.memoryFor(this.#length + taken, capacity))
    this.#memory.set(taken === data.byteLength ? data : data.subarray(0, taken), this.#length)
    this.#length += taken
    return taken
  }

  /** Forgets the bytes and keeps the memory. */
  reset(): this {
    this.#length = 0
    return this
  }

  #grow(memoryBytes: number): void {
    if (memoryBytes <= this.#memory.byteLength) return
    const grown = Buffer.allocUnsafeSlow(memoryBytes)
    grown.set(this.bytes)
    this.#memory = grown
  }
}
