import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Clock } from '../clock.ts'
import type { ConnectorError } from './connector-error.ts'
import type { Metrics, Outcome } from './metrics.ts'
import { CREDENTIALS_PATH, HEALTH_PATH, TOKEN_PATH } from './protocol.ts'
import type { ReadinessCheck } from './readiness.ts'

/** What the state of a connector is told from. */
export interface StatusSources {
  readonly metrics: Metrics
  readonly readiness: ReadinessCheck
}

/** Adds what anybody may ask: whether it runs, whether it can serve, and what it counted. */
export function addStatusRoutes(server: FastifyInstance, status: StatusSources): void {
  const { metrics, readiness } = status
  for (const path of [HEALTH_PATH, '/healthz']) server.get(path, async () => ({ status: 'ok' }))
  server.get('/readyz', async (_request, reply) => {
    const { ready, reason } = await readiness.get()
    const body = ready ? { status: 'ready' } : { status: 'not ready', reason }
    return reply.code(ready ? 200 : 503).send(body)
  })
  server.get('/metrics', async (_request, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(metrics.format(readiness.last)),
  )
}

/** Counts the requests for credentials and tokens as they are answered. */
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

  end(request: FastifyRequest): void {
    const action = actions[request.routeOptions.url ?? '']
    const begunAtMs = this.#begun.get(request)
    if (action === undefined || begunAtMs === undefined) return
    this.#metrics.observe(
      outcomeOf(action, this.#refusals.get(request)),
      this.#clock.nowMs() - begunAtMs,
    )
  }
}

const actions: Readonly<Record<string, Outcome['action']>> = {
  [CREDENTIALS_PATH]: 'credentials.issue',
  [TOKEN_PATH]: 'tokens.issue',
}

function outcomeOf(action: Outcome['action'], error: ConnectorError | undefined): Outcome {
  if (error === undefined) return { action, decision: 'granted', reason: '' }
  const decision = error.status >= 500 ? 'failed' : 'denied'
  return { action, decision, reason: error.reason }
}
