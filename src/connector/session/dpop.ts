import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import {
  calculateJwkThumbprint,
  EmbeddedJWK,
  errors,
  type JWK,
  type JWTPayload,
  jwtVerify,
} from 'jose'
import type { Clock } from '../../clock.ts'
import { ConnectorError } from '../connector-error.ts'
import type { ReplayStore } from './replay-store.ts'
import { hashOf } from './token-hash.ts'

/** A request as a proof describes it. */
export interface ProvenRequest {
  readonly method: string
  /** The URL without query and fragment. */
  readonly url: string
  /** The token that the proof must name by its hash; absent where none is sent. */
  readonly token?: string | undefined
}

/** How proofs are checked. */
export interface ProofCheckOptions {
  readonly clock: Clock
  readonly replays: ReplayStore
  /** Makes the nonces; the same in every replica. */
  readonly nonceKey: Buffer
}

const algorithms = ['ES256', 'ES384', 'EdDSA', 'Ed25519', 'PS256', 'RS256']
const maxProofLength = 8192
/** How far a proof's time may be from the connector's, milliseconds. */
const toleranceMs = 60_000
/** A nonce is good in the five minutes that it names and in the next five. */
const noncePeriodMs = 5 * 60_000

/** Checks proofs of possession (RFC 9449): each once, for one request, with a nonce of ours. */
export class ProofCheck {
  readonly #options: ProofCheckOptions

  constructor(options: ProofCheckOptions) {
    this.#options = options
  }

  /** The nonce for the next proof. */
  nonce(): string {
    return this.#nonceOf(Math.floor(this.#options.clock.nowMs() / noncePeriodMs))
  }

  /**
   * The thumbprint of the key that signed. Rejects with `invalid_client` for a proof that is none,
   * is for another request, has no nonce of ours, or was there before.
   */
  async thumbprint(proof: string | undefined, request: ProvenRequest): Promise<string> {
    if (proof === undefined || proof.length > maxProofLength)
      throw this.#refused('no proof is sent')
    const { payload, jwk } = await this.#verified(proof)
    const fault = this.#fault(payload, request)
    if (fault !== undefined) throw this.#refused(fault)
    const jkt = await calculateJwkThumbprint(jwk)
    const seen = createHash('sha256').update(`${jkt}\0${payload.jti}`).digest('base64url')
    const until = this.#options.clock.nowMs() + 2 * toleranceMs
    if (!(await this.#options.replays.add(seen, until))) throw this.#refused('it was used before')
    return jkt
  }

  async #verified(proof: string): Promise<{ payload: JWTPayload; jwk: JWK }> {
    try {
      const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
        algorithms,
        typ: 'dpop+jwt',
        currentDate: new Date(this.#options.clock.nowMs()),
      })
      return { payload, jwk: protectedHeader.jwk ?? {} }
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof TypeError) {
        throw this.#refused('it is not signed as RFC 9449 asks')
      }
      throw error
    }
  }

  #fault(payload: JWTPayload, { method, url, token }: ProvenRequest): string | undefined {
    const { htm, htu, ath, nonce, jti, iat = 0 } = payload
    if (htm !== method) return 'it is for another method'
    if (typeof htu !== 'string' || withoutQuery(htu) !== url) return 'it is for another URL'
    if (typeof jti !== 'string' || jti.length < 8 || jti.length > 256) return 'it has no jti'
    if (Math.abs(iat * 1000 - this.#options.clock.nowMs()) > toleranceMs) return 'its time is off'
    if (token !== undefined && ath !== hashOf(token)) return 'it is for another token'
    return this.#isOurs(nonce) ? undefined : 'its nonce is not one of this connector'
  }

  #isOurs(nonce: unknown): boolean {
    if (typeof nonce !== 'string') return false
    const period = Math.floor(this.#options.clock.nowMs() / noncePeriodMs)
    return [period, period - 1].some((each) => isSame(nonce, this.#nonceOf(each)))
  }

  #nonceOf(period: number): string {
    const { nonceKey } = this.#options
    return createHmac('sha256', nonceKey).update(`nonce ${period}`).digest('base64url')
  }

  #refused(fault: string): ConnectorError {
    return new ConnectorError('invalid_client', 'caller_unknown', {
      detail: `the proof of possession is not accepted: ${fault}`,
      hint: 'sign each request anew (RFC 9449), with the nonce of the answer before',
      nonce: this.nonce(),
    })
  }
}

/** Compares in a time that does not tell where they differ. */
export function isSame(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

function withoutQuery(url: string): string {
  return URL.canParse(url) ? new URL(url).href.replace(/[?#].*$/, '') : ''
}
