import { type Clock, systemClock } from '../clock.ts'
import { type HttpEvent, httpChannel } from '../telemetry.ts'
import type { HttpHandler, HttpRequest, HttpResponse, Interceptor } from './handler.ts'
import { targetOf } from './network-error.ts'

/** Publishes one {@link HttpEvent} per attempt that passes; costs nothing without subscribers. */
export function trace(clock: Clock = systemClock): Interceptor {
  return (next) => (request) =>
    httpChannel.hasSubscribers ? traced(next, request, clock) : next(request)
}

async function traced(
  next: HttpHandler,
  request: HttpRequest,
  clock: Clock,
): Promise<HttpResponse> {
  const startedMs = clock.nowMs()
  let response: HttpResponse | undefined
  try {
    response = await next(request)
    return response
  } finally {
    httpChannel.publish(describe(request, response, clock.nowMs() - startedMs))
  }
}

function describe(
  request: HttpRequest,
  response: HttpResponse | undefined,
  durationMs: number,
): HttpEvent {
  return {
    operation: request.operation,
    method: request.method,
    path: targetOf(request),
    status: response?.status,
    bytesSent: request.body?.length ?? 0,
    bytesReceived: (request.receiver?.receivedBytes ?? 0) + (response?.body.length ?? 0),
    durationMs,
    attempt: request.attempt ?? 1,
    hedge: request.hedge ?? false,
    parts: request.parts,
    requestId: response?.headers['x-ms-request-id'],
  }
}
