import type { Clock } from '../clock.ts'
import type {
  Credential,
  CredentialOptions,
  CredentialProvider,
  Scope,
} from '../credential/credential.ts'
import { ConnectorError } from './connector-error.ts'
import type { Issuance } from './issuance.ts'
import type { Principal } from './policy.ts'
import type { CredentialKind } from './protocol.ts'
import { publishCredential, scopePath } from './received.ts'

/** What an {@link IssuerProvider} needs. */
export interface IssuerProviderOptions {
  readonly issuance: Issuance
  readonly principal: Principal
  readonly clock: Clock
  /** The kind of credential to ask for; the policy chooses when absent. */
  readonly kind?: CredentialKind | undefined
}

/** The connector without its wire: policy, issuer and audit log in this process. */
export class IssuerProvider implements CredentialProvider {
  readonly #options: IssuerProviderOptions

  constructor(options: IssuerProviderOptions) {
    this.#options = options
  }

  /** Rejects as {@link CredentialProvider} says. */
  async getCredential(scope: Scope, options: CredentialOptions = {}): Promise<Credential> {
    const { issuance, principal, clock, kind } = this.#options
    const { refresh, challenge } = options
    options.signal?.throwIfAborted()
    try {
      const { credential } = await issuance.answer(
        { principal },
        { scope, kind, refresh, claims: challenge?.claims },
      )
      options.signal?.throwIfAborted()
      publishCredential(credential, scope, credential.expiresAtMs - clock.nowMs())
      return credential
    } catch (error) {
      throw error instanceof ConnectorError ? error.toFileSystemError(scopePath(scope)) : error
    }
  }
}
