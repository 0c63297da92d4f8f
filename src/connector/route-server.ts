/**
 * Serves declared routes with fastify. A request of a known caller passes in this order: its proof
 * is checked with the headers, before a body is read; it is counted; its parts are fitted to the
 * route; the handler answers. What is refused is written to the audit log first.
 */
import type { Socket } from 'node:net'
import type {
  ConnectionError,
  FastifyError,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  HTTPMethods,
} from 'fastify'
import type { AuditAction } from './audit.ts'
import { ConnectorError } from './connector-error.ts'
import type { Caller } from './issuance.ts'
import { formatProblem, PROBLEM_TYPE } from './protocol.ts'
import type { RequestMeter } from './request-meter.ts'
import type { Route, RouteAnswer } from './route.ts'
import { subjectOf } from './subject.ts'
import { beginSpan, endSpan, spanned, withinSpan } from './tracing.ts'

/** What stands between the socket and the handlers. */
export interface Desk {
  /** Names and counts the caller of a request, or throws. */
  readonly admit: (request: FastifyRequest) => Promise<Caller>
  /** Writes down that a request was refused; gives the refusal with the id of its record. */
  readonly turnAway: (
    error: unknown,
    caller: Partial<Caller>,
    action: AuditAction,
    subject?: string,
  ) => Promise<ConnectorError>
  readonly meter: RequestMeter
  /** The nonce for the next proof of possession of a client. */
  readonly nonce: () => string
}

/** Adds the routes, and problem documents for all that is none. */
export function addRoutes(server: FastifyInstance, routes: readonly Route[], desk: Desk): void {
  server.addHook('onRequest', async (request, reply) => {
    desk.meter.begin(request)
    const { path } = request.routeOptions.config
    if (path !== undefined) beginSpan(request, path)
    reply.header('cache-control', 'no-store')
  })
  server.addHook('onResponse', async (request, reply) => {
    endSpan(request, reply.statusCode, desk.meter.refusalOf(request))
    desk.meter.end(request)
  })
  server.setNotFoundHandler((request, reply) => sendProblem(reply, unknownPath(request)))
  server.setErrorHandler((error: FastifyError, request, reply) => {
    const problem = error instanceof ConnectorError ? error : problemOf(error)
    return refuse(desk, request, reply, problem)
  })
  for (const route of routes) {
    // Each in a context of its own: what one reads as a form is no form for another.
    server.register(async (scope) => addRoute(scope, route, desk))
  }
}

function addRoute(scope: FastifyInstance, route: Route, desk: Desk): void {
  const callers = new WeakMap<FastifyRequest, Caller>()
  const { action } = route
  if (route.encoding === 'form') readForms(scope)
  if (route.formatRefusal !== undefined) {
    scope.setErrorHandler((error: FastifyError, request, reply) =>
      refuse(
        desk,
        request,
        reply,
        error instanceof ConnectorError ? error : problemOf(error),
        route,
      ),
    )
  }
  scope.route({
    method: route.method satisfies HTTPMethods,
    url: fastifyPath(route.path),
    config: {
      path: route.path,
      inSessions: route.inSessions === true,
      ...(action === undefined ? {} : { action }),
    },
    ...(route.bodyLimitBytes === undefined ? {} : { bodyLimit: route.bodyLimitBytes }),
    exposeHeadRoute: false,
    onRequest: async (request) => {
      if (action !== undefined) callers.set(request, await admitted(desk, request, action))
    },
    handler: (request, reply) =>
      withinSpan(request, () =>
        handled(route, desk, { request, reply, caller: callers.get(request) }),
      ),
  })
}

interface Handled {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly caller: Caller | undefined
}

async function handled(route: Route, desk: Desk, under: Handled): Promise<FastifyReply> {
  const { request, reply, caller } = under
  const { params, query, body, headers } = request
  try {
    const answer = await route.run({ params, query, body, headers, peer: request.ip, caller })
    if (caller?.jkt !== undefined) reply.header('dpop-nonce', desk.nonce())
    return send(reply, route, answer)
  } catch (error) {
    const isWrittenDown = error instanceof ConnectorError && error.auditId !== undefined
    if (route.action === undefined || isWrittenDown) throw error
    const subject = subjectOf(route.action, params, body)
    throw await desk.turnAway(error, caller ?? {}, route.action, subject)
  }
}

/** Forms are read where a route says so, and nothing else is. */
function readForms(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    (_request, body, done) => done(null, new URLSearchParams(String(body))),
  )
}

async function admitted(desk: Desk, request: FastifyRequest, action: AuditAction): Promise<Caller> {
  try {
    return await withinSpan(request, () => spanned('authenticate', () => desk.admit(request)))
  } catch (error) {
    throw await desk.turnAway(error, { peer: request.ip }, action)
  }
}

/** Lets out what the schema of the answer names, and nothing else. */
function send(
  reply: FastifyReply,
  route: Route,
  { status, body, headers = {} }: RouteAnswer,
): FastifyReply {
  const spec = route.answers[status]
  if (spec === undefined) throw new Error(`${route.operationId} declares no answer ${status}`)
  reply.code(status).headers(headers)
  if (spec.body === undefined) return reply.send()
  const { mediaType = 'application/json' } = spec
  const allowed: unknown = spec.body.parse(body)
  return reply.type(mediaType).send(typeof allowed === 'string' ? allowed : JSON.stringify(allowed))
}

function refuse(
  desk: Desk,
  request: FastifyRequest,
  reply: FastifyReply,
  problem: ConnectorError,
  route?: Route,
): FastifyReply {
  desk.meter.refused(request, problem)
  if (problem.status >= 500) request.log.error(logFields(problem), 'connector.request')
  const other = route?.formatRefusal?.(problem)
  return other === undefined
    ? sendProblem(reply, problem)
    : reply.code(other.status).type(other.mediaType).send(other.body)
}

/** Answers with a problem document. */
export function sendProblem(reply: FastifyReply, error: ConnectorError): FastifyReply {
  if (error.code === 'invalid_client') reply.header('www-authenticate', challengeOf(error))
  if (error.nonce !== undefined) reply.header('dpop-nonce', error.nonce)
  if (error.retryAfterSeconds !== undefined) reply.header('retry-after', error.retryAfterSeconds)
  return reply.code(error.status).type(PROBLEM_TYPE).send(formatProblem(error))
}

/** A claims challenge goes on in Azure's words to who can answer it. */
function challengeOf({ claims, nonce }: ConnectorError): string {
  if (nonce !== undefined) return 'DPoP error="use_dpop_nonce"'
  if (claims === undefined) return 'Bearer'
  const encoded = Buffer.from(claims, 'utf8').toString('base64')
  return `Bearer error="insufficient_claims", claims="${encoded}"`
}

/** What fastify itself refuses: a body that is too long, no JSON, or a fault of this program. */
export function problemOf(error: FastifyError): ConnectorError {
  const status = error.statusCode ?? 500
  if (status < 400 || status >= 500) {
    return new ConnectorError('server_error', 'internal', {
      detail: 'the connector failed',
      cause: error,
    })
  }
  return new ConnectorError('invalid_request', 'malformed', {
    status,
    detail: `the request does not fit the protocol (${error.code})`,
    hint: 'GET /v1/openapi.json says which path takes what; bodies are small, JSON or a form',
  })
}

function unknownPath(request: FastifyRequest): ConnectorError {
  return new ConnectorError('invalid_request', 'not_found', {
    status: 404,
    detail: `an abfs connector does not answer ${request.method} on this path`,
    hint: 'check the endpoint: it ends before /v1; GET /v1/openapi.json lists what is answered',
  })
}

/** An upstream's error may carry its request with a token, so the log gets text alone. */
function logFields(error: ConnectorError): object {
  const { code, reason, auditId, cause } = error
  return { code, reason, auditId, cause: cause instanceof Error ? cause.stack : undefined }
}

/** Answers what is no HTTP, or came too slowly, on the bare socket. */
export function answerBrokenRequest(error: ConnectionError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy()
    return
  }
  const [status, phrase] = brokenRequests[error.code] ?? [400, 'Bad Request']
  const body = formatProblem(
    new ConnectorError('invalid_request', 'malformed', { status, detail: phrase.toLowerCase() }),
  )
  const lines = [
    `HTTP/1.1 ${status} ${phrase}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'cache-control: no-store',
    'connection: close',
  ]
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
}

const brokenRequests: Readonly<Record<string, readonly [number, string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout'],
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large'],
}

/** `/v1/connectors/{id}:verify` as fastify's router writes it. */
export function fastifyPath(path: string): string {
  return path
    .replaceAll(':', '::')
    .replace(/\{(\w+)\}(?=\/|$)/g, ':$1')
    .replace(/\{(\w+)\}(?=::)/g, ':$1([^/:]+)')
}
