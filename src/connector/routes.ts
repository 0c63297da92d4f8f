import type { Clock } from '../clock.ts'
import { auditRoutes } from './api/audit-routes.ts'
import { connectorObjectRoutes } from './api/connector-routes.ts'
import { keyRoutes } from './api/key-routes.ts'
import { policyRoutes } from './api/policy-routes.ts'
import { type SessionDesk, sessionRoutes } from './api/session-routes.ts'
import { type VerifyDesk, verifyRoutes } from './api/verify-routes.ts'
import { streamAudit } from './audit.ts'
import { ConnectorError } from './connector-error.ts'
import { credentialRoutes } from './credential-routes.ts'
import { Issuance } from './issuance.ts'
import { mediationRoutes } from './mediation-routes.ts'
import { Metrics } from './metrics.ts'
import type { OpenApiDocument } from './openapi.ts'
import { openApiOf, withOpenApi } from './openapi-route.ts'
import { ReadinessCheck } from './readiness.ts'
import { Registry } from './registry/registry.ts'
import { ResourceCatalog } from './resource-catalog.ts'
import type { Route } from './route.ts'
import { Sessions } from './session/sessions.ts'
import { MemorySessionStore } from './state/session-store.ts'
import { type StatusSources, statusRoutes } from './status-routes.ts'
import { unityCatalogRoutes } from './unity-catalog-routes.ts'
import type { ZenmlDesk } from './zenml-desk.ts'
import { zenmlRoutes } from './zenml-routes.ts'
import { ZenmlSessions } from './zenml-session.ts'
import { zenmlStartRoutes } from './zenml-start-routes.ts'
import { ZenmlView } from './zenml-view.ts'

/** What the routes of a connector are answered from. */
export interface RouteSources extends SessionDesk, StatusSources, VerifyDesk, ZenmlDesk {}

/** All that a connector answers, its own description included. */
export function connectorRoutes(sources: RouteSources): readonly Route[] {
  const { administration } = sources
  return withOpenApi([
    ...credentialRoutes(sources),
    ...mediationRoutes(sources),
    ...sessionRoutes(sources),
    ...connectorObjectRoutes(administration),
    ...verifyRoutes(sources),
    ...policyRoutes(administration),
    ...keyRoutes(administration),
    ...auditRoutes(administration),
    ...statusRoutes(sources),
    ...unityCatalogRoutes(sources),
    ...zenmlStartRoutes(sources),
    ...zenmlRoutes(sources),
  ])
}

/** The description of what a connector answers, made without one that runs. */
export function describeConnector(clock: Clock): OpenApiDocument {
  const issuer = {
    issue: () => {
      throw new ConnectorError('server_error', 'internal', { detail: 'it is described, not run' })
    },
  }
  const policy = { accounts: [], rules: [] }
  const audit = streamAudit(process.stderr)
  const issuance = new Issuance({ policy, issuer, audit, clock })
  const readiness = new ReadinessCheck(issuer, clock)
  const registry = new Registry({ connectors: [], policies: [], policy }, undefined, clock)
  const administration = { registry, audit, clock }
  const metrics = new Metrics()
  const catalog = new ResourceCatalog({ policy: async () => policy, issuer, cloud: '' })
  const zenml = {
    view: new ZenmlView(async () => policy),
    sessions: new ZenmlSessions(clock),
    trial: async () => [],
    logIn: () => Promise.reject(issuer.issue()),
  }
  const sessions = new Sessions({ store: new MemorySessionStore(), clock })
  const nonce = (): string => ''
  const verify = () => Promise.reject(issuer.issue())
  const desks = { verify, catalog, administration, zenml, sessions, nonce }
  const sources = { ...desks, issuance, clock, metrics, readiness }
  return openApiOf(connectorRoutes(sources))
}
