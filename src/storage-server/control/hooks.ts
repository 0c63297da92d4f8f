import type { StorageAnswer } from '../wire/answer.ts'
import type { StorageRequest } from '../wire/request.ts'
import type { StorageError } from '../wire/storage-error.ts'

/**
 * What watches and disturbs the requests of a server. The frame calls `begin` for each request once
 * its verb is known and before access is checked, and does as the exchange says.
 */
export interface ServerHooks {
  /** May wait: latency is added here. `verb` is `Verb.name`, or `Unknown`. */
  begin(request: StorageRequest, verb: string): Exchange | Promise<Exchange>
}

/** One request on its way through the server. */
export interface Exchange {
  /** What to answer in the place of the verb's answer. */
  readonly instead?: Interference | undefined
  /** The verb runs all the same, and only its answer is lost: what a retry may meet. */
  readonly runsVerb?: boolean | undefined
  /**
   * Wraps the bytes of the answer's body on their way out; headers (`content-length` too) go out as
   * they would without it. When it throws, the frame destroys the socket. When it ends early, the
   * frame destroys the socket after what it yielded has been flushed.
   */
  readonly body?: ((chunks: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>) | undefined
  /** The frame calls it once, when the answer has been written or the connection is gone. */
  end(outcome: Outcome): void
}

/** In place of the verb: an answer, a refusal, a closed connection. */
export type Interference =
  | { readonly kind: 'answer'; readonly answer: StorageAnswer }
  | { readonly kind: 'error'; readonly error: StorageError }
  /** Destroy the socket without a byte. */
  | { readonly kind: 'reset' }

/** How an exchange ended. */
export interface Outcome {
  /** 0 when the connection went before a status was sent. */
  readonly status: number
  readonly errorCode?: string | undefined
  /** Bytes of bodies. */
  readonly bytesIn: number
  readonly bytesOut: number
}
