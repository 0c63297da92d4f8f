import { inspect } from 'node:util'
import { type Clock, systemClock } from '../clock.ts'
import type { ServerControl } from '../storage-server/control/server-control.ts'
import type { ArmDisturbance } from './azure/arm.ts'
import type { AzureAssignments } from './azure/assignments.ts'
import {
  type AzureResources,
  type Cluster,
  checkResources,
  type Registry,
} from './azure/inventory.ts'
import { Closers } from './closers.ts'
import { connectionStringOf, type EnvironmentFacts, environmentOf } from './environment.ts'
import type { FederatedClaims } from './federation.ts'
import {
  engineFor,
  parseAccounts,
  type SandboxAccount,
  type StorageEngine,
} from './sandbox-account.ts'
import { endpointOf, type ParsedOptions, type SandboxParts, startParts } from './sandbox-parts.ts'
import type { TokenFailure } from './tenant.ts'

/** How to start a sandbox. */
export interface SandboxOptions {
  /** `devstoreaccount1` with a random key when absent. */
  readonly account?: SandboxAccount
  /** Other accounts beside it, each with its own key. */
  readonly moreAccounts?: readonly SandboxAccount[]
  /** When absent: `abfs` if an account or another option needs it, else `azurite`. */
  readonly engine?: StorageEngine
  /** Opens the control port of the engine `abfs` there; 0 is any that is free; none when absent. */
  readonly controlPort?: number
  /** The engine `abfs` refuses tokens for all accounts: only `https://ACCOUNT.FACE.core.windows.net` passes. */
  readonly perAccountAudiences?: boolean
  /**
   * Flat accounts of the engine `abfs` keep a change feed, which has a change after so many milliseconds: with 0
   * before its request is answered. None when absent.
   */
  readonly changeFeedDelayMs?: number
  /**
   * Where blobs are kept, on disk; in memory when absent. Not removed by `close`. The engines do not
   * read each other's directories.
   */
  readonly directory?: string
  /**
   * A file that gets one line per request to the blob service, without queries' secrets; not
   * removed. Azurite's lines are in the common log format, those of the engine `abfs` are JSON.
   */
  readonly accessLogFile?: string
  /** Containers to create in each account before the promise resolves; those that exist are kept. */
  readonly containers?: readonly string[]
  /** Registries and clusters, with the management (ARM) that shows them; none when absent. */
  readonly azure?: AzureResources
  /** The time of the Entra stand-in and the engine `abfs`; Azurite always uses the system's. */
  readonly clock?: Clock
  /** Life of the tokens issued; one hour when absent. */
  readonly tokenLifetimeMs?: number
}

/** A local Azure: a blob service, an Entra tenant with one application, and managed identity. */
export interface Sandbox {
  readonly account: string
  readonly accountKey: string
  /** `https://127.0.0.1:PORT/ACCOUNT`, without a trailing slash. */
  readonly blobEndpoint: URL
  /** The same URL, if the engine is `abfs`: it tells both faces apart. */
  readonly dfsEndpoint: URL | undefined
  /** All accounts, the first included. */
  readonly accounts: readonly SandboxAccountFacts[]
  readonly engine: StorageEngine
  /** `https://127.0.0.1:PORT/`: the `authorityHost` of @azure/identity, `AZURE_AUTHORITY_HOST`. */
  readonly authorityHost: URL
  readonly tenantId: string
  /** The application that the secret, the certificate and the federated token belong to. */
  readonly clientId: string
  /** The secret that holds: another after `controls.rotateClientSecret`. */
  readonly clientSecret: string
  /** PEM: the private key and the certificate registered with the application. */
  readonly clientCertificateFile: string
  /** A day's assertion of the issuer that the application trusts: `AZURE_FEDERATED_TOKEN_FILE`. */
  readonly federatedTokenFile: string
  /** `http://127.0.0.1:PORT/`, for `AZURE_POD_IDENTITY_AUTHORITY_HOST`. */
  readonly imdsEndpoint: URL
  /** `http://127.0.0.1:PORT/msi/token`, for `IDENTITY_ENDPOINT`. */
  readonly identityEndpoint: URL
  /** For `IDENTITY_HEADER`. */
  readonly identityHeader: string
  /** Client id of the user-assigned managed identity; a request that names none gets the system's. */
  readonly userAssignedClientId: string
  readonly systemAssignedClientId: string
  /** PEM file of the certificate authority that signed every server certificate here. */
  readonly caFile: string
  /** PEM file of the system's roots and `caFile`, for programs that replace their roots by a file. */
  readonly caBundleFile: string
  readonly caPem: string
  /** Shared-key connection string of the account. */
  readonly connectionString: string
  /** Private directory (mode 0700) that holds the files above; removed by `close`. */
  readonly runDirectory: string
  /** Process id of the blob service: this process's own for the engine `abfs`. */
  readonly blobServicePid: number
  /** What tests turn while it runs. */
  readonly controls: SandboxControls
  /** Faults, ledger, clock, roles and revocations of the engine `abfs`. */
  readonly storageControl: ServerControl | undefined
  /** The same over HTTP for other processes, if asked for: `Authorization: Bearer SECRET`. */
  readonly controlPort: { readonly url: URL; readonly secret: string } | undefined
  /** The management, registries and clusters, if asked for. */
  readonly azure: SandboxAzure | undefined
  /** Rejects when the blob service ends before `close`; never resolves. */
  readonly failed: Promise<never>
  /**
   * Variables with which unmodified Azure clients, and abfs itself, work against this sandbox.
   * `AZURE_TENANT_ID` is `adfs`, a second name of the tenant for which SDKs do not ask Microsoft
   * whether the authority is genuine.
   */
  environment(): Record<string, string>
  /** Stops every service and removes every file but those of `directory`. Never throws. */
  close(): Promise<void>
}

/** The management of a sandbox and what it shows beside storage accounts. */
export interface SandboxAzure {
  /** `https://127.0.0.1:PORT/`, in the place of `https://management.azure.com/`. */
  readonly managementUrl: URL
  readonly subscriptionId: string
  /** Each with the URL of its login server, which in Azure is `https://NAME.azurecr.io`. */
  readonly registries: readonly Registry[]
  /** Each with the URL of its API server. */
  readonly clusters: readonly Cluster[]
  /** Who may do what with them; changes hold from the next request on. */
  readonly assignments: AzureAssignments
  /** Throttling and claims challenges of the management, from here on. */
  readonly disturbance: ArmDisturbance
}

/** One account of a sandbox. */
export interface SandboxAccountFacts {
  readonly name: string
  readonly key: string
  readonly hierarchical: boolean
  readonly blobEndpoint: URL
}

/** Turns the behaviour of the Entra stand-in and of managed identity while they run. */
export interface SandboxControls {
  /** Life of tokens issued from here on. */
  setTokenLifetimeMs(lifetimeMs: number): void
  /** Answers every token request with this from here on; `undefined` ends it. */
  setFailure(failure: TokenFailure | undefined): void
  /** Replaces the application's secret and returns the one that holds; the old one is refused. */
  rotateClientSecret(): string
  /** An assertion of the trusted issuer, with some claims replaced. */
  signFederatedToken(claims?: FederatedClaims): Promise<string>
  /** Tokens issued since the start. */
  readonly tokensIssued: number
}

const defaultAccountName = 'devstoreaccount1'
const defaultTokenLifetimeMs = 60 * 60 * 1000

/**
 * Starts a local Azure on free loopback ports and resolves once all of it answers. The caller owns
 * it and must `close` it; when this process dies otherwise, the blob service ends too.
 */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const parsed = parseOptions(options)
  const closers = new Closers()
  try {
    const parts = await startParts(parsed, closers)
    return assemble(parts, closers)
  } catch (error) {
    await closers.close()
    throw error
  }
}

function parseOptions(options: SandboxOptions): ParsedOptions {
  const { account = { name: defaultAccountName }, moreAccounts = [] } = options
  const { controlPort, perAccountAudiences = false } = options
  const [first, ...others] = parseAccounts([account, ...moreAccounts])
  if (first === undefined) throw new TypeError('expected an account')
  const { changeFeedDelayMs } = options
  const needsOwn =
    controlPort !== undefined || perAccountAudiences || changeFeedDelayMs !== undefined
  const parsed: ParsedOptions = {
    accounts: [first, ...others],
    engine: engineFor([first, ...others], options.engine, needsOwn),
    controlPort,
    perAccountAudiences,
    changeFeedDelayMs,
    directory: options.directory,
    accessLogFile: options.accessLogFile,
    containers: options.containers ?? [],
    azure: options.azure,
    clock: options.clock ?? systemClock,
    tokenLifetimeMs: options.tokenLifetimeMs ?? defaultTokenLifetimeMs,
  }
  checkEngine(parsed)
  checkFeed(parsed)
  if (parsed.azure !== undefined) checkResources(parsed.azure)
  return parsed
}

function checkEngine(options: ParsedOptions): void {
  if (options.engine === 'azurite') {
    if (options.controlPort !== undefined) throw onlyOf('controlPort')
    if (options.perAccountAudiences) throw onlyOf('perAccountAudiences')
  }
}

function checkFeed({ changeFeedDelayMs: delayMs, engine, accounts }: ParsedOptions): void {
  if (delayMs === undefined) return
  if (engine === 'azurite') throw onlyOf('changeFeedDelayMs')
  if (!(delayMs >= 0 && delayMs <= 3_600_000)) {
    throw new RangeError(`changeFeedDelayMs is ${delayMs}; expected 0 to 3600000`)
  }
  if (accounts.some(({ hierarchical }) => !hierarchical)) return
  throw new RangeError(
    'changeFeedDelayMs: hierarchical accounts have no change feed; expected a flat one',
  )
}

function onlyOf(argument: string): RangeError {
  return new RangeError(`${argument}: Azurite has none; expected the engine 'abfs' with it`)
}

function assemble(parts: SandboxParts, closers: Closers): Sandbox {
  const { tenant, files, entra, identity } = parts
  const facts = factsOf(parts)
  const sandbox: Sandbox = {
    ...facts,
    tenantId: tenant.tenantId,
    get clientSecret() {
      return tenant.clientSecret
    },
    clientCertificateFile: files.clientCertificate,
    federatedTokenFile: files.federatedToken,
    imdsEndpoint: identity.url,
    identityEndpoint: new URL('msi/token', identity.url),
    identityHeader: parts.identityHeader,
    systemAssignedClientId: tenant.systemIdentity.clientId,
    userAssignedClientId: tenant.userIdentity.clientId,
    caPem: parts.caPem,
    connectionString: connectionStringOf(facts),
    runDirectory: parts.runDirectory,
    accounts: parts.accounts.map((account) => ({
      ...account,
      blobEndpoint: endpointOf(account, parts.storage),
    })),
    engine: parts.engine,
    blobServicePid: parts.storage.pid,
    failed: parts.storage.failed,
    storageControl: parts.storage.control,
    controlPort: parts.storage.controlPort,
    azure: parts.azure,
    controls: controlsOf(parts),
    environment: () => environmentOf({ ...facts, clientSecret: tenant.clientSecret }),
    close: () => closers.close(),
  }
  return redacted(sandbox, `Sandbox { ${facts.blobEndpoint.href}, ${entra.url.href} }`)
}

function factsOf(parts: SandboxParts): EnvironmentFacts {
  const { accounts, files, entra, tenant, storage } = parts
  const [first] = accounts
  const blobEndpoint = endpointOf(first, storage)
  return {
    account: first.name,
    accountKey: first.key,
    blobEndpoint,
    dfsEndpoint: parts.engine === 'abfs' ? blobEndpoint : undefined,
    accounts,
    azure: parts.azure,
    controlPort: storage.controlPort,
    authorityHost: entra.url,
    clientId: tenant.clientId,
    clientSecret: tenant.clientSecret,
    caFile: files.ca,
    caBundleFile: files.caBundle,
  }
}

function controlsOf({ tenant, workloadIssuer, entra }: SandboxParts): SandboxControls {
  return {
    setTokenLifetimeMs: (lifetimeMs) => {
      tenant.lifetimeMs = lifetimeMs
    },
    setFailure: (failure) => {
      tenant.failure = failure
    },
    rotateClientSecret: () => tenant.rotateClientSecret(),
    signFederatedToken: (claims) => workloadIssuer.sign(entra.workloadIssuerUrl, claims),
    get tokensIssued() {
      return tenant.tokensIssued
    },
  }
}

/** Keeps secrets out of logs: what prints or serialises the object gets `summary`. */
function redacted(sandbox: Sandbox, summary: string): Sandbox {
  return Object.defineProperties(sandbox, {
    [inspect.custom]: { value: () => summary },
    toJSON: { value: () => summary },
  })
}
