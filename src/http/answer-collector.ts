import type { Dispatcher } from 'undici'
import { type Clock, systemClock } from '../clock.ts'
import { whenAborted } from '../concurrency.ts'
import { FileSystemError } from '../errors.ts'
import { type BodySink, bodySink } from './body-sink.ts'
import type { Settlement } from './exchange.ts'
import type { HttpRequest, HttpResponse } from './handler.ts'
import { networkError } from './network-error.ts'

type Controller = Dispatcher.DispatchController
type RawHeaders = Readonly<Record<string, string | string[] | undefined>>

/**
 * Takes one answer off undici's dispatcher, piece by piece, and settles the promise of its request.
 * The bytes of a 2xx answer are copied once, from the socket's buffer to where the caller wants
 * them: into `request.into`, or into a buffer of the announced length.
 */
export class AnswerCollector implements Dispatcher.DispatchHandler {
  readonly #request: HttpRequest
  readonly #clock: Clock
  readonly #resolve: (response: HttpResponse) => void
  readonly #reject: (error: unknown) => void
  #controller: Controller | undefined
  #status = 0
  #headers: Readonly<Record<string, string>> = {}
  #sink: BodySink | undefined
  #startedMs = 0
  #firstByteMs: number | undefined
  #isComplete = false

  constructor(request: HttpRequest, { resolve, reject }: Settlement, clock: Clock = systemClock) {
    this.#request = request
    this.#clock = clock
    this.#resolve = resolve
    this.#reject = reject
    if (request.signal !== undefined) this.#listenTo(request.signal)
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller
    this.#startedMs = this.#clock.nowMs()
    if (this.#request.signal?.aborted === true) this.#onAbort()
  }

  onResponseStart(_controller: Controller, status: number, headers: RawHeaders): void {
    if (status < 200) return
    this.#status = status
    this.#headers = joinRepeated(headers)
    this.#firstByteMs = this.#clock.nowMs() - this.#startedMs
    const announcedBytes = this.#announcedBytes()
    this.#sink = bodySink(this.#request, { status, headers: this.#headers, announcedBytes })
    this.#sink.onRoom = () => this.#onRoom()
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    this.#sink?.write(chunk)
    if (this.#sink?.isFull === true) controller.pause()
  }

  onResponseEnd(): void {
    this.#isComplete = true
    if (this.#sink?.hasHeld !== true) this.#succeed()
  }

  #onRoom(): void {
    try {
      this.#sink?.drain()
    } catch (error) {
      this.#controller?.abort(error instanceof Error ? error : new Error(String(error)))
      this.#reject(error)
      return
    }
    if (this.#sink?.hasHeld === true) return
    if (this.#isComplete) this.#succeed()
    else this.#controller?.resume()
  }

  #succeed(): void {
    this.#request.signal?.removeEventListener('abort', this.#onAbort)
    const body = this.#sink?.body ?? Buffer.alloc(0)
    const firstByteMs = this.#firstByteMs
    this.#resolve({ status: this.#status, headers: this.#headers, body, firstByteMs })
  }

  onResponseError(_controller: Controller | undefined, error: Error): void {
    const { signal } = this.#request
    signal?.removeEventListener('abort', this.#onAbort)
    this.#sink = undefined
    if (signal?.aborted === true) this.#reject(signal.reason)
    else this.#reject(error instanceof FileSystemError ? error : networkError(this.#request, error))
  }

  /** Rejects at once: a request still waiting for a socket has nobody else to tell it. */
  readonly #onAbort = (): void => {
    const { signal } = this.#request
    signal?.removeEventListener('abort', this.#onAbort)
    this.#sink = undefined
    this.#controller?.abort(new Error('aborted by the caller'))
    this.#reject(signal?.reason)
  }

  #listenTo(signal: AbortSignal): void {
    whenAborted(signal, this.#onAbort)
  }

  #announcedBytes(): number {
    if (this.#request.method === 'HEAD') return 0
    const length = this.#headers['content-length']
    return length === undefined ? 0 : Number(length)
  }
}

function joinRepeated(headers: RawHeaders): Record<string, string> {
  const joined: Record<string, string> = {}
  for (const name in headers) {
    const value = headers[name]
    if (value !== undefined)
      joined[name] = typeof value === 'string' ? value.trim() : joinTrimmed(value)
  }
  return joined
}

function joinTrimmed(values: readonly string[]): string {
  return values.map((value) => value.trim()).join(', ')
}
