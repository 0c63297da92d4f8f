import { randomUUID } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { FederatedTrust } from './client-assertion.ts'
import { createJwtSigner, type JwtSigner } from './token-issuer.ts'

/** Claims of a federated assertion; those absent are the ones that the application trusts. */
export interface FederatedClaims {
  readonly issuer?: string
  readonly subject?: string
  readonly audience?: string
  /** Seconds since the epoch; a day from now when absent, as long as Kubernetes lets one live. */
  readonly expiresAt?: number
}

const subject = 'system:serviceaccount:abfs:sandbox'
const audience = 'api://AzureADTokenExchange'
const lifetimeSeconds = 24 * 60 * 60

/** An issuer of workload assertions, such as a Kubernetes cluster, that the application trusts. */
export class WorkloadIssuer {
  readonly #signer: JwtSigner
  readonly #clock: Clock

  private constructor(signer: JwtSigner, clock: Clock) {
    this.#signer = signer
    this.#clock = clock
  }

  static async create(clock: Clock): Promise<WorkloadIssuer> {
    return new WorkloadIssuer(await createJwtSigner(), clock)
  }

  get keySet(): JwtSigner['keySet'] {
    return this.#signer.keySet
  }

  /** The application's federated credential for this issuer. */
  trust(issuer: string): FederatedTrust {
    return { issuer, subject, audience, signer: this.#signer }
  }

  /** Signs an assertion as the issuer at the URL `issuer`. */
  sign(issuer: string, claims: FederatedClaims = {}): Promise<string> {
    const now = Math.floor(this.#clock.nowMs() / 1000)
    const expiresAt = claims.expiresAt ?? now + lifetimeSeconds
    return this.#signer.sign({
      iss: claims.issuer ?? issuer,
      sub: claims.subject ?? subject,
      aud: claims.audience ?? audience,
      iat: Math.min(now, expiresAt),
      nbf: Math.min(now, expiresAt),
      exp: expiresAt,
      jti: randomUUID(),
    })
  }
}
