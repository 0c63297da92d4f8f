import { randomUUID } from 'node:crypto'

/** OAuth's and Entra's words for the `error` field of a token endpoint. */
export type EntraErrorWord =
  | 'invalid_client'
  | 'invalid_request'
  | 'invalid_resource'
  | 'invalid_scope'
  | 'unauthorized_client'
  | 'unsupported_grant_type'

/** A token request that Entra answers with an AADSTS code instead of a token. */
export class EntraRefusal extends Error {
  override readonly name = 'EntraRefusal'
  readonly status: number
  readonly error: EntraErrorWord
  /** The number after `AADSTS`. */
  readonly code: number

  constructor(status: number, error: EntraErrorWord, code: number, description: string) {
    super(`AADSTS${code}: ${description}`)
    this.status = status
    this.error = error
    this.code = code
  }
}

/** The fields that Entra sends with a refusal, in its order. */
export interface EntraRefusalBody {
  readonly error: string
  readonly error_description: string
  readonly error_codes: readonly number[]
  readonly timestamp: string
  readonly trace_id: string
  readonly correlation_id: string
  readonly error_uri: string
}

/** The JSON body of a refusal, laid out as Entra's. */
export function refusalBody(
  refusal: EntraRefusal,
  context: { readonly nowMs: number; readonly correlationId: string; readonly authority: URL },
): EntraRefusalBody {
  const timestamp = `${new Date(context.nowMs).toISOString().slice(0, 19).replace('T', ' ')}Z`
  const traceId = randomUUID()
  return {
    error: refusal.error,
    error_description: `${refusal.message} Trace ID: ${traceId} Correlation ID: ${context.correlationId} Timestamp: ${timestamp}`,
    error_codes: [refusal.code],
    timestamp,
    trace_id: traceId,
    correlation_id: context.correlationId,
    error_uri: new URL(`/error?code=${refusal.code}`, context.authority).href,
  }
}

/** The tenant of the path does not exist here. */
export function tenantNotFound(tenant: string): EntraRefusal {
  return new EntraRefusal(
    400,
    'invalid_request',
    90002,
    `Tenant '${tenant}' not found. Check that the tenant id is right and that the authority is the cloud it belongs to.`,
  )
}

/** No application has this client id in the tenant. */
export function applicationNotFound(clientId: string, tenant: string): EntraRefusal {
  return new EntraRefusal(
    400,
    'unauthorized_client',
    700016,
    `Application with identifier '${clientId}' was not found in the directory '${tenant}'.`,
  )
}

/** The client secret is not the one of the application. */
export function secretInvalid(clientId: string): EntraRefusal {
  return new EntraRefusal(
    401,
    'invalid_client',
    7000215,
    `Invalid client secret provided for app '${clientId}'.`,
  )
}

/** Neither a secret nor an assertion came with the request. */
export function credentialMissing(): EntraRefusal {
  return new EntraRefusal(
    401,
    'invalid_client',
    7000218,
    "The request body must contain the parameter 'client_assertion' or 'client_secret'.",
  )
}

/** The grant is one that this stand-in does not offer. */
export function grantUnsupported(grant: string): EntraRefusal {
  return new EntraRefusal(
    400,
    'unsupported_grant_type',
    70003,
    `The app requested an unsupported grant type '${grant}'.`,
  )
}

/** A form field that every request needs is absent. */
export function fieldMissing(field: string): EntraRefusal {
  return new EntraRefusal(
    400,
    'invalid_request',
    900144,
    `The request body must contain the parameter '${field}'.`,
  )
}

/** The scope is not `RESOURCE/.default`. */
export function scopeInvalid(scope: string): EntraRefusal {
  return new EntraRefusal(
    400,
    'invalid_scope',
    1002012,
    `The provided value for scope ${scope} is not valid. Client credential flows need a scope of the resource followed by /.default.`,
  )
}

/** One request asked for tokens of several resources. */
export function scopesOfSeveralResources(scope: string): EntraRefusal {
  return new EntraRefusal(
    400,
    'invalid_scope',
    28000,
    `The scope is not valid because it contains more than one resource: ${scope}.`,
  )
}

/** Nobody offers this resource in the tenant. */
export function resourceNotFound(resource: string, tenant: string): EntraRefusal {
  return new EntraRefusal(
    400,
    'invalid_resource',
    500011,
    `The resource principal named ${resource} was not found in the tenant named ${tenant}.`,
  )
}

/** The assertion is expired or not valid yet. */
export function assertionOutOfTime(validity: string): EntraRefusal {
  return new EntraRefusal(
    401,
    'invalid_client',
    700024,
    `Client assertion is not within its valid time range. ${validity}`,
  )
}

/** The assertion is unsigned, malformed, or signed with a key that is not registered. */
export function assertionSignatureInvalid(reason: string): EntraRefusal {
  return new EntraRefusal(
    401,
    'invalid_client',
    700027,
    `Client assertion failed signature validation. ${reason}`,
  )
}

/** The assertion's issuer or subject is another application. */
export function assertionOfAnotherClient(clientId: string): EntraRefusal {
  return new EntraRefusal(
    401,
    'invalid_client',
    700021,
    `Client assertion application identifier doesn't match 'client_id' parameter '${clientId}'.`,
  )
}

/** The assertion is meant for another authority. */
export function assertionAudienceInvalid(audience: string): EntraRefusal {
  return new EntraRefusal(
    401,
    'invalid_client',
    700023,
    `Client assertion audience claim '${audience}' does not match Realm issuer.`,
  )
}

const federatedCodes = { issuer: 700211, audience: 700212, subject: 700213 } as const

/** No federated credential of the application has this issuer, audience or subject. */
export function federatedIdentityNotFound(
  claim: keyof typeof federatedCodes,
  value: string,
): EntraRefusal {
  return new EntraRefusal(
    401,
    'invalid_client',
    federatedCodes[claim],
    `No matching federated identity record found for presented assertion ${claim} '${value}'.`,
  )
}
