import type { FastifyRequest } from 'fastify'
import { ConnectorError } from './connector-error.ts'
import type { Caller } from './issuance.ts'
import { SESSIONS_PATH } from './protocol.ts'
import type { ProofCheck } from './session/dpop.ts'
import type { Sessions } from './session/sessions.ts'

/** What proofs of possession are checked with. */
export interface Proving {
  readonly proofs: ProofCheck
  readonly sessions: Sessions
  /** Whether clients reach the connector by https, its own or that of a proxy. */
  readonly isHttps: boolean
  /** What clients call the connector, where that is not what arrives in `Host`. */
  readonly publicUrl?: URL | undefined
}

/**
 * The thumbprint of the key that signed a request with a `DPoP` header. A proof is checked wherever
 * it comes, and needed where the token is bound to a key. Rejects with `invalid_client`.
 */
export function provenKey(
  { proofs, isHttps, publicUrl }: Proving,
  request: FastifyRequest,
  token: string | undefined,
): Promise<string> {
  const { dpop, host } = request.headers
  const base = publicUrl?.href.replace(/\/$/, '') ?? `${isHttps ? 'https' : 'http'}://${host}`
  const url = `${base}${request.url.replace(/[?#].*$/, '')}`
  const proof = typeof dpop === 'string' ? dpop : undefined
  return proofs.thumbprint(proof, { method: request.method, url, token })
}

/** An access token opens the routes that say so; a refresh token its session's refresh alone. */
export async function sessionCaller(
  { sessions }: Proving,
  request: FastifyRequest,
  { token, jkt }: { readonly token: string; readonly jkt: string },
): Promise<Caller> {
  const { path, inSessions } = request.routeOptions.config
  const isRefresh = path === `${SESSIONS_PATH}/{id}/refresh`
  if (inSessions !== true || token.startsWith('abfsr_') !== isRefresh) throw notHere()
  const session = await sessions.authenticate(token, jkt)
  return { principal: { name: session.body.caller }, jkt, session }
}

function notHere(): ConnectorError {
  return new ConnectorError('invalid_client', 'caller_unknown', {
    detail: 'a token of a session is not good on this path',
    hint: 'access tokens are for what the session was opened for, refresh tokens for its refresh',
  })
}
