/**
 * Holds an account's requests to a rate. In the order things happen: a call waits for its turn and for the bytes that it will
 * move, before it takes a place among the requests under way and before any time-out runs; an answer that is
 * taken piece by piece waits for each piece instead; what was used beyond that (answers of a size that nobody knew, attempts
 * after the first) is owed, and those who come next wait for it.
 */
import { KiB } from '../byte-range.ts'
import { type Clock, systemClock } from '../clock.ts'
import type {
  BodyReceiver,
  HttpHandler,
  HttpRequest,
  HttpResponse,
  Interceptor,
} from './handler.ts'
import { TokenBucket } from './token-bucket.ts'

/** How much an account is asked for; what is absent has no limit. */
export interface RateLimits {
  /** Bytes of bodies received a second, at least 1,024. */
  readonly readBytesPerSecond?: number | undefined
  /** Bytes of bodies sent a second, at least 1,024. */
  readonly writeBytesPerSecond?: number | undefined
  /** Requests a second, more than 0. */
  readonly requestsPerSecond?: number | undefined
}

/** What one gets before it is another's turn: small reads wait no longer for a large one beside them. */
const sliceBytes = 64 * KiB

/** The limits of one account. */
export class RateLimiter {
  readonly #requests: TokenBucket | undefined
  readonly #received: TokenBucket | undefined
  readonly #sent: TokenBucket | undefined

  /** Throws a RangeError that names the limit which is none. */
  constructor(limits: RateLimits, clock: Clock = systemClock) {
    const { readBytesPerSecond, writeBytesPerSecond, requestsPerSecond } = limits
    this.#requests = bucketOf({ requestsPerSecond }, 1, clock)
    this.#received = bucketOf({ readBytesPerSecond }, sliceBytes, clock)
    this.#sent = bucketOf({ writeBytesPerSecond }, sliceBytes, clock)
  }

  /** An interceptor that waits: to stand before the one that repeats. */
  readonly wait: Interceptor = (next) => (request) => this.#send(next, request)

  /** An interceptor that counts what is sent without having waited: to stand next to the wire. */
  readonly count: Interceptor = (next) => (request) => {
    const { attempt = 1, hedge, body } = request
    if (attempt > 1 || hedge === true) {
      this.#requests?.spend(1)
      this.#sent?.spend(body?.length ?? 0)
    }
    return next(request)
  }

  async #send(next: HttpHandler, request: HttpRequest): Promise<HttpResponse> {
    const { body, receiver, signal } = request
    await this.#requests?.take(1, signal)
    await this.#sent?.take(body?.length ?? 0, signal)
    const received = this.#received
    if (received === undefined) return next(request)
    if (receiver === undefined) return this.#receive(next, request, received)
    const paced = new PacedReceiver(receiver, received, signal)
    try {
      return await next({ ...request, receiver: paced })
    } finally {
      paced.end()
    }
  }

  async #receive(
    next: HttpHandler,
    request: HttpRequest,
    received: TokenBucket,
  ): Promise<HttpResponse> {
    const expected = expectedBytes(request)
    await received.take(expected, request.signal)
    let actual = 0
    try {
      const response = await next(request)
      actual = response.body.length
      return response
    } finally {
      received.spend(actual - expected)
    }
  }
}

function bucketOf(
  limit: Readonly<Record<string, number | undefined>>,
  slice: number,
  clock: Clock,
): TokenBucket | undefined {
  const [[name, perSecond] = ['', undefined]] = Object.entries(limit)
  if (perSecond === undefined) return undefined
  // Less would be hours for what is asked for at once.
  const least = slice === 1 ? Number.MIN_VALUE : KiB
  if (Number.isFinite(perSecond) && perSecond >= least) {
    return new TokenBucket(perSecond, slice, clock)
  }
  const wanted = slice === 1 ? 'a number above 0' : `a number from ${KiB} on`
  throw new RangeError(`${name}: expected ${wanted}, got ${perSecond}`)
}

/** How many bytes are asked for; 0 where that is not known. */
function expectedBytes({ method, into, headers }: HttpRequest): number {
  if (method !== 'GET') return 0
  if (into !== undefined) return into.length
  const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(headers['x-ms-range'] ?? '') ?? []
  return start === undefined || end === undefined ? 0 : Number(end) - Number(start) + 1
}

/** `receiver`, with room for no more than it may have by now. */
class PacedReceiver implements BodyReceiver {
  readonly #receiver: BodyReceiver
  readonly #bucket: TokenBucket
  readonly #signal: AbortSignal | undefined
  #allowed = 0
  #resume: (() => void) | undefined
  #hasEnded = false

  constructor(receiver: BodyReceiver, bucket: TokenBucket, signal: AbortSignal | undefined) {
    this.#receiver = receiver
    this.#bucket = bucket
    this.#signal = signal
  }

  get receivedBytes(): number {
    return this.#receiver.receivedBytes
  }

  begin(status: number, headers: Readonly<Record<string, string>>): void {
    this.#receiver.begin(status, headers)
  }

  next(resume: () => void): Uint8Array | undefined {
    const room = this.#receiver.next(resume)
    if (room === undefined || room.length === 0) return room
    if (this.#allowed === 0 && this.#bucket.tryTake(sliceBytes)) this.#allowed = sliceBytes
    if (this.#allowed > 0) return room.subarray(0, this.#allowed)
    this.#ask(resume)
    return undefined
  }

  filled(count: number): void {
    this.#allowed -= count
    this.#receiver.filled(count)
  }

  /** Gives back what the body did not need. */
  end(): void {
    this.#hasEnded = true
    this.#bucket.spend(-this.#allowed)
    this.#allowed = 0
  }

  #ask(resume: () => void): void {
    const isAsking = this.#resume !== undefined
    this.#resume = resume
    if (isAsking) return
    const go = () => {
      const waiting = this.#resume
      this.#resume = undefined
      if (this.#hasEnded) this.#bucket.spend(-sliceBytes)
      else this.#allowed = sliceBytes
      waiting?.()
    }
    // Who aborts the request ends it by itself.
    this.#bucket.take(sliceBytes, this.#signal).then(go, () => undefined)
  }
}
