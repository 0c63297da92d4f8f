/**
 * The messages between a connector and its clients, and the parsers that both ends run over what
 * they receive. docs/connector.md describes the protocol.
 */
import { z } from 'zod'
import {
  bearerCredential,
  type Credential,
  type Permission,
  type Scope,
  sasCredential,
} from '../credential/credential.ts'
import { isJsonObject } from './azure-answer.ts'
import {
  ConnectorError,
  type ConnectorErrorCode,
  type RequiredRole,
  type UpstreamRefusal,
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
const permission = z.enum(permissionNames)
/** A scope on the wire; {@link canonicalScope} looks at its names. */
export const scopeSchema: z.ZodType<Scope> = z.strictObject({
  account: z.string().min(1).max(64),
  service: z.enum(['blob', 'dfs']),
  container: z.string().max(64).optional(),
  prefix: z.string().max(1024).optional(),
  permissions: z.array(permission).min(1).max(permissionNames.length),
})
const kind = z.enum(['bearer', 'sas'])
/** Goes on to Entra as it is, so it must be a small object of JSON. */
export const claims: z.ZodType<string> = z
  .string()
  .max(4096)
  .refine(isJsonObject, 'is no object of JSON')
/** What {@link CREDENTIALS_PATH} takes. */
export const credentialRequest: z.ZodType<CredentialRequest> = z.strictObject({
  scope: scopeSchema,
  kind: kind.optional(),
  refresh: z.boolean().optional(),
  claims: claims.optional(),
})
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

const grantFields = {
  expiresInMs: z.number().int().positive(),
  scope: scopeSchema,
  reach: z.enum(['container', 'directory', 'identity', 'repository']),
  principal: z.string(),
  auditId: z.string(),
}
/** What {@link CREDENTIALS_PATH} gives. */
export const credentialAnswer: z.ZodType<CredentialBody> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('bearer'), token: z.string().min(1), ...grantFields }),
  z.object({ kind: z.literal('sas'), query: z.string().min(1), ...grantFields }),
])
const codes = [
  'access_denied',
  'invalid_client',
  'invalid_request',
  'invalid_scope',
  'server_error',
  'temporarily_unavailable',
] as const
const word = z.string().regex(/^[a-z][a-z0-9_]{0,63}$/)
/** A refusal as clients read it. */
const problem = z.object({
  code: word,
  reason: word,
  status: z.number().int(),
  detail: z.string(),
  hint: z.string().optional(),
  retryable: z.boolean(),
  retryAfterSeconds: z.number().optional(),
  required: z.object({ role: z.string(), scope: z.string(), command: z.string() }).optional(),
  upstream: z
    .object({
      status: z.number().int().optional(),
      code: z.string().optional(),
      requestId: z.string().optional(),
    })
    .optional(),
  claims: z.string().optional(),
  auditId: z.string().optional(),
})
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

/** A refusal as the connector writes it. */
export const problemSchema: z.ZodType<ProblemBody> = problem.extend({
  type: z.literal('about:blank'),
  title: z.string(),
  code: z.enum(codes),
})

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

/**
 * Reads an answer at the client; `undefined` when it is not one. `sentAtMs` is when the request
 * left: counting the life from there never promises more than there is.
 */
export function parseAnswer(body: unknown, sentAtMs: number): CredentialAnswer | undefined {
  const result = credentialAnswer.safeParse(body)
  if (!result.success) return undefined
  const { scope, reach, principal, auditId } = result.data
  const expiresAtMs = sentAtMs + result.data.expiresInMs
  const credential =
    result.data.kind === 'bearer'
      ? bearerCredential(result.data.token, expiresAtMs)
      : sasCredential(result.data.query, expiresAtMs)
  return { credential, scope, reach, principal, auditId }
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

/**
 * Reads a refusal at the client; `undefined` when it is not one. A later connector may have codes
 * and reasons that are not known here: an unknown reason is kept, an unknown code is told by the
 * status.
 */
export function parseProblem(body: unknown): ConnectorError | undefined {
  const result = problem.safeParse(body)
  if (!result.success) return undefined
  const { code, reason, ...options } = result.data
  const known = codes.find((each) => each === code) ?? codeOfStatus(options.status)
  return new ConnectorError(known, reason, options)
}

function codeOfStatus(status: number): ConnectorError['code'] {
  if (status === 401) return 'invalid_client'
  if (status === 403) return 'access_denied'
  if (status === 429 || status === 503) return 'temporarily_unavailable'
  return status >= 500 ? 'server_error' : 'invalid_request'
}

/** The body of an answer as JSON; `undefined` when it is none. */
export function readJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'))
  } catch {
    // Whatever it is, it is no message of the protocol; the caller says so with the status.
    return undefined
  }
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
