/**
 * What clients make of a connector's answers. protocol-schema.ts says the same with zod, for who serves; it is read here
 * field by field, since a short command would take a seventh longer to load zod and build those schemas.
 */
import {
  bearerCredential,
  type Credential,
  type Permission,
  type Scope,
  sasCredential,
} from '../credential/credential.ts'
import { ConnectorError, type RequiredRole, type UpstreamRefusal } from './connector-error.ts'
import {
  answerReaches,
  type CredentialAnswer,
  errorCodes,
  maxNameLength,
  permissionNames,
  services,
  wordForm,
} from './protocol.ts'

type Fields = Readonly<Record<string, unknown>>

/** The body of an answer as JSON; `undefined` when it is none. */
export function readJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'))
  } catch {
    // Whatever it is, it is no message of the protocol; the caller says so with the status.
    return undefined
  }
}

/**
 * Reads an answer at the client; `undefined` when it is not one. `sentAtMs` is when the request
 * left: counting the life from there never promises more than there is.
 */
export function parseAnswer(body: unknown, sentAtMs: number): CredentialAnswer | undefined {
  const fields = fieldsOf(body)
  const { expiresInMs, principal, auditId } = fields
  const reach = answerReaches.find((each) => each === fields['reach'])
  const scope = readScope(fields['scope'])
  if (!isInteger(expiresInMs) || expiresInMs <= 0 || scope === undefined) return undefined
  if (reach === undefined || !isText(principal) || !isText(auditId)) return undefined
  const credential = readCredential(fields, sentAtMs + expiresInMs)
  return credential === undefined ? undefined : { credential, scope, reach, principal, auditId }
}

function readCredential(
  { kind, token, query }: Fields,
  expiresAtMs: number,
): Credential | undefined {
  if (kind === 'bearer' && isText(token) && token !== '')
    return bearerCredential(token, expiresAtMs)
  if (kind === 'sas' && isText(query) && query !== '') return sasCredential(query, expiresAtMs)
  return undefined
}

/** A scope with a name that is not known here is none: it may be narrower than it looks. */
function readScope(value: unknown): Scope | undefined {
  const { account, service, container, prefix, permissions, ...others } = fieldsOf(value)
  const known = services.find((each) => each === service)
  if (known === undefined || Object.keys(others).length > 0) return undefined
  if (!isName(account, maxNameLength.account) || account === '') return undefined
  if (container !== undefined && !isName(container, maxNameLength.container)) return undefined
  if (prefix !== undefined && !isName(prefix, maxNameLength.prefix)) return undefined
  if (!arePermissions(permissions)) return undefined
  return {
    account,
    service: known,
    ...(container === undefined ? {} : { container }),
    ...(prefix === undefined ? {} : { prefix }),
    permissions,
  }
}

/**
 * Reads a refusal at the client; `undefined` when it is not one. A later connector may have codes
 * and reasons that are not known here: an unknown reason is kept, an unknown code is told by the
 * status.
 */
export function parseProblem(body: unknown): ConnectorError | undefined {
  const fields = fieldsOf(body)
  const { code, reason, status, detail, retryable, required, upstream } = fields
  if (!isWord(code) || !isWord(reason) || !isInteger(status)) return undefined
  if (!isText(detail) || typeof retryable !== 'boolean') return undefined
  const { hint, retryAfterSeconds, claims, auditId } = fields
  if (!isMaybe(hint, isText) || !isMaybe(claims, isText) || !isMaybe(auditId, isText)) {
    return undefined
  }
  if (!isMaybe(retryAfterSeconds, isNumber) || !isMaybe(required, isRole)) return undefined
  if (!isMaybe(upstream, isUpstream)) return undefined
  const known = errorCodes.find((each) => each === code) ?? codeOfStatus(status)
  const told = { status, detail, hint, retryable, retryAfterSeconds, claims, auditId }
  return new ConnectorError(known, reason, { ...told, required, upstream })
}

function codeOfStatus(status: number): ConnectorError['code'] {
  if (status === 401) return 'invalid_client'
  if (status === 403) return 'access_denied'
  if (status === 429 || status === 503) return 'temporarily_unavailable'
  return status >= 500 ? 'server_error' : 'invalid_request'
}

/** Of what is no object: none. */
function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isNumber(value: unknown): value is number {
  return Number.isFinite(value)
}

function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value)
}

function isWord(value: unknown): value is string {
  return isText(value) && wordForm.test(value)
}

function isName(value: unknown, maxLength: number): value is string {
  return isText(value) && value.length <= maxLength
}

function isMaybe<T>(value: unknown, is: (value: unknown) => value is T): value is T | undefined {
  return value === undefined || is(value)
}

function arePermissions(value: unknown): value is Permission[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > permissionNames.length) {
    return false
  }
  return value.every((each) => permissionNames.some((name) => name === each))
}

function isRole(value: unknown): value is RequiredRole {
  const { role, scope, command } = fieldsOf(value)
  return [role, scope, command].every(isText)
}

function isUpstream(value: unknown): value is UpstreamRefusal {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const { status, code, requestId } = fieldsOf(value)
  return isMaybe(status, isInteger) && isMaybe(code, isText) && isMaybe(requestId, isText)
}
