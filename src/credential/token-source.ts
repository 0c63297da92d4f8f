import type { TokenCredential } from '@azure/core-auth'
import { expectFunction, expectMethod } from '../expect-option.ts'

/** One token that is asked for. */
export interface TokenRequest {
  /** `https://account.blob.core.windows.net/.default` */
  readonly scope: string
  readonly tenantId?: string | undefined
  /** JSON of claims that the token must have. */
  readonly claims?: string | undefined
  /** What a cache holds will not do. */
  readonly refresh?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

export interface IssuedToken {
  readonly token: string
  readonly expiresAtMs: number
}

/** Gives a token for a scope, or rejects with the reason. */
export type TokenSource = (request: TokenRequest) => Promise<IssuedToken>

/** Tokens of any credential of the Azure SDKs, with claims and tenant handed on. */
export function fromTokenCredential(credential: TokenCredential): TokenSource {
  const wanted = 'a credential of the Azure SDKs, which has getToken'
  expectMethod('credential', credential, { method: 'getToken', wanted })
  return async ({ scope, tenantId, claims, signal }) => {
    const token = await credential.getToken(scope, {
      enableCae: true,
      ...(tenantId === undefined ? {} : { tenantId }),
      ...(claims === undefined ? {} : { claims }),
      ...(signal === undefined ? {} : { abortSignal: signal }),
    })
    if (token === null) throw new Error('the credential has no token for this scope')
    return { token: token.token, expiresAtMs: token.expiresOnTimestamp }
  }
}

/** One token for everything, as another program got it. When it is refused, there is no other. */
export function staticToken(
  token: string,
  expiresAtMs: number = Number.MAX_SAFE_INTEGER,
): TokenSource {
  if (typeof token !== 'string' || token === '') {
    throw new TypeError(`token: expected a token as text, got a ${typeof token}`)
  }
  return async ({ refresh }) => {
    if (refresh === true) throw new Error('the token was refused, and it is the only one')
    return { token, expiresAtMs }
  }
}

/** Tokens that a function gives: text alone is good until it is refused. */
export function callbackToken(
  callback: (request: TokenRequest) => Promise<string | IssuedToken> | string | IssuedToken,
): TokenSource {
  expectFunction('callback', callback, 'a function that gives a token')
  return async (request) => {
    const given = await callback(request)
    const isText = typeof given === 'string'
    return isText ? { token: given, expiresAtMs: Number.MAX_SAFE_INTEGER } : given
  }
}
