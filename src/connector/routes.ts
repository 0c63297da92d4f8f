import type { Clock } from '../clock.ts'
import { streamAudit } from './audit.ts'
import { ConnectorError } from './connector-error.ts'
import { type CredentialDesk, credentialRoutes } from './credential-routes.ts'
import { Issuance } from './issuance.ts'
import { Metrics } from './metrics.ts'
import type { OpenApiDocument } from './openapi.ts'
import { openApiOf, withOpenApi } from './openapi-route.ts'
import { ReadinessCheck } from './readiness.ts'
import type { Route } from './route.ts'
import { type StatusSources, statusRoutes } from './status-routes.ts'

/** What the routes of a connector are answered from. */
export interface RouteSources extends CredentialDesk, StatusSources {}

/** All that a connector answers, its own description included. */
export function connectorRoutes(sources: RouteSources): readonly Route[] {
  return withOpenApi([...credentialRoutes(sources), ...statusRoutes(sources)])
}

/** The description of what a connector answers, made without one that runs. */
export function describeConnector(clock: Clock): OpenApiDocument {
  const issuer = {
    issue: () => {
      throw new ConnectorError('server_error', 'internal', { detail: 'it is described, not run' })
    },
  }
  const policy = { accounts: [], rules: [] }
  const issuance = new Issuance({ policy, issuer, audit: streamAudit(process.stderr), clock })
  const readiness = new ReadinessCheck(issuer, clock)
  return openApiOf(connectorRoutes({ issuance, clock, metrics: new Metrics(), readiness }))
}
