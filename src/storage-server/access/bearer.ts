import { errors, type JWTVerifyGetKey, type JWTVerifyResult, jwtVerify } from 'jose'
import type { StorageAccount } from '../model/account.ts'
import type { StorageRequest } from '../wire/request.ts'
import type { StorageError } from '../wire/storage-error.ts'
import { type AudienceRules, isAudienceOf } from './audience.ts'
import { bearerChallenge, type ChallengeRules, claimsChallenge, issuedSince } from './challenge.ts'
import { authenticationFailed, authenticationMalformed, tokenRefused } from './refusal.ts'
import type { Revocations } from './revocations.ts'

/*
 * Bearer tokens: signature and issuer are checked once per token and remembered; audience, times and
 * revocation are checked at each request, since the first depends on the host and all on the time.
 */

/** Whose tokens a server takes. */
export interface TokenRules extends AudienceRules, ChallengeRules {
  /** Finds the issuer's key, as `createLocalJWKSet` and `createRemoteJWKSet` of jose do. */
  readonly keys: JWTVerifyGetKey
  /** Accepted values of `iss`. */
  readonly issuers: readonly string[]
  /** Tokens hold this much longer and earlier, seconds. Default 0. */
  readonly clockToleranceSeconds?: number | undefined
}

/** What a verified token says. */
export interface TokenClaims {
  readonly objectId: string
  readonly tenantId: string
  readonly groups: readonly string[]
}

interface Verified extends TokenClaims {
  readonly audience: string
  readonly tokenId: string | undefined
  readonly issuedMs: number
  readonly notBeforeMs: number
  readonly expiresMs: number
}

const oldestVersion = '2017-11-09'
const maxRemembered = 1000

/** Verifies `Authorization: Bearer`. */
export class BearerVerifier {
  readonly #rules: TokenRules
  readonly #revocations: Revocations
  readonly #verified = new Map<string, Verified>()

  constructor(rules: TokenRules, revocations: Revocations) {
    this.#rules = rules
    this.#revocations = revocations
  }

  /** `WWW-Authenticate` of a 401. */
  get challenge(): string {
    return bearerChallenge(this.#rules)
  }

  /** Throws `StorageError` 401 with a challenge, 400 for a malformed header, 403 over http. */
  async verify(request: StorageRequest, account: StorageAccount): Promise<TokenClaims> {
    const token = tokenOf(request)
    const verified = this.#verified.get(token) ?? (await this.#checkSignature(token))
    this.#checkTimes(verified, account.nowMs())
    if (!isAudienceOf(verified.audience, request, this.#rules)) {
      throw this.#refused('Audience validation failed. Audience did not match.')
    }
    if (this.#revocations.includes(verified)) throw this.#revoked(account.nowMs())
    return verified
  }

  async #checkSignature(token: string): Promise<Verified> {
    try {
      const { keys, issuers } = this.#rules
      const options = {
        issuer: [...issuers],
        // Times are checked at each request; this only keeps the library from doing so.
        clockTolerance: Number.MAX_SAFE_INTEGER,
        requiredClaims: ['exp', 'iat', 'nbf', 'aud', 'oid', 'tid'],
      }
      const verified = read(await jwtVerify(token, keys, options))
      if (this.#verified.size >= maxRemembered) this.#verified.clear()
      this.#verified.set(token, verified)
      return verified
    } catch (error) {
      throw this.#refused(reasonOf(error), error)
    }
  }

  #checkTimes(token: Verified, nowMs: number): void {
    const toleranceMs = (this.#rules.clockToleranceSeconds ?? 0) * 1000
    if (nowMs >= token.expiresMs + toleranceMs) {
      throw this.#refused('Lifetime validation failed. The token is expired.')
    }
    if (nowMs < token.notBeforeMs - toleranceMs) {
      throw this.#refused('Lifetime validation failed. The token is not yet valid.')
    }
  }

  #revoked(nowMs: number): StorageError {
    const challenge = claimsChallenge(this.#rules, issuedSince(nowMs))
    return tokenRefused('The token was revoked.', challenge)
  }

  #refused(detail: string, cause?: unknown): StorageError {
    return tokenRefused(detail, this.challenge, cause)
  }
}

function tokenOf(request: StorageRequest): string {
  const token = /^Bearer ([\w.~+/-]+=*)$/i.exec(request.headers['authorization'] ?? '')?.[1]
  if (token === undefined) throw authenticationMalformed('expected "Bearer token"')
  if (!request.secure) throw authenticationFailed('Authentication scheme Bearer needs https.')
  if (request.version < oldestVersion) {
    throw authenticationFailed('Authentication scheme Bearer is not supported in this version.')
  }
  return token
}

function read({ payload }: JWTVerifyResult): Verified {
  const { aud, oid, tid, groups, jti, uti, exp = 0, iat = 0, nbf = 0 } = payload
  const audience = typeof aud === 'string' ? aud : undefined
  if (audience === undefined) throw new TypeError('aud is not one text')
  const tokenId = jti ?? uti
  return {
    audience,
    objectId: String(oid),
    tenantId: String(tid),
    groups: Array.isArray(groups) ? groups.map(String) : [],
    tokenId: typeof tokenId === 'string' ? tokenId : undefined,
    issuedMs: iat * 1000,
    notBeforeMs: nbf * 1000,
    expiresMs: exp * 1000,
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTClaimValidationFailed && error.claim === 'iss') {
    return 'Issuer validation failed. Issuer did not match.'
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    return `Claim validation failed: '${error.claim}'.`
  }
  return 'Signature validation failed.'
}
