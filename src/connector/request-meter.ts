import type { FastifyRequest } from 'fastify'
import type { Clock } from '../clock.ts'
import type { AuditAction } from './audit.ts'
import type { ConnectorError } from './connector-error.ts'
import type { Metrics, Outcome } from './metrics.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the audit log and the metrics call the route. */
    action?: AuditAction
    /** The path as it is declared. */
    path?: string
    /** Whether an access token of a session opens it. */
    inSessions?: boolean
  }
}

/** Counts the requests of known callers as they are answered. */
export class RequestMeter {
  readonly #metrics: Metrics
  readonly #clock: Clock
  readonly #begun = new WeakMap<FastifyRequest, number>()
  readonly #refusals = new WeakMap<FastifyRequest, ConnectorError>()

  constructor(metrics: Metrics, clock: Clock) {
    this.#metrics = metrics
    this.#clock = clock
  }

  begin(request: FastifyRequest): void {
    this.#begun.set(request, this.#clock.nowMs())
  }

  refused(request: FastifyRequest, error: ConnectorError): void {
    this.#refusals.set(request, error)
  }

  refusalOf(request: FastifyRequest): ConnectorError | undefined {
    return this.#refusals.get(request)
  }

  end(request: FastifyRequest): void {
    const { action } = request.routeOptions.config
    const begunAtMs = this.#begun.get(request)
    if (action === undefined || begunAtMs === undefined) return
    this.#metrics.observe(
      outcomeOf(action, this.#refusals.get(request)),
      this.#clock.nowMs() - begunAtMs,
    )
  }
}

function outcomeOf(action: Outcome['action'], error: ConnectorError | undefined): Outcome {
  if (error === undefined) return { action, decision: 'granted', reason: '' }
  const decision = error.status >= 500 ? 'failed' : 'denied'
  return { action, decision, reason: error.reason }
}
