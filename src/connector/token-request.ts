import { z } from 'zod'
import { ConnectorError } from './connector-error.ts'
import { type TokenTarget, tokenTarget } from './token-target.ts'

const accessToken = 'urn:ietf:params:oauth:token-type:access_token'
const jwt = 'urn:ietf:params:oauth:token-type:jwt'
const fields = z.strictObject({
  grant_type: z.literal('urn:ietf:params:oauth:grant-type:token-exchange'),
  subject_token: z.string().min(1),
  subject_token_type: z.enum([accessToken, jwt]),
  requested_token_type: z.string().default(accessToken),
  audience: z.string().min(1).max(300).optional(),
  scope: z.string().min(1).max(4096).optional(),
})

/**
 * Reads the form of a token exchange (RFC 8693) from a caller that has proved itself with
 * `authorization`. Throws `invalid_request` for what does not fit: a field that is unknown or there
 * twice, and a subject that is somebody else than the caller.
 */
export function parseTokenRequest(form: unknown, authorization: string | undefined): TokenTarget {
  const result = fields.safeParse(objectOf(form))
  if (!result.success) throw malformed(`: ${issueOf(result.error)}`)
  const { subject_token, requested_token_type, audience, scope } = result.data
  // Never echoed: it is the caller's secret.
  if (authorization?.replace(/^Bearer /i, '') !== subject_token) {
    throw malformed(": 'subject_token' is not the proof in Authorization")
  }
  if (requested_token_type !== accessToken) throw unsupported()
  return tokenTarget(audience, scope)
}

/** The body of an answer whose token lives for `lifeMs` milliseconds more. */
export function formatToken(token: string, lifeMs: number): string {
  return JSON.stringify({
    access_token: token,
    issued_token_type: accessToken,
    token_type: 'Bearer',
    expires_in: Math.max(1, Math.floor(lifeMs / 1000)),
  })
}

function objectOf(form: unknown): Record<string, string> {
  if (!(form instanceof URLSearchParams)) throw malformed('')
  const names = [...form.keys()]
  if (new Set(names).size !== names.length) throw malformed(': a field is there twice')
  return Object.fromEntries(form)
}

function issueOf(error: z.ZodError): string {
  const [issue] = error.issues
  const name = issue?.path.join('.') ?? ''
  return name === '' ? 'a field is not known' : `'${name}' is missing or not understood`
}

function malformed(detail: string): ConnectorError {
  return new ConnectorError('invalid_request', 'malformed', {
    detail: `the request is no token exchange of RFC 8693${detail}`,
    hint: 'see POST /v1/token in docs/connector.md',
  })
}

function unsupported(): ConnectorError {
  return new ConnectorError('invalid_scope', 'unsupported_auth_for_resource', {
    detail: 'the connector exchanges for access tokens alone',
    hint: `ask with requested_token_type=${accessToken}`,
  })
}
