import { z } from 'zod'
import { ConnectorError } from './connector-error.ts'
import { claims } from './protocol-schema.ts'
import { type TokenTarget, tokenTarget } from './token-target.ts'

const accessToken = 'urn:ietf:params:oauth:token-type:access_token'
const jwt = 'urn:ietf:params:oauth:token-type:jwt'
/** The form of a token exchange, in RFC 8693's names. */
export interface TokenForm {
  readonly grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange'
  readonly subject_token: string
  readonly subject_token_type: typeof accessToken | typeof jwt
  readonly requested_token_type: string
  readonly audience?: string | undefined
  readonly scope?: string | undefined
  /** The JSON of a claims challenge that the token answers. */
  readonly claims?: string | undefined
}

/** Its answer; `expires_in` in seconds. */
export interface TokenBody {
  readonly access_token: string
  readonly issued_token_type: typeof accessToken
  readonly token_type: 'Bearer'
  readonly expires_in: number
}

/** What a token is for, as it is written on the wire. */
export const tokenFields: {
  readonly audience: z.ZodOptional<z.ZodString>
  readonly scope: z.ZodOptional<z.ZodString>
} = {
  audience: z.string().min(1).max(300).optional(),
  scope: z.string().min(1).max(4096).optional(),
}

/** The form that is exchanged for a token. */
export const tokenRequest: z.ZodType<TokenForm> = z.strictObject({
  grant_type: z.literal('urn:ietf:params:oauth:grant-type:token-exchange'),
  subject_token: z.string().min(1),
  subject_token_type: z.enum([accessToken, jwt]),
  requested_token_type: z.string().default(accessToken),
  ...tokenFields,
  claims: claims.optional(),
})

/** What comes for it. */
export const tokenAnswer: z.ZodType<TokenBody> = z.object({
  access_token: z.string(),
  issued_token_type: z.literal(accessToken),
  token_type: z.literal('Bearer'),
  expires_in: z.number().int().positive(),
})

/**
 * What a caller that has proved itself with `authorization` asks for. Throws `invalid_request` for
 * a subject that is somebody else than the caller.
 */
export function parseTokenRequest(form: TokenForm, authorization: string | undefined): TokenTarget {
  const { subject_token, requested_token_type, audience, scope } = form
  // Never echoed: it is the caller's secret.
  if (authorization?.replace(/^(Bearer|DPoP) /i, '') !== subject_token) throw otherSubject()
  if (requested_token_type !== accessToken) throw unsupported()
  return tokenTarget(audience, scope)
}

/** The body of an answer whose token lives for `lifeMs` milliseconds more. */
export function tokenBody(token: string, lifeMs: number): TokenBody {
  return {
    access_token: token,
    issued_token_type: accessToken,
    token_type: 'Bearer',
    expires_in: Math.max(1, Math.floor(lifeMs / 1000)),
  }
}

function otherSubject(): ConnectorError {
  return new ConnectorError('invalid_request', 'malformed', {
    detail: "'subject_token' is not the proof in Authorization",
    hint: 'see POST /v1/token in docs/connector.md',
  })
}

function unsupported(): ConnectorError {
  return new ConnectorError('invalid_scope', 'unsupported_auth_for_resource', {
    detail: 'the connector exchanges for access tokens alone',
    hint: `ask with requested_token_type=${accessToken}`,
  })
}
