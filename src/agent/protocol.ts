import type { IncomingHttpHeaders } from 'node:http'
import { Refusal } from './refusal.ts'
import type { LiveToken } from './token-source.ts'

/** A request for a token as it came in: nothing of it was looked at yet but its path. */
export interface TokenRequest {
  readonly headers: IncomingHttpHeaders
  /** The query; for a form that was posted, its fields. */
  readonly fields: URLSearchParams
}

/** What a client wants. */
export interface TokenAsk {
  /** The audience as the client spells it; the answer repeats it so. */
  readonly resource: string
  /** The managed identity that it names, by any of its ids; `undefined`: the only one. */
  readonly identity: string | undefined
}

/** One way of asking this machine for a token. */
export interface Protocol {
  readonly name: 'app-service' | 'azure-ml' | 'imds' | 'cloud-shell'
  /** Checks the protocol's headers, then reads what is wanted. Throws a {@link Refusal}. */
  read(request: TokenRequest): TokenAsk
  /** The body of an answer with a token. */
  format(ask: TokenAsk, token: LiveToken, nowMs: number): object
  /** The body of an answer without one. */
  formatRefusal(refusal: Refusal): object
}

/** Far above any audience; a longer one is not worth repeating. */
const maxResourceLength = 1024

/** Reads the resource and the identity, which each protocol calls by other names. */
export function readAsk(fields: URLSearchParams, identityFields: readonly string[]): TokenAsk {
  const resource = single(fields, 'resource')
  if (resource === undefined) {
    throw invalid(
      "the parameter 'resource' is missing: expected an audience such as https://storage.azure.com",
    )
  }
  if (resource.length > maxResourceLength) throw invalid("the parameter 'resource' is too long")
  const named = identityFields.flatMap((field) => single(fields, field) ?? [])
  if (named.length > 1) throw invalid('several identities are named: name one')
  return { resource, identity: named[0] }
}

/** Refuses every version of a protocol but its own. */
export function checkVersion(fields: URLSearchParams, version: string): void {
  const asked = single(fields, 'api-version')
  if (asked === version) return
  throw invalid(
    asked === undefined
      ? `the parameter 'api-version' is missing: expected ${version}`
      : `this api-version is not supported: expected ${version}`,
  )
}

/** The one value of a field; `undefined` when it is absent or empty. */
export function single(fields: URLSearchParams, name: string): string | undefined {
  const [value, ...others] = fields.getAll(name)
  if (others.length > 0) throw invalid(`the parameter '${name}' is given more than once`)
  return value === '' ? undefined : value
}

/** The fields in the order of Azure's answers, numbers as text. */
export function tokenFields(ask: TokenAsk, token: LiveToken, nowMs: number): TokenFields {
  return {
    access_token: token.token,
    client_id: ask.identity ?? token.clientId ?? '',
    // Before `expires_on`: a client that reads both into one variable keeps the last.
    expires_in: seconds(token.expiresAtMs - nowMs),
    expires_on: seconds(token.expiresAtMs),
    not_before: seconds(token.notBeforeMs),
    resource: ask.resource,
    token_type: 'Bearer',
  }
}

/** What a token's answer consists of. */
export interface TokenFields {
  readonly access_token: string
  readonly client_id: string
  readonly expires_in: string
  readonly expires_on: string
  readonly not_before: string
  readonly resource: string
  readonly token_type: 'Bearer'
}

/** A refusal in the words of every SDK: each shows its user another of these fields. */
export function refusalFields(refusal: Refusal): object {
  const { status, word, message, correlationId } = refusal
  return {
    statusCode: status,
    message,
    error: { code: word, message },
    error_description: message,
    correlationId,
  }
}

/** A refusal of a request that its sender must change. */
export function invalid(message: string): Refusal {
  return new Refusal(400, 'invalid_request', { message })
}

function seconds(ms: number): string {
  return String(Math.max(0, Math.floor(ms / 1000)))
}
