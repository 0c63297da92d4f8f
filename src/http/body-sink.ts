import { MiB } from '../byte-range.ts'
import { FileSystemError } from '../errors.ts'
import type { HttpRequest } from './handler.ts'
import { targetOf } from './network-error.ts'

const defaultMaxBodyBytes = 16 * MiB
/** Azure's error documents are under 2 KiB; a proxy's page may be longer. */
const maxErrorBodyBytes = MiB

/** What is known of an answer before its body. */
export interface BodyStart {
  readonly status: number
  /** The announced length; 0 when there is none. */
  readonly announcedBytes: number
}

/**
 * Gathers the body of one answer: a 2xx body in `request.into`, every other in a buffer of the
 * announced length, which grows where the server announced none. Throws `FileSystemError` `EFBIG`
 * for more bytes than the request accepts, at the announcement where there is one.
 */
export class BodySink {
  readonly #request: HttpRequest
  readonly #status: number
  readonly #limit: number
  #target: Uint8Array
  #received = 0

  constructor(request: HttpRequest, { status, announcedBytes }: BodyStart) {
    const { into, maxBodyBytes = defaultMaxBodyBytes } = request
    this.#request = request
    this.#status = status
    if (status >= 300) this.#limit = maxErrorBodyBytes
    else this.#limit = into?.length ?? maxBodyBytes
    if (announcedBytes > this.#limit) throw this.#tooLong()
    this.#target = status < 300 && into !== undefined ? into : Buffer.allocUnsafe(announcedBytes)
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

  /** What has come so far. */
  get body(): Uint8Array {
    return this.#target.subarray(0, this.#received)
  }

  #tooLong(): FileSystemError {
    return new FileSystemError('EFBIG', this.#request.operation, {
      path: targetOf(this.#request),
      statusCode: this.#status,
      detail: `${this.#request.url.host} sent more than the ${this.#limit} bytes asked for`,
    })
  }
}
