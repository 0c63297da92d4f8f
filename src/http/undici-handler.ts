import { Agent } from 'undici'
import { AnswerCollector } from './answer-collector.ts'
import type { ClosableHandler, HttpRequest, HttpResponse, TransportOptions } from './handler.ts'
import { localhostLookup } from './localhost-lookup.ts'
import { trust } from './trust.ts'

/**
 * A bottom of the HTTP stack on undici: keep-alive connections, TLS, time-outs and size limits.
 * Retries nothing, follows no redirect and never decompresses: a range of a blob is what is stored.
 * The same contract as `socketHandler`, by other people's parser and pool; a body that is not taken
 * counts as an answer that does not come.
 */
export function undiciHandler(options: TransportOptions = {}): ClosableHandler {
  const agent = new Agent({
    connections: options.maxSockets ?? 64,
    pipelining: 1,
    headersTimeout: options.headersTimeoutMs ?? 60_000,
    bodyTimeout: options.bodyIdleTimeoutMs ?? 30_000,
    connect: {
      lookup: localhostLookup,
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
    const collector = new AnswerCollector(request, { resolve, reject })
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
