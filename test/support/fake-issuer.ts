import type { Clock } from '../../src/clock.ts'
import type { Issued, IssuedToken, IssueOptions, Issuer } from '../../src/connector/issuer.ts'
import type { Grant } from '../../src/connector/policy.ts'
import type { TokenGrant } from '../../src/connector/token-policy.ts'
import { bearerCredential, sasCredential } from '../../src/credential/credential.ts'

/** Issues made-up credentials that say in clear what was granted. */
export class FakeIssuer implements Issuer {
  readonly grants: Grant[] = []
  readonly options: IssueOptions[] = []
  readonly tokenGrants: TokenGrant[] = []
  /** Rejects every call with this when set. */
  failure: Error | undefined
  /** Holds every call back until it resolves. */
  gate: Promise<void> | undefined
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async issue(grant: Grant, options: IssueOptions): Promise<Issued> {
    this.grants.push(grant)
    this.options.push(options)
    await this.gate
    if (this.failure !== undefined) throw this.failure
    const expiresAtMs = this.#clock.nowMs() + grant.maxTtlMs
    const serial = this.grants.length
    return grant.kind === 'sas'
      ? {
          credential: sasCredential(`sv=fake&sr=c&sig=signature-${serial}`, expiresAtMs),
          reach: 'container',
          upstreamIds: ['upstream-1'],
        }
      : {
          credential: bearerCredential(`token-${serial}`, expiresAtMs),
          reach: 'identity',
          upstreamIds: [],
        }
  }

  async issueToken(grant: TokenGrant): Promise<IssuedToken> {
    this.tokenGrants.push(grant)
    if (this.failure !== undefined) throw this.failure
    const expiresAtMs = this.#clock.nowMs() + 3_600_000
    const token = `resource-token-${this.tokenGrants.length}`
    return { credential: bearerCredential(token, expiresAtMs), reach: 'identity' }
  }

  async checkIdentity(): Promise<void> {
    if (this.failure !== undefined) throw this.failure
  }
}
