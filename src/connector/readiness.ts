import type { Clock } from '../clock.ts'
import { ConnectorError } from './connector-error.ts'
import type { Issuer } from './issuer.ts'

/** Whether the identity can sign in, and in the words of the wire why not. */
export interface Readiness {
  readonly ready: boolean
  /** A closed set of words; the rest is for the connector's log. */
  readonly reason?: 'identity_refused' | 'identity_unavailable' | undefined
}

const keptMs = 5000
const timeoutMs = 5000

/** Asks the issuer whether its identity works, once at a time and once in five seconds at most. */
export class ReadinessCheck {
  readonly #issuer: Issuer
  readonly #clock: Clock
  #last: (Readiness & { readonly atMs: number }) | undefined
  #asking: Promise<Readiness> | undefined

  constructor(issuer: Issuer, clock: Clock) {
    this.#issuer = issuer
    this.#clock = clock
  }

  /** What was last found; `undefined` before the first answer. */
  get last(): boolean | undefined {
    return this.#last?.ready
  }

  /** Never rejects. An issuer without an identity is ready. */
  async get(): Promise<Readiness> {
    const nowMs = this.#clock.nowMs()
    if (this.#last !== undefined && nowMs - this.#last.atMs < keptMs) return this.#last
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  async #ask(): Promise<Readiness> {
    const found = await this.#signIn()
    this.#last = { ...found, atMs: this.#clock.nowMs() }
    return found
  }

  async #signIn(): Promise<Readiness> {
    const asking = new AbortController()
    const waiting = new AbortController()
    const late = this.#clock.sleep(timeoutMs, waiting.signal).then(() => {
      asking.abort()
      return { ready: false, reason: 'identity_unavailable' } as const
    })
    try {
      const signedIn = Promise.resolve(this.#issuer.checkIdentity?.(asking.signal))
      return await Promise.race([signedIn.then(() => ({ ready: true })), late])
    } catch (error) {
      return { ready: false, reason: reasonOf(error) }
    } finally {
      late.catch(() => undefined)
      waiting.abort()
    }
  }
}

function reasonOf(error: unknown): Readiness['reason'] {
  const refused = error instanceof ConnectorError && error.reason === 'identity_refused'
  return refused ? 'identity_refused' : 'identity_unavailable'
}
