import type { Socket } from 'node:net'
import { KiB, MiB } from '../byte-range.ts'
import type { Clock } from '../clock.ts'
import { AnswerParser } from './answer-parser.ts'
import type { BodySink } from './body-sink.ts'
import type { Exchange, ExchangeHolder } from './exchange.ts'
import { type HttpResponse, isIdempotent } from './handler.ts'
import type { HeadMemory } from './head-memory.ts'
import { openSocket, type Peer } from './open-socket.ts'
import { firstPieceBytes, nextPieceBytes } from './send-piece.ts'
import { TransportError, type TransportFault } from './transport-error.ts'

// An exchange goes this way:
// 1. `start` sends head and body. A body is handed to the socket piece by piece, as views, so that a
//    server that takes nothing is noticed and one that answers early is not sent the rest.
// 2. Node asks `#nextBuffer` where to read: a scratch buffer for heads, and the place where the
//    body belongs as soon as its length is known. `#onRead` tells the parser what came.
// 3. The complete answer settles the exchange, and the pool is told that the connection is free; or
//    the socket is destroyed, when anything is left over that would blur the next answer.

/** How long each phase may take; milliseconds. */
export interface PhaseLimits {
  readonly connectMs: number
  /** Between two pieces of a request's body that the socket takes. */
  readonly sendMs: number
  readonly headersMs: number
  readonly bodyMs: number
  /** How long a connection is kept without a request, unless the server says less. */
  readonly idleMs: number
}

/** The pool, as its connections see it. */
export interface ConnectionOwner {
  readonly peer: Peer
  readonly limits: PhaseLimits
  readonly clock: Clock
  /** Where heads are read to. All connections share it: Node hands bytes over as it reads them. */
  readonly scratch: Buffer
  /** What is known of the server's answers. */
  readonly heads: HeadMemory
  /** Nobody takes the answer of one of the connections at the moment. */
  paused(): void
  /** The connection may serve another exchange. */
  release(connection: Connection): void
  /** The connection is gone; `again` must be sent once more, on a fresh one. */
  closed(connection: Connection, again?: Exchange): void
}

type Phase = 'connecting' | 'idle' | 'sending' | 'headers' | 'body' | 'paused' | 'closed'

/** One socket and the exchange on it. */
export class Connection implements ExchangeHolder {
  readonly #owner: ConnectionOwner
  readonly #socket: Socket
  readonly #parser: AnswerParser
  #exchange: Exchange | undefined
  #phase: Phase = 'connecting'
  #isReused = false
  #idleSinceMs = 0
  #deadlineMs: number
  #sentMs = 0
  #firstByteMs = 0
  #idleMs: number
  #pieceBytes = firstPieceBytes
  #joined: Buffer | undefined

  /** Begins to connect, for `exchange` or for one that is still to come. */
  constructor(owner: ConnectionOwner, exchange: Exchange | undefined) {
    this.#owner = owner
    this.#parser = new AnswerParser(owner.heads)
    this.#exchange = exchange
    if (exchange !== undefined) exchange.holder = this
    this.#idleMs = owner.limits.idleMs
    this.#deadlineMs = owner.clock.nowMs() + owner.limits.connectMs
    const onread = { buffer: this.#nextBuffer, callback: this.#onRead }
    this.#socket = openSocket(owner.peer, onread, () => this.#onReady())
    // What nobody waits for keeps no process alive.
    if (exchange === undefined) this.#socket.unref()
    this.#socket.on('error', (error) => this.#fail(error))
    this.#socket.on('end', () => this.#onEnd())
    this.#socket.on('close', () => this.#fail(this.#closedByServer()))
  }

  /** How long it has been without a request; milliseconds. */
  get idleForMs(): number {
    return this.#owner.clock.nowMs() - this.#idleSinceMs
  }

  /** Whether an answer waits on it for room. */
  get isPaused(): boolean {
    return this.#phase === 'paused'
  }

  /** Sends `exchange` on an idle connection; on one that still connects, as soon as that is done. */
  start(exchange: Exchange): void {
    this.#exchange = exchange
    exchange.holder = this
    if (this.#phase === 'idle' || this.#phase === 'connecting') this.#socket.ref()
    if (this.#phase !== 'connecting') this.#send(exchange)
  }

  /** Ends what has taken too long. */
  check(nowMs: number): void {
    if (this.#phase === 'idle' && nowMs - this.#idleSinceMs >= this.#idleMs) this.destroy()
    else if (this.#isWaitedFor && nowMs >= this.#deadlineMs) this.#fail(this.#tooLate())
  }

  /** The caller gave up; what of the answer is still to come would be read as the next one. */
  drop(): void {
    this.#exchange = undefined
    this.destroy()
  }

  /** Closes the socket at once. */
  destroy(): void {
    this.#close(undefined)
  }

  get #isWaitedFor(): boolean {
    return this.#exchange !== undefined || this.#phase === 'connecting'
  }

  #onReady(): void {
    if (this.#exchange !== undefined) this.#send(this.#exchange)
    else if (this.#phase === 'connecting') this.#rest(Number.POSITIVE_INFINITY)
  }

  #send({ request, head }: Exchange): void {
    this.#parser.begin(request)
    const { body } = request
    if (body === undefined || body.byteLength === 0) {
      this.#socket.write(head, 'latin1')
      this.#enter('headers', this.#owner.limits.headersMs)
      return
    }
    this.#enter('sending', this.#owner.limits.sendMs)
    if (head.length + body.byteLength <= joinedBytes) {
      this.#socket.write(this.#join(head, body), this.#onJoinedSent)
      return
    }
    this.#socket.cork()
    this.#socket.write(head, 'latin1')
    this.#sendBody(body, 0)
    this.#socket.uncork()
  }

  /** Head and body in one piece, in memory that is used again: nothing else is sent before all of it is. */
  #join(head: string, body: Uint8Array): Uint8Array {
    this.#joined ??= Buffer.allocUnsafeSlow(joinedBytes)
    const headBytes = this.#joined.write(head, 0, 'latin1')
    this.#joined.set(body, headBytes)
    return this.#joined.subarray(0, headBytes + body.byteLength)
  }

  readonly #onJoinedSent = (error?: Error | null): void => {
    if (error !== undefined && error !== null) return
    // Else answered and given up meanwhile.
    if (this.#phase === 'sending') this.#enter('headers', this.#owner.limits.headersMs)
  }

  #sendBody(body: Uint8Array, at: number): void {
    const end = Math.min(at + this.#pieceBytes, body.byteLength)
    const piece = at === 0 && end === body.byteLength ? body : body.subarray(at, end)
    const handedMs = this.#owner.clock.nowMs()
    this.#socket.write(piece, (error) => {
      if (error !== undefined && error !== null) return
      this.#pieceBytes = nextPieceBytes(this.#pieceBytes, this.#owner.clock.nowMs() - handedMs)
      // Sent, or answered and given up meanwhile.
      if (this.#phase !== 'sending' || this.#exchange?.request.body !== body) return
      if (end === body.byteLength) this.#enter('headers', this.#owner.limits.headersMs)
      else {
        this.#enter('sending', this.#owner.limits.sendMs)
        this.#sendBody(body, end)
      }
    })
  }

  readonly #nextBuffer = (): Uint8Array => {
    const { directBytes } = this.#parser
    if (directBytes === 0 || this.#phase === 'closed') return this.#owner.scratch
    if (this.#parser.isFull) return this.#owner.scratch
    return this.#parser.space(Math.min(directBytes, maxReadBytes)) ?? this.#owner.scratch
  }

  readonly #onRead = (count: number, buffer: Uint8Array): boolean => {
    if (this.#phase === 'closed') return true
    try {
      this.#take(count, buffer)
      return !this.#pauseIfFull()
    } catch (error) {
      this.#fail(error)
      return true
    }
  }

  #take(count: number, buffer: Uint8Array): void {
    const { scratch } = this.#owner
    if (this.#exchange === undefined || this.#phase === 'connecting') {
      this.destroy()
      return
    }
    let leftOver = 0
    if (buffer !== scratch) this.#parser.filled(count)
    else leftOver = count - this.#takeScratch(count)
    if (this.#parser.isDone) this.#finish(leftOver === 0)
    else if (this.#parser.hasHead && this.#phase !== 'sending') {
      this.#enter('body', this.#owner.limits.bodyMs)
    }
  }

  #takeScratch(count: number): number {
    const hadHead = this.#parser.hasHead
    const taken = this.#parser.take(this.#owner.scratch.subarray(0, count))
    if (hadHead || !this.#parser.hasHead) return taken
    this.#firstByteMs = this.#owner.clock.nowMs() - this.#sentMs
    const { sink } = this.#parser
    if (sink !== undefined) sink.onRoom = () => this.#onRoom()
    return taken
  }

  /** Stops reading while whoever takes the body has no room; no time-out runs meanwhile. */
  #pauseIfFull(): boolean {
    if (this.#exchange === undefined || this.#phase !== 'body' || !this.#parser.isFull) return false
    this.#phase = 'paused'
    this.#deadlineMs = Number.POSITIVE_INFINITY
    // Whoever has stopped taking bytes may have gone: the connection alone keeps no process alive.
    this.#socket.unref()
    this.#owner.paused()
    return true
  }

  #onRoom(): void {
    if (this.#phase !== 'paused') return
    try {
      this.#parser.sink?.drain()
      if (this.#parser.isFull) return
    } catch (error) {
      this.#fail(error)
      return
    }
    this.#socket.ref()
    this.#enter('body', this.#owner.limits.bodyMs)
    this.#socket.resume()
  }

  /** An answer that came before the request was sent leaves a connection that nobody understands. */
  #finish(isClean: boolean): void {
    const exchange = this.#exchange
    const wasSent = this.#phase !== 'sending'
    this.#exchange = undefined
    const { sink } = this.#parser
    const parsed = this.#parser.response(this.#firstByteMs)
    const response = exchange?.wasRepeated === true ? { ...parsed, mayRepeatItself: true } : parsed
    if (isClean && wasSent && this.#parser.keepsAlive) this.#rest(keptForMs(response))
    else this.destroy()
    if (sink?.hasHeld !== true) exchange?.succeed(response)
    else sink.onRoom = () => drainThen(sink, exchange, response)
  }

  #rest(keptForMs: number): void {
    this.#phase = 'idle'
    this.#isReused = true
    this.#idleSinceMs = this.#owner.clock.nowMs()
    this.#idleMs = Math.min(this.#owner.limits.idleMs, keptForMs)
    this.#owner.release(this)
  }

  /** The pool has no request for it: it does not keep the process alive. */
  rest(): void {
    this.#socket.unref()
  }

  #onEnd(): void {
    if (this.#exchange === undefined) {
      this.destroy()
      return
    }
    try {
      // Before anything was asked there is no answer to complete.
      if (this.#phase === 'connecting') throw this.#closedByServer()
      this.#parser.end()
      this.#finish(false)
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    const exchange = this.#exchange
    this.#exchange = undefined
    if (exchange !== undefined && this.#mayRepeat(exchange, error)) {
      exchange.wasRepeated = true
      this.#close(exchange)
      return
    }
    this.#close(undefined)
    exchange?.fail(error)
  }

  /**
   * The server closed a connection that it had kept, at the moment when it was used again: it has
   * not seen the request, or may see it twice without harm.
   */
  #mayRepeat(exchange: Exchange, error: unknown): boolean {
    const wasLost = !(error instanceof TransportError) || error.code === 'ABFS_CLOSED'
    const isRace = this.#isReused && !this.#parser.hasBegun && wasLost
    return isRace && !exchange.wasRepeated && isIdempotent(exchange.request)
  }

  #close(again: Exchange | undefined): void {
    if (this.#phase === 'closed') return
    this.#phase = 'closed'
    this.#socket.destroy()
    this.#owner.closed(this, again)
  }

  #enter(phase: Phase, limitMs: number): void {
    const nowMs = this.#owner.clock.nowMs()
    this.#phase = phase
    this.#deadlineMs = nowMs + limitMs
    if (phase === 'headers') this.#sentMs = nowMs
  }

  #closedByServer(): TransportError {
    const code = this.#phase === 'connecting' ? 'ABFS_CONNECT_CLOSED' : 'ABFS_CLOSED'
    return new TransportError(code, 'the server closed the connection')
  }

  #tooLate(): TransportError {
    const code = timeouts[this.#phase] ?? 'ABFS_HEADERS_TIMEOUT'
    return new TransportError(code, `nothing happened for too long while ${this.#phase}`)
  }
}

/** Beyond this, a longer read saves no time and keeps other connections waiting. */
const maxReadBytes = MiB

/**
 * A head and the body of a small file. Sent together they take one system call without what Node does for a list of
 * pieces, and one record of TLS; each connection that sends small bodies keeps this much memory for it.
 */
const joinedBytes = 20 * KiB

const timeouts: Readonly<Partial<Record<Phase, TransportFault>>> = {
  connecting: 'ABFS_CONNECT_TIMEOUT',
  sending: 'ABFS_SEND_TIMEOUT',
  headers: 'ABFS_HEADERS_TIMEOUT',
  body: 'ABFS_BODY_TIMEOUT',
}

/** The connection has moved on; the last bytes wait for whoever takes them. */
function drainThen(sink: BodySink, exchange: Exchange | undefined, response: HttpResponse): void {
  try {
    sink.drain()
    if (!sink.hasHeld) exchange?.succeed(response)
  } catch (error) {
    exchange?.fail(error)
  }
}

/** `Keep-Alive: timeout=5` (seconds), less a second for the way. */
function keptForMs(response: HttpResponse): number {
  const value = response.headers['keep-alive']
  const [, seconds] = value === undefined ? [] : (/timeout=(\d{1,6})/.exec(value) ?? [])
  return seconds === undefined
    ? Number.POSITIVE_INFINITY
    : Math.max(Number(seconds) * 1000 - 1000, 0)
}
