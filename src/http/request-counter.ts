import type { RequestCounts } from '../telemetry.ts'
import type { HttpHandler, HttpRequest, HttpResponse } from './handler.ts'

/** Counts what passes; to stand where `trace` does, next to the wire. */
export class RequestCounter {
  readonly #byOperation = new Map<string, number>()
  #bytesSent = 0
  #bytesReceived = 0
  #retries = 0
  #hedges = 0
  #unanswered = 0
  #batched = 0

  /** What passed since this was made. */
  get counts(): RequestCounts {
    const requests = [...this.#byOperation.values()].reduce((sum, count) => sum + count, 0)
    return {
      requests,
      byOperation: Object.fromEntries([...this.#byOperation].sort()),
      bytesSent: this.#bytesSent,
      bytesReceived: this.#bytesReceived,
      retries: this.#retries,
      hedges: this.#hedges,
      unanswered: this.#unanswered,
      batched: this.#batched,
    }
  }

  /** An interceptor. */
  readonly intercept = (next: HttpHandler): HttpHandler => {
    return (request) => {
      this.#begin(request)
      const answer = next(request)
      answer.then(
        (response) => this.#end(request, response),
        () => this.#end(request, undefined),
      )
      return answer
    }
  }

  #begin({ operation, body, attempt = 1, hedge, parts = 0 }: HttpRequest): void {
    this.#byOperation.set(operation, (this.#byOperation.get(operation) ?? 0) + 1)
    this.#bytesSent += body?.length ?? 0
    if (attempt > 1) this.#retries += 1
    if (hedge === true) this.#hedges += 1
    this.#batched += parts
  }

  #end({ receiver }: HttpRequest, response: HttpResponse | undefined): void {
    this.#bytesReceived += (receiver?.receivedBytes ?? 0) + (response?.body.length ?? 0)
    if (response === undefined) this.#unanswered += 1
  }
}
