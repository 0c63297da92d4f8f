import type { AccessToken, TokenCredential } from '@azure/core-auth'
import { decodeJwt } from 'jose'
import type { Clock } from '../clock.ts'
import { bearerCredential, type Scope, sasCredential } from '../credential/credential.ts'
import type { AzureLookups } from './azure-lookups.ts'
import { ConnectorError } from './connector-error.ts'
import { type DelegationKey, DelegationKeys } from './delegation-keys.ts'
import { signScope } from './delegation-signature.ts'
import type {
  IdentityFacts,
  Issued,
  IssuedToken,
  IssueOptions,
  Issuer,
  SignedBlobs,
} from './issuer.ts'
import { maxSignatureMs } from './mediation.ts'
import type { Grant } from './policy.ts'
import type { TokenGrant } from './token-policy.ts'
import { aksServerApplication } from './token-target.ts'
import { identityError, storageError } from './upstream-error.ts'

/** What an {@link EntraIssuer} issues from. */
export interface EntraIssuerOptions {
  /** The connector's own identity. */
  readonly credential: TokenCredential
  readonly clock: Clock
  /** The endpoint suffix of the cloud. Default `core.windows.net`. */
  readonly cloud?: string
  /** Blob endpoints of accounts that do not have the cloud's. */
  readonly blobEndpoints?: Readonly<Record<string, URL | undefined>>
  /** PEM of all authorities to trust; the system's when absent. */
  readonly ca?: readonly string[] | undefined
  /** Registries and the management; none are served when absent. */
  readonly lookupsOf?: ((tokenFor: TokenFor) => AzureLookups) | undefined
}

/** Gives the connector's own token for a resource of Entra; `claims` answers a challenge. */
export type TokenFor = (resource: string, claims?: string) => Promise<string>

/** A signature counts from a minute ago: the clocks of Azure and this machine may differ. */
const startAheadMs = 60_000
/** A signature ends before the key that made it. */
const keyMarginMs = 60_000

/**
 * Issues from an Entra identity: its token for one service of one account, or a signature over a
 * container or a directory made with a user delegation key. Its long-lived secrets stay inside `credential`.
 */
export class EntraIssuer implements Issuer {
  readonly #credential: TokenCredential
  readonly #clock: Clock
  readonly #cloud: string
  readonly #keys: DelegationKeys
  readonly #endpointOf: (account: string) => URL
  readonly lookups: AzureLookups | undefined

  constructor(options: EntraIssuerOptions) {
    this.#credential = options.credential
    this.#clock = options.clock
    this.lookups = options.lookupsOf?.(this.tokenFor)
    this.#cloud = options.cloud ?? 'core.windows.net'
    this.#endpointOf = (account) =>
      options.blobEndpoints?.[account] ?? new URL(`https://${account}.blob.${this.#cloud}`)
    this.#keys = new DelegationKeys({
      credential: options.credential,
      clock: options.clock,
      endpointOf: this.#endpointOf,
      audienceOf: (account) => entraScope({ account, service: 'blob' }, this.#cloud),
      ca: options.ca,
    })
  }

  /** Gives the kind that was granted, and never another one when that fails. */
  async issue(grant: Grant, options: IssueOptions): Promise<Issued> {
    return grant.kind === 'sas' ? this.#sign(grant, options) : this.#bearer(grant, options)
  }

  async #sign(grant: Grant, options: IssueOptions): Promise<Issued> {
    const { scope } = grant
    const key = await this.#key(scope.account, options)
    const nowMs = this.#clock.nowMs()
    const expiresAtMs = wholeSeconds(
      Math.min(nowMs + grant.maxTtlMs, key.expiresAtMs - keyMarginMs),
    )
    const query = signScope(scope, key, {
      startsAtMs: nowMs - startAheadMs,
      expiresAtMs,
      correlationId: isPathStyle(this.#endpointOf(scope.account)) ? undefined : options.auditId,
    })
    return {
      credential: sasCredential(query, expiresAtMs),
      reach: scope.prefix === undefined ? 'container' : 'directory',
      upstreamIds: key.requestId === undefined ? [] : [key.requestId],
    }
  }

  /** Signs each blob for five minutes at most, whatever its grant allows. */
  async signBlobs(grants: readonly Grant[], options: IssueOptions): Promise<SignedBlobs> {
    const account = grants[0]?.scope.account ?? ''
    const key = await this.#key(account, options)
    const nowMs = this.#clock.nowMs()
    const lives = grants.map(({ maxTtlMs }) => maxTtlMs)
    const endMs = Math.min(
      nowMs + Math.min(maxSignatureMs, ...lives),
      key.expiresAtMs - keyMarginMs,
    )
    const expiresAtMs = wholeSeconds(endMs)
    const signature = {
      startsAtMs: nowMs - startAheadMs,
      expiresAtMs,
      correlationId: isPathStyle(this.#endpointOf(account)) ? undefined : options.auditId,
      blob: true,
    }
    const queries = grants.map(({ scope }) => signScope(scope, key, signature))
    return { queries, expiresAtMs, upstreamIds: key.requestId === undefined ? [] : [key.requestId] }
  }

  async #key(account: string, options: IssueOptions): Promise<DelegationKey> {
    try {
      return await this.#keys.get(account, options.refresh === true)
    } catch (error) {
      throw storageError(error, account, this.#clock.nowMs())
    }
  }

  async #bearer(grant: Grant, options: IssueOptions): Promise<Issued> {
    const { token, expiresOnTimestamp } = await this.#token(
      entraScope(grant.scope, this.#cloud),
      options,
    )
    const lifeMs = expiresOnTimestamp - this.#clock.nowMs()
    if (grant.enforceBearerTtl && lifeMs > grant.maxTtlMs) throw tooLong(lifeMs, grant.maxTtlMs)
    return {
      credential: bearerCredential(token, expiresOnTimestamp),
      reach: 'identity',
      upstreamIds: [],
    }
  }

  /** An Entra token for the one resource that was granted. */
  async issueToken({ target }: TokenGrant, options: IssueOptions): Promise<IssuedToken> {
    if (target.resource === 'docker-registry') {
      if (this.lookups === undefined) throw noRegistryTokens()
      return { credential: await this.lookups.registries.issue(target), reach: 'repository' }
    }
    const audience = target.resource === 'azure-generic' ? target.audience : aksServerApplication
    const { token, expiresOnTimestamp } = await this.#token(`${audience}/.default`, options)
    return { credential: bearerCredential(token, expiresOnTimestamp), reach: 'identity' }
  }

  /** Signs in to Entra, unless a token from before is still good: the first vend finds all ready. */
  async checkIdentity(signal?: AbortSignal): Promise<void> {
    await this.#keys.prepare()
    await this.#token(`https://storage.azure.com/.default`, { signal })
  }

  /** What the token says of itself; Entra made it, so it is not checked. */
  async identityOf(
    _connector: string,
    resource: string,
    signal?: AbortSignal,
  ): Promise<IdentityFacts> {
    const { token } = await this.#token(`${resource}/.default`, { signal })
    return factsOf(token)
  }

  async lookupsFor(): Promise<AzureLookups | undefined> {
    return this.lookups
  }

  async close(): Promise<void> {
    await this.lookups?.close()
  }

  /** The connector's own token: it stays with the connector. */
  readonly tokenFor: TokenFor = async (resource, claims) =>
    (await this.#token(`${resource}/.default`, { claims })).token

  async #token(
    asked: string,
    { claims, signal }: Pick<IssueOptions, 'claims' | 'signal'>,
  ): Promise<AccessToken> {
    try {
      const token = await this.#credential.getToken(asked, {
        ...(signal === undefined ? {} : { abortSignal: signal }),
        // With claims the library asks Entra, whatever it remembers.
        ...(claims === undefined ? {} : { claims, enableCae: true }),
      })
      if (token !== null) return token
    } catch (error) {
      signal?.throwIfAborted()
      throw identityError(error)
    }
    throw identityError(undefined)
  }
}

/**
 * The Entra scope of one service of one account. Blob and dfs are different audiences, and neither
 * is good for another account.
 */
export function entraScope(scope: Pick<Scope, 'account' | 'service'>, cloud: string): string {
  return `https://${scope.account}.${scope.service}.${cloud}/.default`
}

/** Of a token that is no JWT nothing is known. */
function factsOf(token: string): IdentityFacts {
  if (token.split('.').length !== 3) return {}
  const claims = decodeJwt(token)
  const textOf = (name: string): string | undefined => {
    const value = claims[name]
    return typeof value === 'string' ? value : undefined
  }
  return {
    tenantId: textOf('tid'),
    clientId: textOf('appid') ?? textOf('azp'),
    objectId: textOf('oid'),
  }
}

/** Signatures carry whole seconds. */
function wholeSeconds(timeMs: number): number {
  return Math.floor(timeMs / 1000) * 1000
}

function noRegistryTokens(): ConnectorError {
  return new ConnectorError('invalid_scope', 'unsupported_auth_for_resource', {
    detail: 'this connector does not exchange tokens with container registries',
    hint: 'ask for a storage account, a cluster or an audience that the policy lists',
  })
}

function tooLong(lifeMs: number, maxTtlMs: number): ConnectorError {
  const seconds = (ms: number): number => Math.round(ms / 1000)
  return new ConnectorError('access_denied', 'ttl_exceeds_policy', {
    detail: `Entra's token lives ${seconds(lifeMs)} s, the policy allows ${seconds(maxTtlMs)} s`,
    hint: "operator: allow 'sas' in the rule, raise maxTtlSeconds, or drop enforceBearerTtl",
  })
}

/** Only emulators name the account in the path; Azurite leaves the correlation id out of what it signs. */
function isPathStyle(endpoint: URL): boolean {
  return endpoint.pathname !== '/'
}
