import type { Clock } from '../clock.ts'
import { systemClock } from '../clock.ts'
import { FileSystemError } from '../errors.ts'
import { expectCall, expectOptions } from '../expect-option.ts'
import { type CredentialEvent, credentialChannel } from '../telemetry.ts'
import {
  bearerCredential,
  type Credential,
  type CredentialOptions,
  type CredentialProvider,
  type Scope,
} from './credential.ts'
import type { TokenRequest, TokenSource } from './token-source.ts'

// One token is for one audience. Entra gives them for the account's endpoint alone, which is the narrower
// one, or for all of storage; some tenants know only the latter. What a service says by a 401 is learned:
// its tenant for every later token of the account, claims for the next one.

export interface MultiScopeTokenProviderOptions {
  readonly source: TokenSource
  /** The endpoint suffix of the cloud. Default `core.windows.net`. */
  readonly cloud?: string | undefined
  /** The audience of all of storage. Default `https://storage.azure.com/.default`. */
  readonly genericScope?: string | undefined
  /** Whether tokens are asked for the account's own endpoints first. Default true. */
  readonly perEndpoint?: boolean | undefined
  /** Whom to ask before a service has named its tenant. */
  readonly tenantId?: string | undefined
  readonly clock?: Clock | undefined
}

/** Two refusals within this time are about tokens that have just been issued. */
const freshForMs = 60_000

/** Bearer tokens per account and endpoint, from any source; keeps none itself. */
export class MultiScopeTokenProvider implements CredentialProvider {
  readonly #options: MultiScopeTokenProviderOptions
  /** By account: what its 401 said. */
  readonly #tenants = new Map<string, string>()
  /** By account and service: where the endpoint's own audience led nowhere. */
  readonly #generic = new Set<string>()
  readonly #refusedAtMs = new Map<string, number>()

  /** `TypeError` that names the option. */
  constructor(options: MultiScopeTokenProviderOptions) {
    expectOptions(options, '{ source }')
    if (typeof options.source !== 'function') {
      throw new TypeError('source: expected a TokenSource, as fromTokenCredential() gives')
    }
    this.#options = options
  }

  /** Rejects with `EACCES` when the source gives no token, for neither audience. */
  async getCredential(scope: Scope, options: CredentialOptions = {}): Promise<Credential> {
    expectCall(options)
    const { challenge, refresh, signal } = options
    const known = this.#tenants.get(scope.account)
    if (challenge?.tenantId !== undefined) this.#tenants.set(scope.account, challenge.tenantId)
    const isNews = challenge?.claims !== undefined || this.#tenants.get(scope.account) !== known
    if (refresh === true && !isNews) this.#noteRefusal(endpointKey(scope))
    const tenantId = this.#tenants.get(scope.account) ?? this.#options.tenantId
    const request = { tenantId, claims: challenge?.claims, refresh: refresh === true, signal }
    const { token, expiresAtMs } = await this.#token(scope, request)
    const credential = bearerCredential(token, expiresAtMs)
    this.#publish(credential.expiresAtMs, scope)
    return credential
  }

  async #token(scope: Scope, request: Omit<TokenRequest, 'scope'>) {
    const { source, genericScope = 'https://storage.azure.com/.default' } = this.#options
    const own = this.#ownScope(scope)
    let refused: unknown
    for (const asked of own === undefined ? [genericScope] : [own, genericScope]) {
      try {
        const token = await source({ ...request, scope: asked })
        if (asked === genericScope) this.#generic.add(endpointKey(scope))
        return token
      } catch (error) {
        request.signal?.throwIfAborted()
        refused ??= error
        if (!isUnknownAudience(error)) break
      }
    }
    throw noToken(scope, refused)
  }

  /** A token that was new, refused without a wish of the service's, was for the wrong audience. */
  #noteRefusal(key: string): void {
    const nowMs = this.#nowMs()
    if (nowMs - (this.#refusedAtMs.get(key) ?? 0) < freshForMs) this.#generic.add(key)
    this.#refusedAtMs.set(key, nowMs)
  }

  #nowMs(): number {
    return (this.#options.clock ?? systemClock).nowMs()
  }

  #ownScope(scope: Scope): string | undefined {
    const { cloud = 'core.windows.net', perEndpoint = true } = this.#options
    if (!perEndpoint || this.#generic.has(endpointKey(scope))) return undefined
    return `https://${scope.account}.${scope.service}.${cloud}/.default`
  }

  #publish(expiresAtMs: number, scope: Scope): void {
    const { account, service, container, permissions } = scope
    const lifeMs = expiresAtMs - this.#nowMs()
    const about = { account, service, container, permissions }
    const event: CredentialEvent = { kind: 'bearer', ...about, expiresAtMs, lifeMs }
    credentialChannel.publish(event)
  }
}

function endpointKey({ account, service }: Scope): string {
  return `${account} ${service}`
}

/** Entra: the resource principal was not found in the tenant, or the scope is not valid. */
function isUnknownAudience(error: unknown): boolean {
  const text = error instanceof Error ? error.message : ''
  return /AADSTS(?:500011|50001|70011|650057)|invalid_resource|invalid_scope/.test(text)
}

/** Entra's first line says why; the lines after it repeat ids. */
function noToken({ account, container }: Scope, cause: unknown): FileSystemError {
  const reason = cause instanceof Error ? cause.message.split('\n')[0] : 'there is none'
  return new FileSystemError('EACCES', 'credential.token', {
    path: container === undefined ? `abfs://${account}` : `abfs://${container}`,
    detail: `no token for the account ${account}: ${reason}`,
    cause,
  })
}
