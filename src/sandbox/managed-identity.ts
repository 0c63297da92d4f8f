import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { EntraRefusal } from './entra-refusal.ts'
import { createLoopbackServer, type LoopbackServer, listenOnLoopback } from './loopback-server.ts'
import { isSameText } from './same-text.ts'
import { type Tenant, TokenFailureError } from './tenant.ts'
import type { IssuedToken, Principal } from './token-issuer.ts'

/*
 * Managed identity as its clients meet it: the instance metadata service of a virtual machine
 * (IMDS, api-version 2018-02-01) and App Service's endpoint (2019-08-01), both over plain http on
 * loopback. A request that names no identity gets the system-assigned one.
 */

/** What the managed identity endpoints are made of. */
export interface ManagedIdentityOptions {
  readonly tenant: Tenant
  /** What App Service's callers must send as `X-IDENTITY-HEADER`. */
  readonly identityHeader: string
}

type Query = Readonly<Record<string, string | undefined>>

/** A request that is answered without asking the tenant. */
class BadIdentityRequest extends Error {
  readonly status: number
  readonly error: string

  constructor(status: number, error: string, message: string) {
    super(message)
    this.status = status
    this.error = error
  }
}

/** Starts both endpoints: `/metadata/identity/oauth2/token` and `/msi/token`. */
export async function startManagedIdentity(
  options: ManagedIdentityOptions,
): Promise<LoopbackServer> {
  const server = createLoopbackServer()
  routeImds(server, options.tenant)
  routeAppService(server, options)
  return listenOnLoopback(server, 'http')
}

function routeImds(server: FastifyInstance, tenant: Tenant): void {
  server.get<{ Querystring: Query }>('/metadata/identity/oauth2/token', {
    errorHandler: (error, _request, reply) => {
      const { status, word, message } = describe(error)
      addRetryAfter(reply, error)
      return reply.status(status).send({ error: word, error_description: message })
    },
    handler: async ({ headers, query }, reply) => {
      if (headers['metadata'] !== 'true') {
        throw new BadIdentityRequest(
          400,
          'invalid_request',
          'Required metadata header not specified',
        )
      }
      if (headers['x-forwarded-for'] !== undefined) {
        throw new BadIdentityRequest(400, 'invalid_request', 'Requests must not be forwarded')
      }
      const identity = selectIdentity(query, tenant, 'msi_res_id')
      const resource = resourceOf(query)
      const token = await tenant.issue(identity, resource)
      reply.header('cache-control', 'no-store')
      return imdsAnswer(token, identity, resource)
    },
  })
}

function routeAppService(server: FastifyInstance, options: ManagedIdentityOptions): void {
  const { tenant, identityHeader } = options
  server.get<{ Querystring: Query }>('/msi/token', {
    errorHandler: (error, request, reply) => {
      addRetryAfter(reply, error)
      return answerAppServiceError(error, request, reply)
    },
    handler: async ({ headers, query }, reply) => {
      if (!isSameText(String(headers['x-identity-header'] ?? ''), identityHeader)) {
        throw new BadIdentityRequest(
          401,
          'unauthorized',
          'X-IDENTITY-HEADER is missing or is not the value of IDENTITY_HEADER',
        )
      }
      const identity = selectIdentity(query, tenant, 'mi_res_id')
      const resource = resourceOf(query)
      const token = await tenant.issue(identity, resource)
      reply.header('cache-control', 'no-store')
      return appServiceAnswer(token, identity, resource)
    },
  })
}

function selectIdentity(query: Query, tenant: Tenant, resourceIdField: string): Principal {
  if (query['api-version'] === undefined) {
    throw new BadIdentityRequest(
      400,
      'invalid_request',
      "Required query variable 'api-version' is missing",
    )
  }
  const { client_id: clientId, object_id: objectId } = query
  const { systemIdentity, userIdentity } = tenant
  const asked = clientId ?? objectId ?? query[resourceIdField]
  if (asked === undefined) return systemIdentity
  const found = [systemIdentity, userIdentity].find(
    (identity) => clientId === identity.clientId || objectId === identity.objectId,
  )
  if (found === undefined)
    throw new BadIdentityRequest(400, 'invalid_request', 'Identity not found')
  return found
}

function resourceOf(query: Query): string {
  const { resource } = query
  if (resource === undefined || resource === '') {
    throw new BadIdentityRequest(
      400,
      'invalid_request',
      "Required query variable 'resource' is missing",
    )
  }
  return resource
}

function imdsAnswer(token: IssuedToken, identity: Principal, resource: string): Query {
  return {
    access_token: token.accessToken,
    client_id: identity.clientId,
    expires_in: String(token.expiresIn),
    expires_on: String(token.expiresOn),
    ext_expires_in: String(token.expiresIn),
    not_before: String(token.notBefore),
    resource,
    token_type: 'Bearer',
  }
}

// `expires_in` comes before `expires_on`: a client that reads both into one field keeps the last.
function appServiceAnswer(token: IssuedToken, identity: Principal, resource: string): Query {
  return {
    access_token: token.accessToken,
    client_id: identity.clientId,
    expires_in: String(token.expiresIn),
    expires_on: String(token.expiresOn),
    not_before: String(token.notBefore),
    resource,
    token_type: 'Bearer',
  }
}

// Each SDK shows another of these fields to its user.
function answerAppServiceError(
  error: Error,
  _request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const { status, word, message } = describe(error)
  return reply.status(status).send({
    statusCode: status,
    message,
    error: { code: word, message },
    error_description: message,
    correlationId: randomUUID(),
  })
}

function describe(error: Error): { status: number; word: string; message: string } {
  const { message } = error
  if (error instanceof BadIdentityRequest) {
    return { status: error.status, word: error.error, message }
  }
  if (error instanceof EntraRefusal) return { status: 400, word: error.error, message }
  if (error instanceof TokenFailureError) {
    return { status: error.failure.status, word: error.failure.error, message }
  }
  return { status: 500, word: 'server_error', message }
}

function addRetryAfter(reply: FastifyReply, error: Error): void {
  if (!(error instanceof TokenFailureError)) return
  const { retryAfterSeconds } = error.failure
  if (retryAfterSeconds !== undefined) reply.header('retry-after', String(retryAfterSeconds))
}
