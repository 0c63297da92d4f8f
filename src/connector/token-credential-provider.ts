import type { AccessToken, TokenCredential } from '@azure/core-auth'
import type { Clock } from '../clock.ts'
import {
  bearerCredential,
  type Credential,
  type CredentialOptions,
  type CredentialProvider,
  type Scope,
} from '../credential/credential.ts'
import { FileSystemError } from '../errors.ts'
import { publishCredential, scopePath } from './received.ts'

/** What a {@link TokenCredentialProvider} needs. */
export interface TokenCredentialProviderOptions {
  readonly credential: TokenCredential
  readonly clock: Clock
  /** The endpoint suffix of the cloud. Default `core.windows.net`. */
  readonly cloud?: string
}

/**
 * The identity of this very process, without a connector: its Entra token for one service of one
 * account, whatever part of it the scope names.
 */
export class TokenCredentialProvider implements CredentialProvider {
  readonly #credential: TokenCredential
  readonly #clock: Clock
  readonly #cloud: string

  constructor(options: TokenCredentialProviderOptions) {
    this.#credential = options.credential
    this.#clock = options.clock
    this.#cloud = options.cloud ?? 'core.windows.net'
  }

  /** Rejects with `EACCES` when there is no identity or Entra refuses it. */
  async getCredential(scope: Scope, options: CredentialOptions = {}): Promise<Credential> {
    const { token, expiresOnTimestamp } = await this.#token(scope, options)
    const credential = bearerCredential(token, expiresOnTimestamp)
    publishCredential(credential, scope, expiresOnTimestamp - this.#clock.nowMs())
    return credential
  }

  async #token(scope: Scope, { signal, challenge }: CredentialOptions): Promise<AccessToken> {
    const audience = `https://${scope.account}.${scope.service}.${this.#cloud}/.default`
    let refused: unknown
    try {
      const claims = challenge?.claims
      const options = {
        ...(signal === undefined ? {} : { abortSignal: signal }),
        ...(claims === undefined ? {} : { claims, enableCae: true }),
      }
      const token = await this.#credential.getToken(audience, options)
      if (token !== null) return token
    } catch (error) {
      signal?.throwIfAborted()
      refused = error
    }
    throw noToken(scope, refused)
  }
}

/** Entra's first line says why; the lines after it repeat ids. */
function noToken(scope: Scope, cause: unknown): FileSystemError {
  const reason = cause instanceof Error ? cause.message.split('\n')[0] : 'no identity was found'
  return new FileSystemError('EACCES', 'credential.token', {
    detail: `this process has no Azure identity that works (${reason}): set the URL of a connector, or sign in with 'az login'`,
    path: scopePath(scope),
    cause,
  })
}
