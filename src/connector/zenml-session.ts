import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { Principal } from './policy.ts'

const prefix = 'abfsz.'
const lifeMs = 60 * 60_000

/**
 * The bearer that ZenML's client gets for a caller's key: it knows no other way. It names the caller
 * and an end, is signed with a key of this process, and counts on ZenML's paths alone. A client asks
 * again by itself when it is refused, after a restart or by another replica for instance.
 */
export class ZenmlSessions {
  readonly #key = randomBytes(32)
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A bearer for a caller that has proved itself, and how long it lives. */
  open(principal: Principal): { readonly token: string; readonly expiresInSeconds: number } {
    const claims = { name: principal.name, exp: this.#clock.nowMs() + lifeMs }
    const text = Buffer.from(JSON.stringify(claims)).toString('base64url')
    return { token: `${prefix}${text}.${this.#sign(text)}`, expiresInSeconds: lifeMs / 1000 }
  }

  /** Whether a header holds such a bearer rather than a proof of another kind. */
  isSession(authorization: string | undefined): boolean {
    return authorization?.startsWith(`Bearer ${prefix}`) === true
  }

  /** Whose session it is; `undefined` when it is forged or over. */
  read(authorization: string | undefined): Principal | undefined {
    const token = authorization?.slice(`Bearer ${prefix}`.length) ?? ''
    const [text = '', signature = ''] = token.split('.')
    const expected = Buffer.from(this.#sign(text))
    const given = Buffer.from(signature)
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined
    const claims: { name: string; exp: number } = JSON.parse(
      Buffer.from(text, 'base64url').toString(),
    )
    return claims.exp > this.#clock.nowMs() ? { name: claims.name } : undefined
  }

  #sign(text: string): string {
    return createHmac('sha256', this.#key).update(text).digest('base64url')
  }
}
