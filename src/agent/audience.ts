import type { CredentialProvider, Permission, Scope, Service } from '../credential/credential.ts'
import type { TokenTarget } from './token-source.ts'

/** The audiences that an agent gives tokens for, by the spelling in which clients ask. */
export type Audiences = ReadonlyMap<string, TokenTarget>

/** What the storage audiences of an agent stand for. */
export interface StorageAudienceOptions {
  /** A cache over a connector's client that asks for bearers. */
  readonly provider: CredentialProvider
  readonly account: string
  /** Limits what the connector is asked for; the account itself when absent. */
  readonly container?: string | undefined
  readonly permissions: readonly Permission[]
  /**
   * The service whose token answers a request for Azure Storage at large. A token is for one
   * service of one account; `blob` is what most clients then use it for. Default `blob`.
   */
  readonly service?: Service | undefined
  /** The endpoint suffix of the cloud. Default `core.windows.net`. */
  readonly cloud?: string | undefined
}

/** What SDKs ask for unless told otherwise: any account. The second is the id of its application. */
const anyAccount = ['https://storage.azure.com', 'e406a681-f3d4-42a8-90b6-c2b029497af1'] as const

/**
 * Blob and dfs of one account, and Azure Storage at large, which gets the token of that account:
 * clients use what they get without looking at its audience, and no other account takes it.
 */
export function storageAudiences(options: StorageAudienceOptions): Audiences {
  const { account, service = 'blob', cloud = 'core.windows.net' } = options
  const targets = new Map<string, TokenTarget>()
  for (const name of anyAccount) targets.set(name, storageTarget(options, service))
  for (const each of ['blob', 'dfs'] as const) {
    targets.set(`https://${account}.${each}.${cloud}`, storageTarget(options, each))
  }
  return withSlashes(targets)
}

function storageTarget(options: StorageAudienceOptions, service: Service): TokenTarget {
  const { provider, account, container, permissions } = options
  const scope: Scope = { account, service, container, permissions }
  return { provider, scope }
}

/** An audience that is no storage account has nothing that a scope could say: the provider knows. */
const noPlace: Scope = { account: '', service: 'blob', permissions: [] }

/** Audiences beyond storage, each with a provider of its own. */
export function otherAudiences(providers: ReadonlyMap<string, CredentialProvider>): Audiences {
  const targets = new Map<string, TokenTarget>()
  for (const [name, provider] of providers) targets.set(name, { provider, scope: noPlace })
  return withSlashes(targets)
}

/** Clients differ in the slash at the end of a URL; both spellings name one audience. */
function withSlashes(targets: ReadonlyMap<string, TokenTarget>): Audiences {
  const spellings = new Map<string, TokenTarget>()
  for (const [name, target] of targets) {
    const bare = name.replace(/\/$/, '')
    spellings.set(bare, target)
    if (bare.includes('://')) spellings.set(`${bare}/`, target)
  }
  return spellings
}
