import {
  type Context,
  context,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import type { FastifyRequest } from 'fastify'
import { ConnectorError } from './connector-error.ts'

/*
 * Spans by OpenTelemetry's API: nothing happens until a program registers an SDK. Attributes come
 * from closed sets; nothing of a credential, a scope or a proof is in them.
 */

const tracer = trace.getTracer('abfs-connector')
const contexts = new WeakMap<FastifyRequest, Context>()

/** Begins the span of a request, below the one that its headers name. */
export function beginSpan(request: FastifyRequest, route: string): void {
  const parent = propagation.extract(context.active(), request.headers)
  const attributes = { 'http.request.method': request.method, 'http.route': route }
  const options = { kind: SpanKind.SERVER, attributes }
  const span = tracer.startSpan(`${request.method} ${route}`, options, parent)
  contexts.set(request, trace.setSpan(parent, span))
}

/** Runs a part of the handling of a request below its span. */
export function withinSpan<T>(request: FastifyRequest, work: () => T): T {
  return context.with(contexts.get(request) ?? context.active(), work)
}

/** Ends the span of a request that was answered; `error` is what refused it. */
export function endSpan(
  request: FastifyRequest,
  status: number,
  error: ConnectorError | undefined,
): void {
  const span = trace.getSpan(contexts.get(request) ?? context.active())
  if (span === undefined) return
  span.setAttribute('http.response.status_code', status)
  if (error !== undefined) note(span, error)
  span.end()
}

/** Runs `work` in a span of its own below the current one. */
export function spanned<T>(name: string, work: () => Promise<T>): Promise<T> {
  return tracer.startActiveSpan(name, async (span) => {
    try {
      return await work()
    } catch (error) {
      note(span, error)
      throw error
    } finally {
      span.end()
    }
  })
}

/** No message: an upstream's may hold what it was sent. */
function note(span: Span, error: unknown): void {
  const refusal = error instanceof ConnectorError ? error : undefined
  if (refusal === undefined || refusal.status >= 500) {
    span.setStatus({ code: SpanStatusCode.ERROR })
  }
  span.setAttribute('error.type', refusal?.reason ?? 'internal')
  if (refusal?.auditId !== undefined) span.setAttribute('abfs.audit_id', refusal.auditId)
}
