import { whenAborted } from '../concurrency.ts'
import { FileSystemError } from '../errors.ts'
import type { HttpRequest, HttpResponse } from './handler.ts'
import { networkError } from './network-error.ts'

/** Whoever has an exchange at the moment: the queue or a connection. */
export interface ExchangeHolder {
  /** The exchange was aborted: it is settled, and nothing more is to be done for it. */
  drop(exchange: Exchange): void
}

/** Where the outcome of an exchange goes. */
export interface Settlement {
  readonly resolve: (response: HttpResponse) => void
  readonly reject: (error: unknown) => void
}

/** One request and the promise of its answer, from the call to its settlement. */
export class Exchange {
  readonly request: HttpRequest
  /** The request line and headers, in latin1. */
  readonly head: string
  holder: ExchangeHolder | undefined
  /** Whether it was sent before, on a connection that turned out to be closed. */
  wasRepeated = false
  readonly #settlement: Settlement

  constructor(request: HttpRequest, head: string, settlement: Settlement) {
    this.head = head
    this.request = request
    this.#settlement = settlement
    const { signal } = request
    if (signal === undefined) return
    whenAborted(signal, this.#onAbort)
  }

  succeed(response: HttpResponse): void {
    this.#release()
    this.#settlement.resolve(response)
  }

  fail(error: unknown): void {
    this.#release()
    const isKnown = error instanceof FileSystemError
    this.#settlement.reject(isKnown ? error : networkError(this.request, error))
  }

  readonly #onAbort = (): void => {
    const { holder } = this
    this.#release()
    this.#settlement.reject(this.request.signal?.reason)
    holder?.drop(this)
  }

  #release(): void {
    this.holder = undefined
    this.request.signal?.removeEventListener('abort', this.#onAbort)
  }
}
