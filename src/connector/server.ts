/**
 * The connector's listener. One request passes, in this order: its caller is authenticated, counted
 * and named; its body is parsed; {@link Issuance} decides, issues and writes the audit record; the
 * answer carries the credential's remaining life. Every refusal is a problem document; a stack
 * trace never leaves.
 */
import { strict as assert } from 'node:assert'
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify'
import { type Clock, systemClock } from '../clock.ts'
import { FileSystemError } from '../errors.ts'
import { type AuditAction, type AuditLog, openFileAudit, streamAudit } from './audit.ts'
import { type Authenticator, createAuthenticator } from './authenticate.ts'
import { type ConnectorConfig, type ListenConfig, policyOf } from './config.ts'
import { ConnectorError } from './connector-error.ts'
import { type Caller, Issuance } from './issuance.ts'
import type { Issuer } from './issuer.ts'
import { listen } from './listen.ts'
import { Metrics } from './metrics.ts'
import type { Principal } from './policy.ts'
import {
  CREDENTIALS_PATH,
  formatAnswer,
  formatProblem,
  HEALTH_PATH,
  PROBLEM_TYPE,
  parseRequest,
  TOKEN_PATH,
} from './protocol.ts'
import { RateLimit } from './rate-limit.ts'
import { ReadinessCheck } from './readiness.ts'
import { type ConnectorSources, diskSources } from './sources.ts'
import { addStatusRoutes, RequestMeter } from './status-routes.ts'
import { formatToken, parseTokenRequest } from './token-request.ts'

/** What a connector runs with. */
export interface ConnectorOptions {
  readonly config: ConnectorConfig
  readonly issuer: Issuer
  readonly clock?: Clock
  /** Where decisions are written; what the configuration names when absent. Closed with the connector. */
  readonly audit?: AuditLog
  /** Gets one event per failure with its cause; nothing is logged when absent. */
  readonly logger?: FastifyBaseLogger
  /** Where files that the configuration names are read; the disk when absent. */
  readonly sources?: ConnectorSources
}

/** A connector that listens. */
export interface Connector {
  /** `http://127.0.0.1:PORT/`; for a Unix socket `unix:/path`. */
  readonly url: URL
  /** Answers what has begun, then stops listening; never throws. */
  close(): Promise<void>
}

const bodyLimitBytes = 16 * 1024
/** A request arrives within ten seconds or not at all; idle connections are kept half a minute. */
const timeouts = { requestTimeout: 10_000, headersTimeout: 10_000, keepAliveTimeout: 30_000 }

/**
 * Starts a connector. Rejects with `EBUSY` when its port is in use, `EACCES` when it may not have
 * it, `EINVAL` when a file that the configuration names cannot be read.
 */
export async function startConnector(options: ConnectorOptions): Promise<Connector> {
  const { config, issuer, clock = systemClock, sources = diskSources() } = options
  const authenticate = await createAuthenticator(config.callers, sources, clock)
  const audit = options.audit ?? (await openAudit(config.audit))
  const issuance = new Issuance({ policy: policyOf(config), issuer, audit, clock })
  const limit = new RateLimit(config.requestsPerMinute, clock)
  const server = await createServer(options)
  const metrics = new Metrics()
  const meter = new RequestMeter(metrics, clock)
  addRoutes(server, { authenticate, issuance, limit, clock, meter, callers: new WeakMap() })
  addStatusRoutes(server, { metrics, readiness: new ReadinessCheck(issuer, clock) })
  try {
    const url = await listen(server, config.listen)
    return { url, close: () => closeAll(server, audit) }
  } catch (error) {
    await closeAll(server, audit)
    throw error
  }
}

async function createServer(options: ConnectorOptions): Promise<FastifyInstance> {
  const { config, logger } = options
  const tls = await readTls(config.listen)
  return fastify({
    serverFactory: (handler) =>
      tls === undefined
        ? http.createServer(timeouts, handler)
        : https.createServer({ ...timeouts, ...tls }, handler),
    bodyLimit: bodyLimitBytes,
    forceCloseConnections: 'idle',
    logController: new LogController({ disableRequestLogging: true }),
    ...(logger === undefined ? { logger: false } : { loggerInstance: logger }),
  })
}

async function readTls(config: ListenConfig): Promise<https.ServerOptions | undefined> {
  if (config.tls === undefined) return undefined
  const { certFile, keyFile } = config.tls
  const [cert, key] = await Promise.all([
    readPem('listen.tls.certFile', certFile),
    readPem('listen.tls.keyFile', keyFile),
  ])
  return { cert, key, minVersion: 'TLSv1.2' }
}

async function readPem(key: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (error) {
    throw unreadable(`${key} cannot be read`, file, error)
  }
}

function unreadable(detail: string, path: string, cause: unknown): FileSystemError {
  return new FileSystemError('EINVAL', 'connector.config', { detail, path, cause })
}

interface Desk {
  readonly authenticate: Authenticator
  readonly issuance: Issuance
  readonly limit: RateLimit
  readonly clock: Clock
  readonly meter: RequestMeter
  /** Who sent the requests under way. */
  readonly callers: WeakMap<FastifyRequest, Caller>
}

/** An unauthenticated caller may not even send a body: its proof is checked with the headers. */
function addRoutes(server: FastifyInstance, desk: Desk): void {
  server.addHook('onRequest', async (request, reply) => {
    desk.meter.begin(request)
    reply.header('cache-control', 'no-store')
  })
  server.addHook('onResponse', async (request) => desk.meter.end(request))
  server.post(
    CREDENTIALS_PATH,
    { onRequest: async (request) => void desk.callers.set(request, await admit(desk, request)) },
    (request, reply) => answerCredentials(desk, request, reply),
  )
  server.register(async (route) => addTokenRoute(route, desk))
  server.setNotFoundHandler((request, reply) => sendProblem(reply, unknownPath(request)))
  server.setErrorHandler((error: FastifyError, request, reply) => {
    const problem = error instanceof ConnectorError ? error : problemOf(error)
    desk.meter.refused(request, problem)
    if (problem.status >= 500) request.log.error(logFields(problem), 'connector.request')
    return sendProblem(reply, problem)
  })
}

/** Forms are read on this path alone, and nothing else is. */
function addTokenRoute(route: FastifyInstance, desk: Desk): void {
  route.removeAllContentTypeParsers()
  route.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    (_request, body, done) => done(null, new URLSearchParams(String(body))),
  )
  const onRequest = async (request: FastifyRequest): Promise<void> =>
    void desk.callers.set(request, await admit(desk, request, 'tokens.issue'))
  route.post(TOKEN_PATH, { onRequest }, (request, reply) => answerToken(desk, request, reply))
}

async function answerToken(
  desk: Desk,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const caller = callerOf(desk, request)
  const target = await parsed(desk, caller, 'tokens.issue', () =>
    parseTokenRequest(request.body, request.headers.authorization),
  )
  const { token, expiresAtMs } = await desk.issuance.answerToken(caller, target)
  const body = formatToken(token, expiresAtMs - desk.clock.nowMs())
  return reply.header('pragma', 'no-cache').type('application/json').send(body)
}

async function answerCredentials(
  desk: Desk,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const caller = callerOf(desk, request)
  const asked = await parsed(desk, caller, 'credentials.issue', () => parseRequest(request.body))
  const answer = await desk.issuance.answer(caller, asked)
  return reply.type('application/json').send(formatAnswer(answer, desk.clock.nowMs()))
}

function callerOf(desk: Desk, request: FastifyRequest): Caller {
  const caller = desk.callers.get(request)
  assert(caller !== undefined, 'the request was admitted')
  return caller
}

/** What `parse` gives; a request that does not fit is written down. */
async function parsed<T>(
  desk: Desk,
  caller: Caller,
  action: AuditAction,
  parse: () => T,
): Promise<T> {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof ConnectorError)) throw error
    throw await desk.issuance.turnAway(error, caller, action)
  }
}

/** Names and counts the caller; one that is turned away is written down. */
async function admit(
  desk: Desk,
  request: FastifyRequest,
  action: AuditAction = 'credentials.issue',
): Promise<Caller> {
  const peer = request.ip
  try {
    refuseBrowser(request)
    const principal = await identify(desk, request)
    desk.limit.take(`caller ${principal.name}`)
    return { principal, peer }
  } catch (error) {
    if (!(error instanceof ConnectorError)) throw error
    throw await desk.issuance.turnAway(error, { peer }, action)
  }
}

/** Unknown callers are counted by their address, so that guessing is slow. */
async function identify(desk: Desk, request: FastifyRequest): Promise<Principal> {
  try {
    return await desk.authenticate(request.headers.authorization)
  } catch (error) {
    desk.limit.take(`address ${request.ip}`)
    throw error
  }
}

/** No web page has business here, not even one that learnt a caller's key. */
function refuseBrowser(request: FastifyRequest): void {
  if (request.headers.origin === undefined) return
  throw new ConnectorError('access_denied', 'permission_not_granted', {
    detail: 'the connector does not answer web pages',
    hint: 'call it from a program',
  })
}

function unknownPath(request: FastifyRequest): ConnectorError {
  return new ConnectorError('invalid_request', 'not_found', {
    status: 404,
    detail: `an abfs connector answers POST ${CREDENTIALS_PATH}, POST ${TOKEN_PATH} and GET ${HEALTH_PATH}, not ${request.method} on another path`,
    hint: 'check the endpoint: it ends before /v1',
  })
}

/** An upstream's error may carry its request with a token, so the log gets text alone. */
function logFields(error: ConnectorError): object {
  const { code, reason, auditId, cause } = error
  return { code, reason, auditId, cause: cause instanceof Error ? cause.stack : undefined }
}

/** What fastify itself refuses: a body that is too long, no JSON, or a fault of this program. */
function problemOf(error: FastifyError): ConnectorError {
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
    hint: `send a small JSON object with content-type application/json, or a form to ${TOKEN_PATH}`,
  })
}

function sendProblem(reply: FastifyReply, error: ConnectorError): FastifyReply {
  if (error.code === 'invalid_client') reply.header('www-authenticate', 'Bearer')
  return reply.code(error.status).type(PROBLEM_TYPE).send(formatProblem(error))
}

async function openAudit(target: string): Promise<AuditLog> {
  if (target === 'stdout') return streamAudit(process.stdout)
  try {
    return await openFileAudit(target)
  } catch (error) {
    throw unreadable('the audit log cannot be opened for appending', target, error)
  }
}

async function closeAll(server: FastifyInstance, audit: AuditLog): Promise<void> {
  // Closing twice is no error worth telling: what matters is that nothing listens.
  await server.close().catch(() => undefined)
  await audit.close()
}
