import { MiB } from '../byte-range.ts'
import { FileSystemError } from '../errors.ts'
import type { BodyReceiver, HttpRequest } from './handler.ts'
import { targetOf } from './network-error.ts'
import { badAnswer } from './transport-error.ts'

/** The longest 2xx body of a request that names no limit. */
export const defaultMaxBodyBytes: number = 16 * MiB
/** Azure's error documents are under 2 KiB; a proxy's page may be longer. */
const maxErrorBodyBytes = MiB

/** What is known of an answer before its body. */
export interface BodyStart {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** The announced length; 0 when there is none. */
  readonly announcedBytes: number
}

/** Where the bytes of one body go. Every method throws what makes the answer worthless. */
export interface BodySink {
  /** What has come so far, where it is held. */
  readonly body: Uint8Array
  /** Whether there is no room now: reading is to stop until `onRoom`. */
  readonly isFull: boolean
  /** Whether bytes have been written that nobody has taken yet. */
  readonly hasHeld: boolean
  /** Hands over what is held, as far as there is room. */
  drain(): void
  /** Called when there is room again. */
  onRoom: (() => void) | undefined
  /** Says that `count` more bytes will come. */
  reserve(count: number): void
  /** Copies bytes to the end of the body; holds them while there is no room. */
  write(bytes: Uint8Array): void
  /** Where at most `count` next bytes go, to be told by `filled`; `undefined` while there is no room. */
  space(count: number): Uint8Array | undefined
  filled(count: number): void
}

/** The sink of one answer. A 2xx body goes where the request says; every other is gathered. */
export function bodySink(request: HttpRequest, start: BodyStart): BodySink {
  const { receiver } = request
  if (receiver === undefined || start.status >= 300) return new GatheringSink(request, start)
  const limit = request.maxBodyBytes ?? Number.POSITIVE_INFINITY
  if (start.announcedBytes > limit) throw tooLong(request, start.status, limit)
  receiver.begin(start.status, start.headers)
  return new ReceiverSink(receiver, (end) => {
    if (end > limit) throw tooLong(request, start.status, limit)
  })
}

/**
 * Gathers the body of one answer: a 2xx body in `request.into` or `request.room`, every other in a buffer of the
 * announced length, which grows where the server announced none. Throws `FileSystemError` `EFBIG`
 * for more bytes than the request accepts, at the announcement where there is one.
 */
class GatheringSink implements BodySink {
  readonly isFull = false
  readonly hasHeld = false
  onRoom: (() => void) | undefined
  readonly #request: HttpRequest
  readonly #status: number
  readonly #limit: number
  #target: Uint8Array
  #received = 0

  constructor(request: HttpRequest, { status, announcedBytes }: BodyStart) {
    const { into, room, maxBodyBytes = defaultMaxBodyBytes } = request
    this.#request = request
    this.#status = status
    if (status >= 300) this.#limit = maxErrorBodyBytes
    else this.#limit = into?.length ?? maxBodyBytes
    if (announcedBytes > this.#limit) throw this.#tooLong()
    const place = status < 300 ? (into ?? room) : undefined
    const isEnough = place !== undefined && announcedBytes <= place.length
    this.#target = isEnough ? place : Buffer.allocUnsafe(announcedBytes)
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    const end = this.#received + count
    if (end > this.#limit) throw this.#tooLong()
    if (end <= this.#target.length) return
    const larger = Buffer.allocUnsafe(Math.min(Math.max(end, 2 * this.#target.length), this.#limit))
    larger.set(this.#target.subarray(0, this.#received))
    this.#target = larger
  }

  /** Copies bytes to the end of the body. */
  write(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.#target.set(bytes, this.#received)
    this.#received += bytes.length
  }

  /** Where the next `count` bytes, reserved before, go; to be told by `filled` once they are there. */
  space(count: number): Uint8Array {
    return this.#target.subarray(this.#received, this.#received + count)
  }

  filled(count: number): void {
    this.#received += count
  }

  drain(): void {}

  /** What has come so far. */
  get body(): Uint8Array {
    return this.#target.subarray(0, this.#received)
  }

  #tooLong(): FileSystemError {
    return tooLong(this.#request, this.#status, this.#limit)
  }
}

/**
 * Hands the body on to a receiver. Bytes that come while it has no room (TLS gives all that it has
 * decrypted) are held: no more than was read at once.
 */
class ReceiverSink implements BodySink {
  readonly body: Uint8Array = new Uint8Array(0)
  onRoom: (() => void) | undefined
  readonly #receiver: BodyReceiver
  readonly #checkEnd: (endBytes: number) => void
  readonly #held: Uint8Array[] = []
  #expected = 0
  #room: Uint8Array | undefined

  constructor(receiver: BodyReceiver, checkEnd: (endBytes: number) => void) {
    this.#receiver = receiver
    this.#checkEnd = checkEnd
  }

  get isFull(): boolean {
    return this.hasHeld || this.#next() === undefined
  }

  get hasHeld(): boolean {
    return this.#held.length > 0
  }

  reserve(count: number): void {
    this.#checkEnd(this.#expected + count)
  }

  write(bytes: Uint8Array): void {
    this.#expected += bytes.length
    this.#checkEnd(this.#expected)
    const rest = this.hasHeld ? bytes : this.#hand(bytes)
    // The buffer they lie in is used again.
    if (rest.length > 0) this.#held.push(Uint8Array.from(rest))
  }

  space(count: number): Uint8Array | undefined {
    if (this.hasHeld) return undefined
    const room = this.#next()
    // Node would read into an empty buffer for ever: what comes now is refused by `write`.
    if (room === undefined || room.length === 0) return undefined
    return room.length <= count ? room : room.subarray(0, count)
  }

  filled(count: number): void {
    this.#expected += count
    this.#taken(count)
  }

  /** Copies what there is room for; returns the rest. */
  #hand(bytes: Uint8Array): Uint8Array {
    let rest = bytes
    while (rest.length > 0) {
      const room = this.#next()
      if (room === undefined) return rest
      if (room.length === 0) throw badAnswer('it goes on after its end')
      const piece = rest.subarray(0, room.length)
      room.set(piece)
      this.#taken(piece.length)
      rest = rest.subarray(piece.length)
    }
    return rest
  }

  #taken(count: number): void {
    this.#room = undefined
    this.#receiver.filled(count)
  }

  #next(): Uint8Array | undefined {
    this.#room ??= this.#receiver.next(this.#resume)
    return this.#room
  }

  readonly #resume = (): void => {
    this.onRoom?.()
  }

  drain(): void {
    for (let piece = this.#held.shift(); piece !== undefined; piece = this.#held.shift()) {
      const rest = this.#hand(piece)
      if (rest.length === 0) continue
      this.#held.unshift(rest)
      return
    }
  }
}

function tooLong(request: HttpRequest, status: number, limit: number): FileSystemError {
  return new FileSystemError('EFBIG', request.operation, {
    path: targetOf(request),
    statusCode: status,
    detail: `${request.url.host} sent more than the ${limit} bytes asked for`,
  })
}
