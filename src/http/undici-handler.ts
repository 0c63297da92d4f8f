import { Agent } from 'undici'
import { AnswerCollector } from './answer-collector.ts'
import type { HttpHandler, HttpRequest, HttpResponse } from './handler.ts'
import { trust } from './trust.ts'

export interface UndiciHandlerOptions {
  /** PEM of an authority to trust beside the system's. Certificates are always verified. */
  readonly ca?: string | Buffer | undefined
  /** Connections per origin; more requests wait for one. Default 64. */
  readonly maxSockets?: number | undefined
  /** Default 10 s. */
  readonly connectTimeoutMs?: number | undefined
  /** From the request's last byte to the answer's headers. Default 60 s. */
  readonly headersTimeoutMs?: number | undefined
  /** Between two pieces of an answer's body. Default 30 s. */
  readonly bodyIdleTimeoutMs?: number | undefined
}

/** A handler with sockets of its own. */
export interface ClosableHandler {
  readonly handle: HttpHandler
  /** Closes idle connections at once and the others after their answer; never throws. */
  close(): Promise<void>
}

/**
 * The bottom of the HTTP stack: keep-alive connections, TLS, time-outs and size limits. Retries
 * nothing, follows no redirect and never decompresses: a range of a blob is what is stored.
 */
export function undiciHandler(options: UndiciHandlerOptions = {}): ClosableHandler {
  const agent = new Agent({
    connections: options.maxSockets ?? 64,
    pipelining: 1,
    headersTimeout: options.headersTimeoutMs ?? 60_000,
    bodyTimeout: options.bodyIdleTimeoutMs ?? 30_000,
    connect: {
      timeout: options.connectTimeoutMs ?? 10_000,
      secureContext: trust(options.ca),
    },
  })
  return { handle: (request) => send(agent, request), close: () => closeOnce(agent) }
}

/** A second close finds nothing to do. */
async function closeOnce(agent: Agent): Promise<void> {
  if (!agent.closed && !agent.destroyed) await agent.close()
}

function send(agent: Agent, request: HttpRequest): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    if (request.signal?.aborted === true) {
      reject(request.signal.reason)
      return
    }
    const collector = new AnswerCollector(request, resolve, reject)
    const { url } = request
    agent.dispatch(
      {
        origin: url.origin,
        path: url.pathname + url.search,
        method: request.method,
        headers: { ...request.headers, 'accept-encoding': 'identity' },
        body: request.body ?? null,
        // undici closes the connection after each HEAD unless told that the server behaves.
        reset: false,
      },
      collector,
    )
  })
}
