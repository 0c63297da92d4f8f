import { isUtf8 } from 'node:buffer'
import { type Ino, toIno } from '../vfs/operations.ts'
import { structs } from './abi.ts'
import { MalformedRequest, type RequestHeader } from './request.ts'

/** Reads the struct, then the names and bytes, that follow the head of one request. */
export class Body {
  readonly #frame: Buffer
  readonly #header: RequestHeader
  readonly #end: number
  #tail: number

  constructor(header: RequestHeader, frame: Buffer) {
    this.#header = header
    this.#frame = frame
    const length = frame.readUInt32LE(structs.inHeader.len)
    const extensions = frame.readUInt16LE(structs.inHeader.totalExtlen) * 8
    if (length !== frame.length) {
      throw new MalformedRequest(`frame of ${frame.length} bytes says ${length}`)
    }
    this.#end = length - extensions
    this.#tail = structs.inHeader.sizeBytes
  }

  get ino(): Ino {
    return toIno(this.#header.nodeid)
  }

  /** Passes a struct of `sizeBytes`; the offset at which it begins. */
  struct(sizeBytes: number): number {
    const start = this.#tail
    if (start + sizeBytes > this.#end) throw new MalformedRequest('request is too short')
    this.#tail = start + sizeBytes
    return start
  }

  u32(at: number): number {
    return this.#frame.readUInt32LE(at)
  }

  u64(at: number): number {
    const value = this.u32(at + 4) * 2 ** 32 + this.u32(at)
    if (value > Number.MAX_SAFE_INTEGER) {
      // Offsets are the numbers that callers choose.
      throw new MalformedRequest(`number ${value} is too large`, { code: 'EFBIG' })
    }
    return value
  }

  bigint(at: number): bigint {
    return this.#frame.readBigUInt64LE(at)
  }

  timeNs(seconds: number, nanoseconds: number): bigint {
    return this.#frame.readBigInt64LE(seconds) * 1_000_000_000n + BigInt(this.u32(nanoseconds))
  }

  /**
   * A string that ends with a zero byte. One that is not UTF-8 is refused: Azure could not store it,
   * and decoding it would make two names one.
   */
  text(): string {
    const end = this.#frame.indexOf(0, this.#tail)
    if (end < 0 || end >= this.#end) throw new MalformedRequest('string has no end')
    const bytes = this.#frame.subarray(this.#tail, end)
    if (!isUtf8(bytes)) throw new MalformedRequest('string is not UTF-8')
    this.#tail = end + 1
    return bytes.toString('utf8')
  }

  /** One name of a directory. */
  name(): string {
    const name = this.text()
    if (name === '' || name.includes('/'))
      throw new MalformedRequest('name is empty or has a slash')
    return name
  }

  bytes(length: number): Uint8Array {
    const start = this.struct(length)
    return this.#frame.subarray(start, start + length)
  }
}
