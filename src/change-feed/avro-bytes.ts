import { damaged } from './damage.ts'

/** The bytes end within a value. */
export class EndOfBytes extends Error {
  override readonly name = 'EndOfBytes'
}

/** Reads the primitives of Avro's binary encoding, none past the end of `bytes`. */
export class AvroBytes {
  readonly bytes: Uint8Array
  at: number
  /** How many records, arrays, maps and unions are being read, one within the other. */
  depth = 0

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes
    this.at = at
  }

  get left(): number {
    return this.bytes.byteLength - this.at
  }

  /** Zigzag, at most ten bytes. Beyond 2^53 the nearest double. */
  long(): number {
    let low = 0
    let factor = 1
    for (let index = 0; index < 10; index += 1) {
      const byte = this.#byte()
      low += (byte & 0x7f) * factor
      factor *= 128
      if (byte < 0x80) return low % 2 === 0 ? low / 2 : -(low + 1) / 2
    }
    throw damaged('a number of more than ten bytes')
  }

  boolean(): boolean {
    return this.#byte() !== 0
  }

  float(): number {
    return this.#view(4).getFloat32(0, true)
  }

  double(): number {
    return this.#view(8).getFloat64(0, true)
  }

  /** A view on the next `count` bytes. */
  take(count: number): Uint8Array {
    if (!(count >= 0)) throw damaged('a length below 0')
    if (count > this.left) throw new EndOfBytes()
    this.at += count
    return this.bytes.subarray(this.at - count, this.at)
  }

  string(): string {
    return decoder.decode(this.take(this.long()))
  }

  #byte(): number {
    const byte = this.bytes[this.at]
    if (byte === undefined) throw new EndOfBytes()
    this.at += 1
    return byte
  }

  #view(count: number): DataView {
    const { buffer, byteOffset } = this.take(count)
    return new DataView(buffer, byteOffset, count)
  }
}

const decoder = new TextDecoder()
