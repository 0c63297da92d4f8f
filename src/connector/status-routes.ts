import { z } from 'zod'
import type { Metrics } from './metrics.ts'
import { HEALTH_PATH } from './protocol.ts'
import type { ReadinessCheck } from './readiness.ts'
import { openRoute, type Route } from './route.ts'

/** What the state of a connector is told from. */
export interface StatusSources {
  readonly metrics: Metrics
  readonly readiness: ReadinessCheck
}

const ready = z.object({ status: z.literal('ready') })
const notReady = z.object({
  status: z.literal('not ready'),
  reason: z.enum(['identity_refused', 'identity_unavailable']),
})

/** What anybody may ask: whether it runs, whether it can serve, and what it counted. */
export function statusRoutes(status: StatusSources): readonly Route[] {
  return [
    health(HEALTH_PATH, 'getHealth'),
    health('/healthz', 'getHealthz'),
    readiness(status.readiness),
    metrics(status),
  ]
}

function health(path: string, operationId: string): Route {
  return openRoute({
    method: 'GET',
    path,
    operationId,
    summary: 'Whether the connector runs',
    answers: { 200: { description: 'It runs', body: z.object({ status: z.literal('ok') }) } },
    handle: () => ({ status: 200, body: { status: 'ok' } }),
  })
}

function readiness(check: ReadinessCheck): Route {
  return openRoute({
    method: 'GET',
    path: '/readyz',
    operationId: 'getReadiness',
    summary: "Whether the connector's identity can sign in",
    answers: {
      200: { description: 'It can', body: ready },
      503: { description: 'It cannot; the log of the connector says more', body: notReady },
    },
    handle: async () => {
      const { ready, reason } = await check.get()
      return ready
        ? { status: 200, body: { status: 'ready' } }
        : { status: 503, body: { status: 'not ready', reason } }
    },
  })
}

function metrics({ metrics, readiness }: StatusSources): Route {
  const mediaType = 'text/plain; version=0.0.4; charset=utf-8'
  return openRoute({
    method: 'GET',
    path: '/metrics',
    operationId: 'getMetrics',
    summary: 'Counts and latencies in the text format of Prometheus',
    answers: { 200: { description: 'Samples', body: z.string(), mediaType } },
    handle: () => ({ status: 200, body: metrics.format(readiness.last) }),
  })
}
