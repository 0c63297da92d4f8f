import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { audienceOfScope } from './audience.ts'
import type { CertificateAndKey } from './certificate-authority.ts'
import { type AssertionRules, checkClientAssertion } from './client-assertion.ts'
import {
  applicationNotFound,
  credentialMissing,
  EntraRefusal,
  fieldMissing,
  grantUnsupported,
  refusalBody,
  secretInvalid,
  tenantNotFound,
} from './entra-refusal.ts'
import type { WorkloadIssuer } from './federation.ts'
import { createLoopbackServer, type LoopbackServer, listenOnLoopback } from './loopback-server.ts'
import { requestedClaims } from './requested-claims.ts'
import { isSameText } from './same-text.ts'
import { onPremisesTenant, type Tenant, TokenFailureError } from './tenant.ts'
import type { Principal } from './token-issuer.ts'

/*
 * Entra's token endpoint for applications, with the discovery documents around it, and the
 * discovery documents of the workload issuer that its application trusts.
 */

/** What an Entra stand-in is made of. */
export interface EntraOptions {
  readonly tenant: Tenant
  readonly workloadIssuer: WorkloadIssuer
  readonly certificate: CertificateAndKey
}

/** A running Entra stand-in. */
export interface Entra extends LoopbackServer {
  /** The `iss` of the workload issuer's assertions. */
  readonly workloadIssuerUrl: string
}

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Starts the stand-in over https. */
export async function startEntra(options: EntraOptions): Promise<Entra> {
  const server = createLoopbackServer(options.certificate)
  // Known once the server listens; no request comes before.
  const authority = { url: new URL('https://127.0.0.1/') }
  acceptForms(server)
  answerRefusals(server, options.tenant, authority)
  routeDiscovery(server, options.tenant, authority)
  routeTokens(server, options, authority)
  routeWorkloadIssuer(server, options.workloadIssuer, authority)
  const listening = await listenOnLoopback(server, 'https')
  authority.url = listening.url
  return { ...listening, workloadIssuerUrl: workloadIssuerUrl(authority) }
}

interface Authority {
  url: URL
}

interface TenantRoute {
  Params: { tenant: string }
}

function routeDiscovery(server: FastifyInstance, tenant: Tenant, authority: Authority): void {
  // Clients carry Entra's metadata with them and so meet an unknown tenant at its token endpoint;
  // this host is not in their list, hence the document for any tenant and the refusal there.
  server.get<TenantRoute>('/:tenant/v2.0/.well-known/openid-configuration', (request) =>
    openIdConfiguration(authority.url, request.params.tenant),
  )
  server.get(`/${onPremisesTenant}/.well-known/openid-configuration`, () =>
    openIdConfiguration(authority.url, onPremisesTenant),
  )
  server.get('/:tenant/discovery/v2.0/keys', () => tenant.signer.keySet)
  server.get('/:tenant/discovery/keys', () => tenant.signer.keySet)
  server.get('/common/discovery/instance', () => instanceMetadata(authority.url, tenant.tenantId))
}

function routeTokens(server: FastifyInstance, options: EntraOptions, authority: Authority): void {
  const { tenant } = options
  server.post<TenantRoute>('/:tenant/oauth2/v2.0/token', async (request, reply) => {
    const asked = request.params.tenant
    if (![tenant.tenantId, onPremisesTenant].includes(asked)) throw tenantNotFound(asked)
    const form = request.body instanceof URLSearchParams ? request.body : new URLSearchParams()
    checkGrant(form)
    const principal = await authenticate(form, options, authority)
    const resource = audienceOfScope(form.get('scope'), tenant.tenantId)
    const requested = requestedClaims(form.get('claims'))
    const { accessToken, expiresIn } = await tenant.issue(principal, resource, requested)
    reply.header('cache-control', 'no-store')
    return {
      token_type: 'Bearer',
      expires_in: expiresIn,
      ext_expires_in: expiresIn,
      access_token: accessToken,
    }
  })
}

function routeWorkloadIssuer(
  server: FastifyInstance,
  issuer: WorkloadIssuer,
  authority: Authority,
): void {
  server.get('/workload/.well-known/openid-configuration', () => ({
    issuer: workloadIssuerUrl(authority),
    jwks_uri: `${workloadIssuerUrl(authority)}/keys`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
  }))
  server.get('/workload/keys', () => issuer.keySet)
}

function workloadIssuerUrl(authority: Authority): string {
  return new URL('workload', authority.url).href
}

function checkGrant(form: URLSearchParams): void {
  const grant = form.get('grant_type')
  if (grant === null) throw fieldMissing('grant_type')
  if (grant !== 'client_credentials') throw grantUnsupported(grant)
}

async function authenticate(
  form: URLSearchParams,
  options: EntraOptions,
  authority: Authority,
): Promise<Principal> {
  const { tenant } = options
  const clientId = form.get('client_id')
  if (clientId === null) throw fieldMissing('client_id')
  if (clientId !== tenant.clientId) throw applicationNotFound(clientId, tenant.tenantId)
  const secret = form.get('client_secret')
  if (secret !== null) {
    if (!isSameText(secret, tenant.clientSecret)) throw secretInvalid(clientId)
    return tenant.application('1')
  }
  const assertion = form.get('client_assertion')
  if (assertion === null || form.get('client_assertion_type') !== assertionType) {
    throw credentialMissing()
  }
  await checkClientAssertion(assertion, assertionRules(options, authority))
  return tenant.application('2')
}

function assertionRules(options: EntraOptions, authority: Authority): AssertionRules {
  const { tenant, workloadIssuer } = options
  const bases = [tenant.tenantId, onPremisesTenant].map((name) => new URL(name, authority.url).href)
  return {
    clientId: tenant.clientId,
    certificatePem: tenant.certificatePem,
    audiences: bases.flatMap((base) => [`${base}/oauth2/v2.0/token`, `${base}/v2.0`]),
    federation: workloadIssuer.trust(workloadIssuerUrl(authority)),
    nowMs: tenant.clock.nowMs(),
  }
}

function acceptForms(server: FastifyInstance): void {
  server.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    (_request, body, done) => done(null, new URLSearchParams(String(body))),
  )
}

function answerRefusals(server: FastifyInstance, tenant: Tenant, authority: Authority): void {
  server.setErrorHandler((error, request, reply) => {
    const correlationId = correlationOf(request)
    reply.header('cache-control', 'no-store').header('client-request-id', correlationId)
    if (error instanceof TokenFailureError) return answerFailure(reply, error)
    if (!(error instanceof EntraRefusal)) throw error
    const context = { nowMs: tenant.clock.nowMs(), correlationId, authority: authority.url }
    return reply.status(error.status).send(refusalBody(error, context))
  })
}

function answerFailure(reply: FastifyReply, { failure }: TokenFailureError): FastifyReply {
  if (failure.retryAfterSeconds !== undefined) {
    reply.header('retry-after', String(failure.retryAfterSeconds))
  }
  const { status, error, description } = failure
  return reply.status(status).send({ error, error_description: description, error_codes: [] })
}

function correlationOf(request: FastifyRequest): string {
  const sent = request.headers['client-request-id']
  return typeof sent === 'string' ? sent : randomUUID()
}

function openIdConfiguration(authority: URL, tenant: string): Record<string, unknown> {
  const base = new URL(tenant, authority).href
  return {
    token_endpoint: `${base}/oauth2/v2.0/token`,
    token_endpoint_auth_methods_supported: ['client_secret_post', 'private_key_jwt'],
    jwks_uri: `${base}/discovery/v2.0/keys`,
    response_modes_supported: ['query', 'fragment', 'form_post'],
    subject_types_supported: ['pairwise'],
    id_token_signing_alg_values_supported: ['RS256'],
    response_types_supported: ['code', 'id_token', 'code id_token', 'id_token token'],
    scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
    issuer: `${base}/v2.0`,
    authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
    device_authorization_endpoint: `${base}/oauth2/v2.0/devicecode`,
    end_session_endpoint: `${base}/oauth2/v2.0/logout`,
    grant_types_supported: ['client_credentials'],
    cloud_instance_name: 'microsoftonline.com',
    tenant_region_scope: null,
  }
}

function instanceMetadata(authority: URL, tenantId: string): Record<string, unknown> {
  return {
    tenant_discovery_endpoint: new URL(
      `${tenantId}/v2.0/.well-known/openid-configuration`,
      authority,
    ).href,
    'api-version': '1.1',
    metadata: [
      {
        preferred_network: authority.host,
        preferred_cache: authority.host,
        aliases: [authority.host],
      },
    ],
  }
}
