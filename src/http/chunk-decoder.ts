import { KiB } from '../byte-range.ts'
import type { BodySink } from './body-sink.ts'
import { badAnswer } from './transport-error.ts'

/** Sizes are under 16 digits; the rest is for extensions, which nobody uses. */
const maxSizeLineBytes = KiB
const maxTrailerBytes = 16 * KiB
const lineFeed = 0x0a

/** Takes the chunked transfer coding off a body (RFC 9112, 7.1). Extensions and trailers are dropped. */
export class ChunkDecoder {
  readonly #sink: BodySink
  #state: 'size' | 'data' | 'data-end' | 'trailer' | 'done' = 'size'
  #line = ''
  #left = 0
  #trailerBytes = 0

  constructor(sink: BodySink) {
    this.#sink = sink
  }

  get isDone(): boolean {
    return this.#state === 'done'
  }

  /** Bytes of the current chunk that are still to come: they may be put into the sink directly. */
  get left(): number {
    return this.#left
  }

  /** Takes bytes from `at` on; returns where the next message begins. Throws `TransportError`. */
  take(bytes: Buffer, at: number): number {
    let next = at
    while (next < bytes.length && this.#state !== 'done') {
      next = this.#state === 'data' ? this.#takeData(bytes, next) : this.#takeLine(bytes, next)
    }
    return next
  }

  /** `count` bytes of the chunk went into the sink directly. */
  filled(count: number): void {
    this.#left -= count
    if (this.#left === 0) this.#state = 'data-end'
  }

  #takeData(bytes: Buffer, at: number): number {
    const end = Math.min(at + this.#left, bytes.length)
    this.#sink.write(bytes.subarray(at, end))
    this.filled(end - at)
    return end
  }

  #takeLine(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(lineFeed, at)
    this.#line += bytes.toString('latin1', at, end < 0 ? bytes.length : end)
    if (this.#line.length > maxSizeLineBytes) throw badAnswer('a line of its body is too long')
    if (end < 0) return bytes.length
    if (!this.#line.endsWith('\r')) throw badAnswer('a line of its body does not end with CR LF')
    const line = this.#line.slice(0, -1)
    this.#line = ''
    this.#endLine(line)
    return end + 1
  }

  #endLine(line: string): void {
    if (this.#state === 'size') this.#beginChunk(line)
    else if (this.#state === 'data-end') {
      if (line !== '') throw badAnswer('a chunk is longer than it says')
      this.#state = 'size'
    } else {
      this.#trailerBytes += line.length
      if (this.#trailerBytes > maxTrailerBytes) throw badAnswer('its trailers are too long')
      if (line === '') this.#state = 'done'
    }
  }

  #beginChunk(line: string): void {
    const [, digits] = /^([0-9A-Fa-f]{1,13})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/.exec(line) ?? []
    if (digits === undefined) throw badAnswer('the size of a chunk is not a number')
    this.#left = Number.parseInt(digits, 16)
    if (this.#left > 0) this.#sink.reserve(this.#left)
    this.#state = this.#left > 0 ? 'data' : 'trailer'
  }
}
