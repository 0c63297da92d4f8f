/**
 * The messages between a connector and its clients. docs/connector.md describes the protocol,
 * protocol-schema.ts is what servers make of what they receive, read-answer.ts what clients do.
 */
import type { Credential, Permission, Scope } from '../credential/credential.ts'
import type {
  ConnectorError,
  ConnectorErrorCode,
  RequiredRole,
  UpstreamRefusal,
} from './connector-error.ts'

/** Where a client asks for a credential: POST. */
export const CREDENTIALS_PATH = '/v1/credentials'
/** Where sessions are opened; everything below it is for their holders. */
export const SESSIONS_PATH = '/v1/sessions'
/** Where a caller's proof is exchanged for a token beyond storage (RFC 8693): POST. */
export const TOKEN_PATH = '/v1/token'
/** Where a caller learns what it may ask for: GET. */
export const RESOURCES_PATH = '/v1/resources'
/** Where anybody may ask whether the connector serves: GET. */
export const HEALTH_PATH = '/v1/health'
/** The media type of every answer that is not 200 (RFC 9457). */
export const PROBLEM_TYPE = 'application/problem+json'

/** The two kinds of credential that a connector gives. */
export type CredentialKind = Credential['kind']

/** What a client asks for. */
export interface CredentialRequest {
  readonly scope: Scope
  /** The kind wanted; the connector's policy chooses when absent. */
  readonly kind?: CredentialKind | undefined
  /** Says that Azure refused the last one, so that cached keys are replaced. */
  readonly refresh?: boolean | undefined
  /** What Azure's claims challenge wants of a token: JSON. */
  readonly claims?: string | undefined
}

/** How far a credential reaches: what its signature says, or all that the identity may do. */
export type CredentialReach = 'blob' | 'container' | 'directory' | 'identity' | 'repository'

/** What a connector answers; the credential's life is relative, so that clocks need not agree. */
export interface CredentialAnswer {
  readonly credential: Credential
  /** The scope that policy granted: never wider than the one asked for. */
  readonly scope: Scope
  readonly reach: CredentialReach
  /** The connector's name for the caller. */
  readonly principal: string
  readonly auditId: string
}

/** Every permission, in the order in which they are written. */
export const permissionNames = [
  'read',
  'list',
  'create',
  'write',
  'delete',
  'tag',
  'move',
  'execute',
  'ownership',
  'permissions',
] as const
interface GrantBody {
  readonly expiresInMs: number
  readonly scope: Scope
  readonly reach: CredentialReach
  readonly principal: string
  readonly auditId: string
}

/** An answer as it stands on the wire. */
export type CredentialBody = GrantBody &
  (
    | { readonly kind: 'bearer'; readonly token: string }
    | { readonly kind: 'sas'; readonly query: string }
  )

/** The words of RFC 6749 that refusals have. */
export const errorCodes = [
  'access_denied',
  'invalid_client',
  'invalid_request',
  'invalid_scope',
  'server_error',
  'temporarily_unavailable',
] as const
/** A refusal as it stands on the wire (RFC 9457). */
export interface ProblemBody {
  readonly type: 'about:blank'
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: ConnectorErrorCode
  readonly reason: string
  readonly hint?: string | undefined
  readonly retryable: boolean
  readonly retryAfterSeconds?: number | undefined
  readonly required?: RequiredRole | undefined
  readonly upstream?: UpstreamRefusal | undefined
  readonly claims?: string | undefined
  readonly auditId?: string | undefined
}

/** The reaches that an answer tells: a credential for one blob never leaves the connector. */
export const answerReaches = ['container', 'directory', 'identity', 'repository'] as const
/** The endpoints of storage that a scope may be for. */
export const services = ['blob', 'dfs'] as const
/** Longer than any name that Azure has; characters. */
export const maxNameLength = { account: 64, container: 64, prefix: 1024 } as const
/** What a code or a reason is spelled like, also one of a later connector. */
export const wordForm: RegExp = /^[a-z][a-z0-9_]{0,63}$/

/** The body of a request for a credential. */
export function formatRequest(request: CredentialRequest): string {
  return JSON.stringify({
    scope: request.scope,
    kind: request.kind,
    refresh: request.refresh === true ? true : undefined,
    claims: request.claims,
  })
}

/** The body of an answer given at `nowMs`. */
export function answerBody(answer: CredentialAnswer, nowMs: number): CredentialBody {
  const { credential, scope, reach, principal, auditId } = answer
  const expiresInMs = Math.floor(credential.expiresAtMs - nowMs)
  const grant = { expiresInMs, scope, reach, principal, auditId }
  return credential.kind === 'bearer'
    ? { kind: 'bearer', token: credential.token, ...grant }
    : { kind: 'sas', query: credential.query, ...grant }
}

/** The body of a refusal. The cause stays behind. */
export function formatProblem(error: ConnectorError): string {
  return JSON.stringify({
    type: 'about:blank',
    title: TITLES[error.code],
    status: error.status,
    detail: error.detail,
    code: error.code,
    reason: error.reason,
    hint: error.hint,
    retryable: error.retryable,
    retryAfterSeconds: error.retryAfterSeconds,
    required: error.required,
    upstream: error.upstream,
    claims: error.claims,
    auditId: error.auditId,
  } satisfies ProblemBody)
}

/** Permissions without repetition, in one order. */
export function sortPermissions(permissions: readonly Permission[]): Permission[] {
  return permissionNames.filter((each) => permissions.includes(each))
}

const TITLES: Record<ConnectorError['code'], string> = {
  access_denied: 'Not allowed',
  invalid_client: 'Unknown caller',
  invalid_request: 'Malformed request',
  invalid_scope: 'Scope not possible',
  server_error: 'Connector failed',
  temporarily_unavailable: 'Not available',
}
