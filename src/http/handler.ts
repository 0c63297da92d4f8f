/** What proves a part of a request: one of the two. Holds a secret. */
export interface PartCredential {
  readonly authorization?: string | undefined
  /** Without `?`. */
  readonly query?: string | undefined
}

/** One request. Headers are lower-case names with one value each. */
export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE' | 'PATCH'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** Sent as it stands; the caller does not change the bytes until the call settles. */
  readonly body?: Uint8Array | undefined
  /** What the caller is doing, for telemetry and errors: `blob.get`. */
  readonly operation: string
  /** The blob path that telemetry and errors name; the URL without query when absent. */
  readonly path?: string | undefined
  /** Makes the body anew with the credential that each of its parts carries by itself; called by `authorize`. */
  readonly bodyOf?: ((credential: PartCredential) => Uint8Array) | undefined
  /** What an answer to many requests in one tells of how busy the account is. Absent: what it says itself. */
  readonly verdictOf?: ((response: HttpResponse) => HttpResponse) | undefined
  /** Operations within a batch, which the service counts one by one beside the request. Absent: no batch. */
  readonly parts?: number | undefined
  /**
   * Where the body of a 2xx answer goes. A longer body fails; a shorter one leaves the rest
   * untouched. `HttpResponse.body` is then a view on these bytes. May be written by several
   * attempts, so it must not be read before the call settles.
   */
  readonly into?: Uint8Array | undefined
  /**
   * Where the body of a 2xx answer lies if there is room for it: a longer one is gathered elsewhere. As with `into`,
   * not to be read before the call settles.
   */
  readonly room?: Uint8Array | undefined
  /**
   * Takes the body of a 2xx answer piece by piece, instead of `into`; `HttpResponse.body` is then
   * empty. `retry` does not repeat a request whose receiver has bytes.
   */
  readonly receiver?: BodyReceiver | undefined
  /** The longest 2xx body accepted when `into` is absent; bytes. Default 16 MiB. */
  readonly maxBodyBytes?: number | undefined
  /** Whether sending the request twice does no harm. Default: GET, HEAD, PUT and DELETE. */
  readonly idempotent?: boolean | undefined
  /** `retry` makes no more attempts than this, however patient it is: the caller has another way. */
  readonly maxAttempts?: number | undefined
  /** Which try this is, counted from 1; set by `retry`. Absent: the first. */
  readonly attempt?: number | undefined
  /** A second request for what another one is late with; set by `hedge`. */
  readonly hedge?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Takes a long body into buffers of its own, at its own pace: while it has no room, nothing is read
 * from the connection and no time-out runs. What a method throws ends the request with that error.
 */
export interface BodyReceiver {
  /** Bytes of this body taken so far. */
  readonly receivedBytes: number
  /** Told the headers of a 2xx answer before its first byte; again when the request is repeated. */
  begin(status: number, headers: Readonly<Record<string, string>>): void
  /**
   * Where the next bytes go: the buffer is written to until the call settles, and `filled` says how
   * far. `undefined` means: not now; `resume` is to be called once there is room. An empty buffer
   * means that no more bytes are expected.
   */
  next(resume: () => void): Uint8Array | undefined
  /** `count` bytes, at least 1, were written to the beginning of the buffer that `next` gave last. */
  filled(count: number): void
}

/**
 * The complete answer: a body is a bounded range or page and held whole, unless the request had a
 * receiver for it.
 */
export interface HttpResponse {
  readonly status: number
  /** Lower-case names; repeated headers are joined by `, `. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** From the request's last byte to the answer's head; milliseconds. `undefined` where unknown. */
  readonly firstByteMs?: number | undefined
  /**
   * Set by `retry`: an earlier attempt may have taken effect without its answer arriving, so what this
   * one found may be the request's own doing.
   */
  readonly mayRepeatItself?: boolean | undefined
}

/**
 * Sends one request and resolves with whatever the server answered, 4xx and 5xx included. Rejects
 * with `FileSystemError` `EIO` (`retryable`) when no complete answer came, `ETIMEDOUT` when a
 * time-out passed, `EFBIG` when a 2xx body is longer than accepted, and with `signal.reason` when aborted. Never
 * throws by itself.
 */
export type HttpHandler = (request: HttpRequest) => Promise<HttpResponse>

/** Wraps a handler in another. */
export type Interceptor = (next: HttpHandler) => HttpHandler

/** The first interceptor is outermost: it sees a request first and its response last. */
export function intercept(
  handler: HttpHandler,
  ...interceptors: readonly Interceptor[]
): HttpHandler {
  return interceptors.reduceRight((next, interceptor) => interceptor(next), handler)
}

/** A handler with sockets of its own. */
export interface ClosableHandler {
  readonly handle: HttpHandler
  /** Begins to connect to the origin of `url`, for a request that is about to come. Absent: nothing is opened ahead. */
  readonly prepare?: ((url: URL) => void) | undefined
  /** Closes idle connections at once and the others after their answer; never throws. */
  close(): Promise<void>
}

/** How a handler at the bottom of the stack connects. */
export interface TransportOptions {
  /** PEM of an authority to trust beside the system's. Certificates are always verified. */
  readonly ca?: string | Buffer | undefined
  /** Connections per origin; more requests wait for one. Default 64. */
  readonly maxSockets?: number | undefined
  /** Name lookup, TCP and TLS together. Default 10 s. */
  readonly connectTimeoutMs?: number | undefined
  /** Between two pieces of a request's body that the connection takes. Default 30 s. */
  readonly sendIdleTimeoutMs?: number | undefined
  /** From the request's last byte to the answer's headers. Default 60 s. */
  readonly headersTimeoutMs?: number | undefined
  /** Between two pieces of an answer's body. Default 30 s. */
  readonly bodyIdleTimeoutMs?: number | undefined
}

/** Whether sending `request` twice does no harm. */
export function isIdempotent(request: HttpRequest): boolean {
  return request.idempotent ?? (request.method !== 'POST' && request.method !== 'PATCH')
}
