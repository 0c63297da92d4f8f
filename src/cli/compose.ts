/**
 * Where the parts meet: reading `openAccount` tells what happens to a request, and in which order.
 */
import type { TokenExchange } from '../agent/token-exchange.ts'
import type { BlobAdministration } from '../blob/administration.ts'
import { AzureAdministration } from '../blob/azure-administration.ts'
import { resourceUrl } from '../blob/azure-request.ts'
import { AzureBlobStore, type AzureBlobStoreOptions } from '../blob/azure-store.ts'
import { flatAlone } from '../blob/customer-keys.ts'
import { DfsStore } from '../blob/dfs-store.ts'
import type { HierarchyOf } from '../blob/hierarchy.ts'
import { type NamespaceChoice, namespaceKind } from '../blob/namespace-kind.ts'
import { RemovingBlobStore } from '../blob/removing-store.ts'
import { ReplacingBlobStore } from '../blob/replacing-store.ts'
import type { BlobStore, Integrity, LendRead } from '../blob/store.ts'
import { MiB } from '../byte-range.ts'
import { type Clock, systemClock } from '../clock.ts'
import { underEither } from '../concurrency.ts'
import type { Config } from '../config.ts'
import type { PrefixClient } from '../connector/prefix-client.ts'
import type { TokenVerification } from '../connector/verify-tokens.ts'
import { hasFastCrc64 } from '../crc64.ts'
import { authorize, lendRead } from '../credential/authorize.ts'
import { CachedCredentialProvider } from '../credential/cached-provider.ts'
import type { CredentialProvider } from '../credential/credential.ts'
import { patientProvider } from '../credential/patient-provider.ts'
import { textSignerOf } from '../credential/text-signer.ts'
import type { CustomerKey } from '../customer-key.ts'
import { AccountTree, type AzureBlobFileSystemOptions } from '../filesystem/account-tree.ts'
import { Door } from '../http/door.ts'
import {
  type ClosableHandler,
  type HttpHandler,
  type Interceptor,
  intercept,
} from '../http/handler.ts'
import { type HedgeOptions, hedge } from '../http/hedge.ts'
import { RateLimiter, type RateLimits } from '../http/limit.ts'
import { RequestBudget } from '../http/request-budget.ts'
import { RequestCounter } from '../http/request-counter.ts'
import { type PublicRetryOptions, retry } from '../http/retry.ts'
import { type Timeouts, transportTimeouts } from '../http/timeouts.ts'
import { trace } from '../http/trace.ts'
import { openTransport } from '../http/transport.ts'
import { Namespace, type NamespaceOptions } from '../namespace/namespace.ts'
import { entriesWithin } from '../namespace/namespace-options.ts'
import { ChunkCache } from '../transfer/chunk-cache.ts'
import type { DiskCache } from '../transfer/disk-cache.ts'
import { MemoryBudget } from '../transfer/memory-budget.ts'
import { readAuthorities } from './authorities.ts'
import { openAsking, openExchange, openProvider, patient } from './compose-asking.ts'
import type { AccountTarget } from './location.ts'
import { type AccessKind, requestScopes } from './request-scope.ts'

/** One storage account, connected. */
export interface Account {
  readonly store: BlobStore
  /** What `store` is of, where removals may wait. */
  readonly removing?: RemovingBlobStore | undefined
  readonly namespace: Namespace
  /** Tags, tiers, versions, deleted blobs and signatures. */
  readonly administration: BlobAdministration
  readonly chunks: ChunkCache
  /** What all transfers hold in memory together. */
  readonly memory: MemoryBudget
  /** How many requests are under way, and the pauses that the account asks for. */
  readonly requests: RequestBudget
  /** What was sent to the account. */
  readonly counter: RequestCounter
  readonly credentials: CachedCredentialProvider
  /** Lends the account's credential to copies from it; `undefined` where it has one per request. */
  readonly lendRead: LendRead | undefined
  readonly target: AccountTarget
  readonly clock: Clock
  /** Whether store and namespace show what was there once. Absent: what is there. */
  readonly isPast?: boolean | undefined
  /** Closes the store and every connection. Never throws. */
  close(): Promise<void>
}

export interface AccountOptions
  extends Pick<NamespaceOptions, 'directoryMode' | 'scanTrees' | 'listingCacheEntries'> {
  readonly target: AccountTarget
  readonly access: AccessKind
  /** How long listings are believed; milliseconds. Default 5 seconds. */
  readonly listingTtlMs?: number | undefined
  /** Bytes of blobs kept in memory. Default 256 MiB. */
  readonly cacheBytes?: number | undefined
  /** Blocks on the local disk, behind those in memory. Stays the caller's to close. */
  readonly diskCache?: DiskCache | undefined
  /** As `ChunkCacheOptions`. */
  readonly reusesMemory?: boolean | undefined
  /** Bytes that transfers hold in memory together. Default 256 MiB. */
  readonly memoryBudgetBytes?: number | undefined
  /** What protects bytes on their way and at rest. Default `crc64` with the addon, `none` without. */
  readonly integrity?: Integrity | undefined
  /** Requests to the account under way at once; fewer while it is busy. Default 16. */
  readonly requestBudget?: number | undefined
  /** How long a call may take with all its attempts, milliseconds: else `ETIMEDOUT`. Absent: no limit. */
  readonly callTimeoutMs?: number | undefined
  /** How often, and after how long, what failed for a passing reason is sent again. */
  readonly retry?: PublicRetryOptions | undefined
  /** How long each phase of an attempt may take. */
  readonly timeouts?: Timeouts | undefined
  /** While it says so, what fails for a passing reason is repeated. Absent: a few times. */
  readonly isEndless?: (() => boolean) | undefined
  /** While it gives a signal, that ends whatever is sent, for credentials too. */
  readonly abandoned?: (() => AbortSignal | undefined) | undefined
  /** Encrypts blobs that are new. Absent: the container's. */
  readonly encryptionScope?: string | undefined
  /** Of the customer's, instead of the configuration's. Not beside a scope. */
  readonly customerKey?: CustomerKey | undefined
  /** A second GET for what is late; absent: none. */
  readonly hedge?: HedgeOptions | undefined
  /** Whether removals may be promised before they are requests. Default false. */
  readonly removesLater?: boolean | undefined
  /** How much the account is asked for; absent: as much as it gives. */
  readonly rateLimits?: RateLimits | undefined
  /** Who is asked for credentials, whatever the configuration says. */
  readonly provider?: CredentialProvider | undefined
}

/** Requests of the library under way at once, where nobody says: as many as small files of a tree. */
export const usualRequests = 32

/** Connects to an account. Nothing is sent before the first call needs it. */
export async function openAccount(config: Config, options: AccountOptions): Promise<Account> {
  const { target, abandoned } = options
  const clock = systemClock
  const sockets = await openTransport(config.transport, {
    ca: readAuthorities(config),
    ...transportTimeouts(options.timeouts),
  })
  const handle = abandoned === undefined ? sockets.handle : endingWith(abandoned, sockets.handle)
  const mediator = await openMediator(config, options, handle)
  const provider = options.provider ?? mediator ?? (await openProvider(config, handle))
  const ahead = connectingAhead(provider, { target, prepare: sockets.prepare })
  const credentials = new CachedCredentialProvider(ahead, { clock })
  const requests = new RequestBudget({
    maxRequests: options.requestBudget ?? config.requestBudget,
    clock,
  })
  const counter = new RequestCounter()
  const { account, blobEndpoint, dfsEndpoint } = target
  const scopeOf = requestScopes({
    endpoints: { account, blob: blobEndpoint, dfs: dfsEndpoint },
    access: options.access,
    prefix: config.prefix,
    perBlob: options.provider === undefined && isMediated(config),
  })
  const door = new Door()
  const http = intercept(
    handle,
    door.guard,
    ...(mediator === undefined ? [] : [mediator.mediateLists(account, blobEndpoint)]),
    ...sending(options, { credentials, scopeOf, requests, counter, clock }),
  )
  const closeHttp = () => {
    door.close()
    return sockets.close()
  }
  const { blobs, removing, store, hierarchyOf } = openStore(config, options, {
    http,
    closeHttp,
    // Where credentials are for less than a container, a batch of it is refused.
    batches: mediator === undefined && config.prefix === undefined,
  })
  const administration = new AzureAdministration({
    account,
    endpoint: blobEndpoint,
    http: blobs.http,
    clock,
    credentials,
    signer: textSignerOf(options.provider),
  })
  const held = memoryOf(config, options)
  const listingCacheEntries = options.listingCacheEntries ?? entriesWithin(held.memory.maxBytes)
  const tagsOf = administration.getTags.bind(administration)
  const names = { ...options, store, hierarchyOf, clock, listingCacheEntries, tagsOf }
  // What a key encrypts the service of another account cannot read.
  const lends = mediator === undefined && (options.customerKey ?? config.customerKey) === undefined
  return {
    store,
    removing,
    administration,
    namespace: new Namespace(names),
    ...held,
    requests,
    counter,
    credentials,
    lendRead: lends ? lender(credentials, target, config.prefix) : undefined,
    target,
    clock,
    close: () => store.close(),
  }
}

interface Sending {
  readonly credentials: CredentialProvider
  readonly scopeOf: ReturnType<typeof requestScopes>
  readonly requests: RequestBudget
  readonly counter: RequestCounter
  readonly clock: Clock
}

/**
 * What a request meets on its way. authorize is outermost: the credential is asked for once a call, not once an attempt,
 * and a refusal by the connector is not retried here (its client has its own patience). Limits are waited for next: no
 * time-out runs meanwhile. retry sends an attempt when the account's budget has a place for it, and waits between
 * attempts without one. trace and the counter are innermost: they tell what really went over the wire.
 */
function sending(
  { callTimeoutMs, isEndless, hedge: hedged, rateLimits, retry: patience }: AccountOptions,
  { credentials, scopeOf, requests: budget, counter, clock }: Sending,
): Interceptor[] {
  const limiter = rateLimits && new RateLimiter(rateLimits, clock)
  const provider =
    isEndless === undefined ? credentials : patientProvider(credentials, { clock, isEndless })
  return [
    authorize({ provider, scopeOf }),
    ...(limiter === undefined ? [] : [limiter.wait]),
    retry({ ...patience, clock, budget, callTimeoutMs, isEndless }),
    ...(hedged === undefined ? [] : [hedge({ ...hedged, clock, budget })]),
    ...(limiter === undefined ? [] : [limiter.count]),
    trace(clock),
    counter.intercept,
  ]
}

/** Connects to the account while somebody is asked for what the first request to it is sent with. */
function connectingAhead(
  provider: CredentialProvider,
  { target, prepare }: { target: AccountTarget; prepare: ClosableHandler['prepare'] },
): CredentialProvider {
  if (prepare === undefined) return provider
  return {
    getCredential: (scope, options) => {
      prepare(scope.service === 'dfs' ? target.dfsEndpoint : target.blobEndpoint)
      return provider.getCredential(scope, options)
    },
  }
}

function endingWith(signalOf: () => AbortSignal | undefined, next: HttpHandler): HttpHandler {
  return (request) => {
    const signal = signalOf()
    if (signal === undefined) return next(request)
    return underEither([signal, request.signal], (both) => next({ ...request, signal: both }))
  }
}

/** The account's blobs, and what tells whether they are in directories. */
function openStore(
  config: Config,
  options: AccountOptions,
  sending: Pick<AzureBlobStoreOptions, 'http' | 'closeHttp' | 'batches'>,
): {
  readonly blobs: AzureBlobStore
  readonly removing: RemovingBlobStore | undefined
  readonly store: BlobStore
  readonly hierarchyOf: HierarchyOf
} {
  const { target, isEndless, encryptionScope } = options
  const { account, blobEndpoint, dfsEndpoint } = target
  const integrity = options.integrity ?? config.integrity ?? usualIntegrity()
  const endpoint = blobEndpoint
  const customerKey = options.customerKey ?? config.customerKey
  const how = { account, endpoint, integrity, isEndless, encryptionScope, customerKey }
  const blobs = new AzureBlobStore({ ...sending, ...how })
  const endpoints = { account, blobEndpoint, dfsEndpoint, http: sending.http }
  const hierarchy = new DfsStore({ ...endpoints, isEndless })
  const kindOf = namespaceKind({ ...endpoints, hierarchy, choice: choiceOf(config) })
  const hierarchyOf = customerKey === undefined ? kindOf : flatAlone(kindOf)
  const removing = options.removesLater === true ? new RemovingBlobStore(blobs) : undefined
  const store = new ReplacingBlobStore(removing ?? blobs, hierarchyOf)
  return { blobs, removing, store, hierarchyOf }
}

function memoryOf(config: Config, options: AccountOptions): Pick<Account, 'chunks' | 'memory'> {
  const maxBytes = options.memoryBudgetBytes ?? config.memoryBudgetBytes
  const { cacheBytes = 256 * MiB, diskCache: disk, reusesMemory } = options
  const memory = new MemoryBudget({ maxBytes })
  // The library's readers keep what they were given, so it is not counted.
  const counted = reusesMemory === true ? { memory } : {}
  return {
    memory,
    chunks: new ChunkCache({ maxBytes: cacheBytes, disk, reusesMemory, ...counted }),
  }
}

function usualIntegrity(): Integrity {
  return hasFastCrc64() ? 'crc64' : 'none'
}

function lender(
  provider: CredentialProvider,
  target: AccountTarget,
  prefix: string | undefined,
): LendRead {
  const { account, blobEndpoint: blob } = target
  const scopeOf = requestScopes({ endpoints: { account, blob }, access: 'read', prefix })
  return (path, { signal } = {}) => {
    const url = resourceUrl(blob.href.replace(/\/$/, ''), path)
    const scope = scopeOf({ method: 'GET', url, headers: {}, operation: 'blob.get' })
    return lendRead(url, { provider, scope, signal })
  }
}

/** Stays between where a caller has a prefix of an account with a flat namespace. */
async function openMediator(
  config: Config,
  { provider }: AccountOptions,
  http: HttpHandler,
): Promise<PrefixClient | undefined> {
  const { connector, prefix } = config
  if (connector === undefined || provider !== undefined || !isMediated(config)) return undefined
  const { PrefixClient } = await import('../connector/prefix-client.ts')
  return new PrefixClient({ ...(await openAsking(connector, http)), prefix })
}

function isMediated({ hns, prefix, connector }: Config): boolean {
  return connector !== undefined && prefix !== undefined && hns === 'false'
}

/** Only a hierarchical account has credentials for a prefix, and they do not tell which kind it is. */
function choiceOf({ hns, prefix, connector }: Config): NamespaceChoice {
  if (hns === 'auto') return prefix !== undefined && connector !== undefined ? true : hns
  return hns === 'true'
}

/** The names of an account, for who neither reads files nor changes any. */
export function composeTree(account: Account): AccountTree {
  return new AccountTree(partsOf(account))
}

/** What the library and parts of it are made of. */
export function partsOf(account: Account): AzureBlobFileSystemOptions {
  const { store, namespace, administration, chunks: chunkCache, memory, lendRead, clock } = account
  const requestCounts = () => account.counter.counts
  return { store, namespace, administration, chunkCache, memory, lendRead, clock, requestCounts }
}

/** Tokens for programs that are not ours. */
export interface TokenProviders {
  /** Bearers for storage, cached. */
  readonly storage: CachedCredentialProvider
  /** Tokens beyond storage; `undefined` without a connector. Keeps none. */
  readonly exchange: TokenExchange | undefined
  readonly clock: Clock
  /** Closes every connection. Never throws. */
  close(): Promise<void>
}

/** Connects to the connector for tokens alone: no client of ours sees what comes. */
export async function openTokens(config: Config): Promise<TokenProviders> {
  const clock = systemClock
  const sockets = await openTransport(config.transport, { ca: readAuthorities(config) })
  const provider = await openProvider(config, sockets.handle, 'bearer')
  const storage = new CachedCredentialProvider(provider, { clock })
  const exchange = await openExchange(config, sockets.handle)
  return { storage, exchange, clock, close: sockets.close }
}

/** What a connector is verified with. */
export interface Verifier {
  /** Asks the connector itself; keeps nothing. */
  readonly provider: CredentialProvider
  readonly http: HttpHandler
  readonly clock: Clock
  /** Asks the connector for a token beyond storage; keeps none. */
  readonly exchange: TokenVerification['exchange']
  /** Where a cluster's API server is, and a handler that trusts it. */
  readonly findCluster: (cluster: string) => Promise<{ server: string; http: HttpHandler }>
  /** Closes every connection. Never throws. */
  close(): Promise<void>
}

/** Connects to the connector and to storage, without a cache between. */
export async function openVerifier(config: Config): Promise<Verifier> {
  const clock = systemClock
  const sockets = await openTransport(config.transport, { ca: readAuthorities(config) })
  const provider = await openProvider(config, sockets.handle)
  const tokens = await openExchange(config, sockets.handle)
  const http = patient(sockets.handle, clock)
  const others: (() => Promise<void>)[] = []
  return {
    provider,
    http,
    clock,
    exchange: async (target) => {
      if (tokens === undefined) throw new TypeError('a connector is configured')
      return tokens.get(target)
    },
    findCluster: async (cluster) => {
      const { findCluster } = await import('../connector/resource-client.ts')
      if (config.connector === undefined) throw new TypeError('a connector is configured')
      const asking = await openAsking(config.connector, sockets.handle)
      const { server, certificateAuthorityPem: ca } = await findCluster(asking, cluster)
      const own = await openTransport(config.transport, { ca })
      others.push(own.close)
      return { server, http: patient(own.handle, clock) }
    },
    close: async () => {
      for (const close of [...others, sockets.close]) await close()
    },
  }
}
