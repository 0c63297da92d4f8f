/**
 * The connector's listener. One request passes, in this order: its caller is authenticated, counted
 * and named; its body is parsed; {@link Issuance} decides, issues and writes the audit record; the
 * answer carries the credential's remaining life. Every refusal is a problem document; a stack
 * trace never leaves.
 */
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import { type Clock, systemClock } from '../clock.ts'
import { FileSystemError } from '../errors.ts'
import type { ClosableHandler } from '../http/handler.ts'
import { undiciHandler } from '../http/undici-handler.ts'
import type { Metric } from '../metric.ts'
import { admission, identification } from './admission.ts'
import type { VerifyConnector } from './api/verify-routes.ts'
import { type AuditLog, bothAudits, openFileAudit, streamAudit } from './audit.ts'
import { createAuthenticator } from './authenticate.ts'
import { ownAuthorities } from './authorities.ts'
import { ApiKeys } from './callers/api-keys.ts'
import { keyFetch } from './callers/key-fetch.ts'
import { type ConnectorConfig, type ListenConfig, policyOf } from './config.ts'
import { credentialTrial } from './credential-trial.ts'
import { Issuance } from './issuance.ts'
import type { Issuer } from './issuer.ts'
import { listen } from './listen.ts'
import { Metrics } from './metrics.ts'
import type { Policy } from './policy.ts'
import { RateLimit } from './rate-limit.ts'
import { ReadinessCheck } from './readiness.ts'
import { declaredRecords } from './registry/open-registry.ts'
import { Registry } from './registry/registry.ts'
import { RequestMeter } from './request-meter.ts'
import { ResourceCatalog } from './resource-catalog.ts'
import { addRoutes, answerBrokenRequest, problemOf, sendProblem } from './route-server.ts'
import { connectorRoutes } from './routes.ts'
import { openSessions } from './session/open-sessions.ts'
import { type ConnectorSources, diskSources } from './sources.ts'
import type { State } from './state/state.ts'
import { verifyStored } from './verify-stored.ts'
import { ZenmlSessions } from './zenml-session.ts'
import { ZenmlView } from './zenml-view.ts'

/** What a connector runs with. */
export interface ConnectorOptions {
  readonly config: ConnectorConfig
  readonly issuer: Issuer
  readonly clock?: Clock
  /** What the configuration's API keeps; absent where the file says everything. Closed with it. */
  readonly state?: State | undefined
  /** The connectors and policies; those of the configuration when absent. */
  readonly registry?: Registry
  /** Where decisions are written; what the configuration names when absent. Closed with the connector. */
  readonly audit?: AuditLog
  /** Gets one event per failure with its cause; nothing is logged when absent. */
  readonly logger?: FastifyBaseLogger
  /** Where files that the configuration names are read; the disk when absent. */
  readonly sources?: ConnectorSources
  /** Within which a request arrives or is answered 408, milliseconds. Default 10 seconds. */
  readonly requestTimeoutMs?: number
}

/** A connector that listens. */
export interface Connector {
  /** `http://127.0.0.1:PORT/`; for a Unix socket `unix:/path`. */
  readonly url: URL
  /** What `/metrics` tells. */
  metrics(): readonly Metric[]
  /** Answers what has begun, then stops listening; never throws. */
  close(): Promise<void>
}

const bodyLimitBytes = 16 * 1024
/** Idle connections are kept half a minute. */
const timeouts = {
  keepAliveTimeout: 30_000,
  // Node looks for late requests every thirty seconds unless told otherwise.
  connectionsCheckingInterval: 1_000,
}

/**
 * Starts a connector. Rejects with `EBUSY` when its port is in use, `EACCES` when it may not have
 * it, `EINVAL` when a file that the configuration names cannot be read.
 */
export async function startConnector(options: ConnectorOptions): Promise<Connector> {
  const { config, issuer, clock = systemClock, sources = diskSources() } = options
  const { state } = options
  const registry =
    options.registry ?? new Registry(declaredRecords(config, policyOf(config)), state, clock)
  const keys = new ApiKeys({ keys: async () => (await registry.current()).keys, clock })
  const issuers = undiciHandler({ ca: await ownAuthorities(config.caFile, sources) })
  const authenticate = await createAuthenticator(config.callers, {
    sources,
    clock,
    send: keyFetch(issuers.handle),
    apiKeys: keys,
  })
  const audit = options.audit ?? (await openAudit(config, state))
  const policy = async (): Promise<Policy> => (await registry.current()).policy
  const catalog = new ResourceCatalog({ policy, issuer, cloud: config.cloud })
  const issuance = new Issuance({ policy, issuer, audit, clock })
  const limit = new RateLimit(config.requestsPerMinute, clock)
  const server = await createServer(options)
  const metrics = new Metrics()
  const meter = new RequestMeter(metrics, clock)
  const readiness = new ReadinessCheck(issuer, clock)
  const administration = { registry, state, audit, clock }
  const zenmlSessions = new ZenmlSessions(clock)
  const identify = identification(authenticate, limit)
  const zenml = {
    view: new ZenmlView(policy),
    sessions: zenmlSessions,
    trial: credentialTrial({ config, sources, clock }),
    logIn: (proof: string, peer = '') => identify(`Bearer ${proof}`, peer),
  }
  const { close: closeSessions, ...proving } = openSessions(state, clock)
  const { sessions, proofs } = proving
  const nonce = (): string => proofs.nonce()
  const verify: VerifyConnector = async (record, choice) => {
    const { accounts } = await policy()
    return verifyStored(record, accounts, choice, { config, issuer, clock })
  }
  const desks = { verify, catalog, administration, zenml, sessions, nonce }
  const { tls, behindTlsProxy, unixSocket, publicUrl } = config.listen
  addRoutes(server, connectorRoutes({ ...desks, issuance, clock, metrics, readiness }), {
    admit: admission({
      identify,
      limit,
      zenmlSessions,
      unixSocket: unixSocket !== undefined,
      proving: { ...proving, isHttps: tls !== undefined || behindTlsProxy, publicUrl },
    }),
    turnAway: (...refused) => issuance.turnAway(...refused),
    meter,
    nonce,
  })
  try {
    const anyPeer = config.callers.some((each) => 'unixPeer' in each)
    const url = await listen(server, config.listen, { anyPeer })
    return {
      url,
      metrics: () => metrics.read(readiness.last),
      close: async () => {
        await closeAll({ server, audit, state, closeSessions, issuers })
        await issuer.close?.()
      },
    }
  } catch (error) {
    await closeAll({ server, audit, state, closeSessions, issuers })
    throw error
  }
}

async function createServer(options: ConnectorOptions): Promise<FastifyInstance> {
  const { config, logger, requestTimeoutMs = 10_000 } = options
  const tls = await readTls(config.listen)
  const patience = {
    ...timeouts,
    requestTimeout: requestTimeoutMs,
    headersTimeout: requestTimeoutMs,
  }
  return fastify({
    serverFactory: (handler) =>
      tls === undefined
        ? http.createServer(patience, handler)
        : https.createServer({ ...patience, ...tls }, handler),
    bodyLimit: bodyLimitBytes,
    forceCloseConnections: 'idle',
    // What arrives while it closes is still answered: its connection may carry no other request.
    return503OnClosing: false,
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error, _request, reply) => sendProblem(reply, problemOf(error)),
    logController: new LogController({ disableRequestLogging: true }),
    ...(logger === undefined ? { logger: false } : { loggerInstance: logger }),
  })
}

async function readTls(config: ListenConfig): Promise<https.ServerOptions | undefined> {
  if (config.tls === undefined) return undefined
  const { certFile, keyFile, clientCaFile } = config.tls
  const [cert, key, ca] = await Promise.all([
    readPem('listen.tls.certFile', certFile),
    readPem('listen.tls.keyFile', keyFile),
    clientCaFile === undefined ? undefined : readPem('listen.tls.clientCaFile', clientCaFile),
  ])
  // A client without a certificate may prove itself otherwise, so none is turned away here.
  const clients = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: false }
  return { cert, key, minVersion: 'TLSv1.2', ...clients }
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

/** The state's log, and the file that the configuration names; standard output without either. */
async function openAudit(config: ConnectorConfig, state: State | undefined): Promise<AuditLog> {
  const { audit: target, auditSync } = config
  if (target === undefined) return state?.audit ?? streamAudit(process.stdout)
  const named = await openNamedAudit(target, auditSync)
  return state === undefined ? named : bothAudits(state.audit, named)
}

async function openNamedAudit(target: string, sync: boolean): Promise<AuditLog> {
  if (target === 'stdout') return streamAudit(process.stdout)
  try {
    return await openFileAudit(target, { sync })
  } catch (error) {
    throw unreadable('the audit log cannot be opened for appending', target, error)
  }
}

interface Closing {
  readonly server: FastifyInstance
  readonly audit: AuditLog
  readonly state: State | undefined
  readonly closeSessions: () => void
  readonly issuers: ClosableHandler
}

async function closeAll(closing: Closing): Promise<void> {
  const { server, audit, state, closeSessions, issuers } = closing
  closeSessions()
  // Closing twice is no error worth telling: what matters is that nothing listens.
  await server.close().catch(() => undefined)
  await issuers.close()
  await audit.close()
  await state?.close()
}
