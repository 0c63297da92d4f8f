import { KiB } from '../byte-range.ts'
import { type AnswerHead, type Framing, framingOf } from './answer-head.ts'
import { type BodySink, bodySink } from './body-sink.ts'
import { ChunkDecoder } from './chunk-decoder.ts'
import type { HttpRequest, HttpResponse } from './handler.ts'
import { HeadMemory } from './head-memory.ts'
import { badAnswer, TransportError } from './transport-error.ts'

// The bytes of an answer reach the parser in one of two ways:
// - `take` is handed bytes that lie in somebody else's buffer: heads, chunk sizes, and whatever part
//   of a body was read together with them. What belongs to the body is copied.
// - while `directBytes` is not 0, the caller reads from the socket into `space()` and says so with
//   `filled`: the bytes of a long body are then never copied.

/** Azure's own heads are under 2 KiB, with at most 8 KiB of metadata. */
const maxHeadBytes = 64 * KiB
const headEnd = '\r\n\r\n'
const lineEndBytes = 2

/** Reads the answers of one connection, one at a time, however the network cuts them up. */
export class AnswerParser {
  readonly #heads: HeadMemory
  #request: HttpRequest | undefined
  #held: Buffer | undefined
  #head: AnswerHead | undefined
  #framing: Framing = { kind: 'none' }
  #sink: BodySink | undefined
  #chunks: ChunkDecoder | undefined
  #left = 0
  #isDone = true
  #hasBegun = false

  /** `heads` may be shared by the connections to one server. */
  constructor(heads: HeadMemory = new HeadMemory()) {
    this.#heads = heads
  }

  /** Expects the answer to `request`. */
  begin(request: HttpRequest): void {
    this.#request = request
    this.#held = undefined
    this.#head = undefined
    this.#sink = undefined
    this.#chunks = undefined
    this.#left = 0
    this.#isDone = false
    this.#hasBegun = false
  }

  /** Whether any byte of the answer has come. */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  /** Whether the final head is complete. */
  get hasHead(): boolean {
    return this.#head !== undefined
  }

  get isDone(): boolean {
    return this.#isDone
  }

  /** Whether another request may follow on the connection. */
  get keepsAlive(): boolean {
    return this.#isDone && this.#framing.kind !== 'until-close' && this.#head?.keepAlive === true
  }

  /** The complete answer, which began after `firstByteMs`. */
  response(firstByteMs: number): HttpResponse {
    if (this.#head === undefined) throw badAnswer('it has no head')
    const { status, headers } = this.#head
    return { status, headers, body: this.#sink?.body ?? Buffer.alloc(0), firstByteMs }
  }

  /** Where the body goes, once the head is complete. */
  get sink(): BodySink | undefined {
    return this.#sink
  }

  /** Whether nothing may be read now, because whoever takes the body has no room. */
  get isFull(): boolean {
    return !this.#isDone && this.#sink?.isFull === true
  }

  /** How many bytes may be read into `space()` next; 0 while they must go through `take`. */
  get directBytes(): number {
    return this.#chunks?.left ?? this.#left
  }

  /** Where at most `directBytes` bytes are to be put; `undefined` while they must go through `take`. */
  space(count: number): Uint8Array | undefined {
    return this.#sink?.space(count)
  }

  /** `count` bytes were put into `space()`. */
  filled(count: number): void {
    this.#sink?.filled(count)
    if (this.#chunks !== undefined) {
      this.#chunks.filled(count)
      return
    }
    this.#left -= count
    if (this.#left === 0) this.#isDone = true
  }

  /**
   * Takes bytes of the answer and returns how many of them it needed: fewer when they go on after
   * its end. Throws `TransportError` for what is not HTTP and `FileSystemError` `EFBIG`.
   */
  take(bytes: Buffer): number {
    if (bytes.length > 0) this.#hasBegun = true
    let at = 0
    while (this.#head === undefined) {
      const next = this.#takeHead(bytes, at)
      if (next < 0) return bytes.length
      at = next
    }
    return this.#isDone ? at : this.#takeBody(bytes, at)
  }

  /** The server sends no more. Throws `TransportError` unless the answer is complete by that. */
  end(): void {
    if (this.#isDone) return
    if (this.#head === undefined || this.#framing.kind !== 'until-close') {
      throw new TransportError('ABFS_CLOSED', 'the server closed the connection')
    }
    this.#isDone = true
  }

  /** Returns where the head ends, or -1 when it goes on. */
  #takeHead(bytes: Buffer, at: number): number {
    const before = this.#held?.length ?? 0
    const all = this.#held === undefined ? bytes : Buffer.concat([this.#held, bytes.subarray(at)])
    const start = this.#held === undefined ? at : 0
    const end = all.indexOf(headEnd, Math.max(start, before - headEnd.length), 'latin1')
    if ((end < 0 ? all.length : end) - start > maxHeadBytes) throw badAnswer('its head is too long')
    if (end < 0) {
      this.#hold(all, start)
      return -1
    }
    this.#held = undefined
    const text = all.toString('latin1', start, end + lineEndBytes)
    this.#endHead(this.#heads.parse(text, this.#request?.operation ?? ''))
    return end + headEnd.length - before + (before > 0 ? at : 0)
  }

  /** Keeps a copy, because the buffer is used again; refuses at once what cannot become an answer. */
  #hold(all: Buffer, start: number): void {
    const begins = all.toString('latin1', start, start + httpVersion.length)
    if (!httpVersion.startsWith(begins)) throw badAnswer('it has no status line')
    this.#held = this.#held === undefined ? Buffer.from(all.subarray(start)) : all
  }

  /** An informational answer is skipped: the final one follows. */
  #endHead(head: AnswerHead): void {
    if (head.status === 101) throw badAnswer('it changes the protocol')
    if (head.status < 200 || this.#request === undefined) return
    this.#head = head
    this.#framing = framingOf(head, this.#request.method)
    this.#begin(this.#framing, head, this.#request)
  }

  #begin(framing: Framing, head: AnswerHead, request: HttpRequest): void {
    const announcedBytes = framing.kind === 'length' ? framing.bytes : 0
    const { status, headers } = head
    this.#sink = bodySink(request, { status, headers, announcedBytes })
    this.#left = announcedBytes
    if (framing.kind === 'chunked') this.#chunks = new ChunkDecoder(this.#sink)
    this.#isDone = framing.kind === 'none' || (framing.kind === 'length' && framing.bytes === 0)
  }

  #takeBody(bytes: Buffer, at: number): number {
    if (this.#chunks !== undefined) {
      const end = this.#chunks.take(bytes, at)
      this.#isDone = this.#chunks.isDone
      return end
    }
    const isOpenEnded = this.#framing.kind === 'until-close'
    const end = isOpenEnded ? bytes.length : Math.min(at + this.#left, bytes.length)
    this.#sink?.write(bytes.subarray(at, end))
    if (isOpenEnded) return end
    this.#left -= end - at
    this.#isDone = this.#left === 0
    return end
  }
}

const httpVersion = 'HTTP/1.'
