import type { TransportOptions } from './handler.ts'

/** How long each phase of an attempt may take; milliseconds. What takes longer is given up, and sent again as `retry` says. */
export interface Timeouts {
  /** Name lookup, TCP and TLS together. Default 10 s. */
  readonly connectMs?: number | undefined
  /** Between two pieces of a request's body that the connection takes. Default 30 s. */
  readonly sendMs?: number | undefined
  /** From the request's last byte to the answer's headers. Default 60 s. */
  readonly headersMs?: number | undefined
  /** Between two pieces of an answer's body. Default 30 s. */
  readonly bodyMs?: number | undefined
}

/** The same as a transport takes it. */
export function transportTimeouts(timeouts: Timeouts = {}): TransportOptions {
  const { connectMs, sendMs, headersMs, bodyMs } = timeouts
  return {
    connectTimeoutMs: connectMs,
    sendIdleTimeoutMs: sendMs,
    headersTimeoutMs: headersMs,
    bodyIdleTimeoutMs: bodyMs,
  }
}
