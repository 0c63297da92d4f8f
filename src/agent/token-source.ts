/**
 * Tokens as clients of managed identity need them. In the order things happen:
 *
 * 1. The provider, a cache over the connector's client, answers from memory as a rule.
 * 2. Azure's SDKs take a token with less than five minutes left for none at all and ask again on
 *    every call. A token that is near its end is therefore renewed before it is handed out.
 * 3. When the renewal fails, or brings nothing that lives longer, the old token serves to its end.
 */
import type { Clock } from '../clock.ts'
import type {
  BearerCredential,
  Credential,
  CredentialProvider,
  Scope,
} from '../credential/credential.ts'
import { FileSystemError } from '../errors.ts'

/** Where the tokens of one audience come from. */
export interface TokenTarget {
  /** A cache: every request asks it. */
  readonly provider: CredentialProvider
  readonly scope: Scope
}

/** A token with what its holder is told about it. */
export interface LiveToken {
  readonly token: string
  readonly expiresAtMs: number
  /** The beginning of its life; when the agent first saw it, if the token does not say. */
  readonly notBeforeMs: number
  /** The application in Entra that it was issued to; `undefined` when the token does not say. */
  readonly clientId: string | undefined
}

/** Below this much life a token is renewed before it is handed out; for tokens that ever had it. */
const comfortableLifeMs = 10 * 60_000

/** Hands out tokens that live long enough to be used. */
export class TokenSource {
  readonly #clock: Clock
  readonly #seen = new WeakMap<BearerCredential, LiveToken & { readonly lifeMs: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * The token for a target. Rejects as the target's provider does, and with `EACCES` when it gives
   * a signature: that is no token.
   */
  async get(target: TokenTarget, signal?: AbortSignal): Promise<LiveToken> {
    const { provider, scope } = target
    const held = bearerOf(await provider.getCredential(scope, { signal }))
    return this.#isShort(held) ? this.#renewed(target, held, signal) : this.#live(held)
  }

  async #renewed(
    { provider, scope }: TokenTarget,
    held: BearerCredential,
    signal: AbortSignal | undefined,
  ): Promise<LiveToken> {
    try {
      const fresh = bearerOf(await provider.getCredential(scope, { refresh: true, signal }))
      return this.#live(fresh.expiresAtMs > held.expiresAtMs ? fresh : held)
    } catch (error) {
      signal?.throwIfAborted()
      if (held.expiresAtMs > this.#clock.nowMs()) return this.#live(held)
      throw error
    }
  }

  #isShort(held: BearerCredential): boolean {
    const { lifeMs } = this.#live(held)
    return held.expiresAtMs - this.#clock.nowMs() < Math.min(comfortableLifeMs, lifeMs / 2)
  }

  #live(held: BearerCredential): LiveToken & { readonly lifeMs: number } {
    const known = this.#seen.get(held)
    if (known !== undefined) return known
    const { token, expiresAtMs } = held
    const nowMs = this.#clock.nowMs()
    const live = { token, expiresAtMs, lifeMs: expiresAtMs - nowMs, ...claimsOf(token, nowMs) }
    this.#seen.set(held, live)
    return live
  }
}

function bearerOf(credential: Credential): BearerCredential {
  if (credential.kind === 'bearer') return credential
  throw new FileSystemError('EACCES', 'agent.token', {
    detail:
      "a signature came where a token was asked for: the connector's policy must allow 'bearer'",
  })
}

/** Read without verification: nothing is decided by what it says. */
function claimsOf(token: string, nowMs: number): Pick<LiveToken, 'notBeforeMs' | 'clientId'> {
  const claims = parseClaims(token.split('.')[1] ?? '')
  const { nbf, appid, azp } = claims
  const clientId = appid ?? azp
  return {
    notBeforeMs: typeof nbf === 'number' ? nbf * 1000 : nowMs,
    clientId: typeof clientId === 'string' ? clientId : undefined,
  }
}

function parseClaims(payload: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')))
  } catch {
    // An opaque token is as good to its service as one that can be read.
    return {}
  }
}
