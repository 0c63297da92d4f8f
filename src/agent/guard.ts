import type { IncomingMessage } from 'node:http'
import { Refusal } from './refusal.ts'

/**
 * Refuses what no client of managed identity sends: a web page's request, one that a proxy or a
 * deceived server passed on, one for a name that merely resolves to this machine, one that hides
 * a second request in its body.
 */
export function guardRequest(request: IncomingMessage, port: number): void {
  checkHost(request, port)
  checkHeaders(request)
  const { 'transfer-encoding': encoding, 'content-length': length } = request.headers
  const hasBody = encoding !== undefined || (length !== undefined && length !== '0')
  if (request.method !== 'POST' && hasBody) {
    throw new Refusal(400, 'invalid_request', { message: 'a request for a token has no body' })
  }
}

/** A name that an attacker makes resolve to 127.0.0.1 arrives as the `Host` of a browser. */
function checkHost(request: IncomingMessage, port: number): void {
  const { host } = request.headers
  if (host === `127.0.0.1:${port}` || host === `localhost:${port}`) return
  throw new Refusal(403, 'forbidden', {
    message: `the agent answers to 127.0.0.1:${port} alone, as IDENTITY_ENDPOINT has it`,
  })
}

function checkHeaders(request: IncomingMessage): void {
  const found = Object.keys(request.headers).find(
    (name) => foreignHeaders.has(name) || foreignPrefixes.some((prefix) => name.startsWith(prefix)),
  )
  if (found === undefined) return
  throw new Refusal(403, 'forbidden', {
    message: `requests with the header ${found} are refused: they come from a web page or through a proxy; exempt 127.0.0.1 from the proxy (NO_PROXY)`,
  })
}

const foreignHeaders: ReadonlySet<string> = new Set([
  'access-control-request-headers',
  'access-control-request-method',
  'access-control-request-private-network',
  'client-ip',
  'forwarded',
  'origin',
  'proxy-authorization',
  'proxy-connection',
  'referer',
  'true-client-ip',
  'upgrade',
  'via',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-original-url',
  'x-real-ip',
  'x-rewrite-url',
])

/**
 * `sec-fetch-mode` alone is no browser's: Node's `fetch`, which some SDKs use, sends it, while a
 * browser sends `sec-fetch-site` with it.
 */
const foreignPrefixes = ['sec-fetch-s', 'sec-fetch-d', 'sec-ch-', 'x-forwarded', 'cf-'] as const
