import { type AzureUrl, type Cloud, clouds, parseAzureUrl } from './azure-url.ts'
import type { NamespaceChoice } from './blob/namespace-kind.ts'
import type { Integrity } from './blob/store.ts'
import { checkOptions } from './check-options.ts'
import { openAccount, usualRequests } from './cli/compose.ts'
import { composeFileSystem } from './cli/compose-file-system.ts'
import { type AccountTarget, targetOf } from './cli/location.ts'
import { systemClock } from './clock.ts'
import {
  type Config,
  type ConfigFlags,
  type Environment,
  loadConfig,
  processEnvironment,
} from './config.ts'
import { CustomerKey } from './customer-key.ts'
import { FileSystemError } from './errors.ts'
import { shown } from './expect-option.ts'
import type { AzureBlobFileSystem } from './filesystem/azure-blob-file-system.ts'
import { anonymous, type GivenCredential, providerOf } from './given-credential.ts'
import type { HedgeOptions } from './http/hedge.ts'
import type { RateLimits } from './http/limit.ts'
import type { PublicRetryOptions } from './http/retry.ts'
import type { Timeouts } from './http/timeouts.ts'
import type { DirectoryMode } from './namespace/namespace.ts'
import type { DiskCache } from './transfer/disk-cache.ts'

/** A key of the customer's, or what gives it. */
export type GivenKey =
  | Uint8Array
  | string
  | (() => Uint8Array | string | Promise<Uint8Array | string>)

/** Where a file system connects. What is given here beats the environment. */
export interface CreateFileSystemOptions
  extends Omit<ConfigFlags, 'hns' | 'memoryBudget' | 'requestBudget' | 'integrity'> {
  /** Whether the account's namespace is hierarchical. Default `auto`: it is asked once. */
  readonly hns?: NamespaceChoice | undefined
  /** An account in any form of `parseAzureUrl`, instead of `account`. */
  readonly url?: string | URL | undefined
  /**
   * The cloud that the account is in, instead of endpoints: `public` (default), `usgovernment` or `china`. It also says where
   * an identity of Azure's signs in, unless `AZURE_AUTHORITY_HOST` does.
   */
  readonly cloud?: Cloud | undefined
  /** Credentials are asked to read and list only. */
  readonly readOnly?: boolean | undefined
  /** Who signs in, instead of what the environment says. Never part of `toJSON`. */
  readonly credential?: GivenCredential | undefined
  /** No credential at all, whatever the environment has: for containers that everybody may read. Not with `credential`. */
  readonly anonymous?: boolean | undefined
  /** Bytes per request of a transfer. Default 8 MiB. */
  readonly blockBytes?: number | undefined
  /** Files of a tree under way at once. Default 16, and 32 of those up to 64 KiB. */
  readonly concurrency?: number | undefined
  /** Requests to the account under way at once; fewer while it is busy. Default 32, or `concurrency`. */
  readonly requestBudget?: number | undefined
  /**
   * What protects bytes on their way and at rest; see docs/filesystem.md. Default `crc64` where the native addon
   * is there to compute it, else `none`.
   */
  readonly integrity?: Integrity | undefined
  /** Bytes that all transfers hold in memory together. Default 256 MiB. */
  readonly memoryBudgetBytes?: number | undefined
  /**
   * How long a request may take with all its attempts, milliseconds: else `ETIMEDOUT`. Default: each attempt
   * has its time-outs, and none begins more than two minutes after the first.
   */
  readonly callTimeoutMs?: number | undefined
  /** How often, and after how long, what failed for a passing reason is sent again. Default: five times in all, within two minutes. */
  readonly retry?: PublicRetryOptions | undefined
  /** How long an attempt may take to connect, to send, until the answer begins, and between two pieces of it. */
  readonly timeouts?: Timeouts | undefined
  /**
   * The encryption scope of files that are new: one that is edited, replaced in place or renamed keeps its own. Default: the
   * container's.
   */
  readonly encryptionScope?: string | undefined
  /**
   * Encrypts all that is written, and is brought to read it: an AES-256 key, 32 bytes or base64 of them, or what gives it, which
   * is asked once. Over https only, on flat accounts, not with `encryptionScope`. Never part of `toJSON`. Default: that of
   * `encryptionKeyFile` or the environment, else none. See docs/filesystem.md.
   */
  readonly customerProvidedKey?: GivenKey | undefined
  /**
   * A read whose answer has not begun in the time in which `percentile` (default 95) of the last ones had is
   * sent once more, for at most `maxRatio` (default 0.05) of the reads; the slower request is cancelled. Writes
   * never are. Default: none.
   */
  readonly hedge?: HedgeOptions | undefined
  /**
   * Bytes received and sent, and requests, a second at most, over all calls of this file system, which take turns. Who waits
   * for them holds up nobody else and has no time-out running. Default: none.
   */
  readonly rateLimits?: RateLimits | undefined
  /** How long listings are believed; milliseconds, and a tenth more for each 5,000 names, up to five times. Default 5 seconds. */
  readonly listingTtlMs?: number | undefined
  /**
   * How many names listings hold in memory: of more, those used least recently are forgotten, and a listing that is longer is not
   * kept. Default 200,000, and no more than half of `memoryBudgetBytes` has room for (512 bytes each).
   */
  readonly listingCacheEntries?: number | undefined
  /**
   * What makes a directory on flat names: `marker`, a blob of its own, so that an empty one stays (default); or
   * `virtual`, the files in it alone. Hierarchical accounts have directories of their own.
   */
  readonly directoryMode?: DirectoryMode | undefined
  /**
   * Keeps blocks of what is read on the local disk, where other processes and mounts find them. One may
   * be shared between file systems; it stays the caller's to close.
   */
  readonly diskCache?: DiskCache | undefined
  /** Variables to read instead of the process's own, also for who signs in. */
  readonly environment?: Environment | undefined
}

/**
 * Connects to a storage account as the environment (`ABFS_*`) and `options` say, through the
 * connector that they name or with this process's own Azure identity. Sends nothing yet. Closing
 * the file system closes its connections. Rejects with `FileSystemError` `EINVAL` for a setting that
 * cannot be used.
 */
export async function createFileSystem(
  options: CreateFileSystemOptions = {},
): Promise<AzureBlobFileSystem> {
  checkOptions(options)
  const {
    url,
    cloud,
    readOnly,
    anonymous: isAnonymous,
    hns,
    environment = processEnvironment(),
    ...rest
  } = options
  const {
    credential,
    diskCache,
    blockBytes,
    concurrency,
    listingTtlMs,
    listingCacheEntries,
    directoryMode,
    ...limited
  } = rest
  const {
    requestBudget = concurrency,
    memoryBudgetBytes,
    callTimeoutMs,
    retry,
    timeouts,
    integrity,
    hedge,
    rateLimits,
    encryptionScope,
    customerProvidedKey,
    ...flags
  } = limited
  const kinds = { integrity, hedge, encryptionScope, rateLimits, retry, timeouts }
  const limits = { requestBudget, memoryBudgetBytes, callTimeoutMs, ...kinds }
  const said = hns === undefined ? {} : { hns: String(hns) }
  const named = url === undefined ? [] : [readUrl(url)]
  const config = inCloud(loadConfig({ ...flags, ...said }, environment), cloud, named)
  const customerKey = await givenKey(customerProvidedKey)
  refuseScope(encryptionScope, customerKey ?? config.customerKey)
  const target = targetOf(config, named)
  const access = readOnly === true ? 'read' : 'write'
  const provider = isAnonymous
    ? anonymous()
    : credential &&
      providerOf(credential, { clock: systemClock, blobEndpoint: target.blobEndpoint })
  const names = { listingTtlMs, listingCacheEntries, directoryMode }
  const shared = { ...names, diskCache, customerKey, ...limits }
  const account = await openAccount(config, {
    target,
    access,
    provider,
    ...shared,
    requestBudget: requestBudget ?? config.requestBudget ?? usualRequests,
  })
  const tuning = { blockBytes, concurrency, ...names, ...limits }
  const recipe = recipeOf(config, target, {
    ...tuning,
    readOnly,
    anonymous: isAnonymous,
    credential,
    customerKey: customerKey ?? config.customerKey,
  })
  return composeFileSystem(account, { blockBytes, concurrency, recipe })
}

/** The account where the cloud has it. */
function inCloud(config: Config, cloud: Cloud | undefined, named: readonly AzureUrl[]): Config {
  if (cloud === undefined) return config
  const account = config.account ?? named[0]?.account
  const hasPlace = named.some(({ endpoint }) => endpoint !== undefined)
  if (account === undefined || hasPlace) {
    const detail = hasPlace
      ? 'expected without a url that has a host, which says it'
      : 'expected beside account: which one is in that cloud?'
    throw new FileSystemError('EINVAL', 'config', { path: 'cloud', detail })
  }
  const at = (service: string) => new URL(`https://${account}.${service}.${clouds[cloud].suffix}`)
  return { ...config, blobEndpoint: at('blob'), dfsEndpoint: at('dfs') }
}

async function givenKey(given: GivenKey | undefined): Promise<CustomerKey | undefined> {
  if (given === undefined) return undefined
  const key = CustomerKey.from(typeof given === 'function' ? await given() : given)
  if (key !== undefined) return key
  const detail = 'the function gave what is no AES-256 key: 32 bytes, or base64 of them'
  throw new FileSystemError('EINVAL', 'config', { path: 'customerProvidedKey', detail })
}

function refuseScope(scope: string | undefined, key: CustomerKey | undefined): void {
  if (scope === undefined || key === undefined) return
  const detail =
    "expected without a key of the customer's (customerProvidedKey, encryptionKeyFile or the environment's)"
  throw new FileSystemError('EINVAL', 'config', { path: 'encryptionScope', detail })
}

/**
 * How a file system was made, without secrets: names of files that hold one, never what they hold.
 * `credential` is set when the program gave one, which it has to give again.
 */
export type FileSystemRecipe = Omit<
  CreateFileSystemOptions,
  'url' | 'cloud' | 'environment' | 'credential' | 'diskCache' | 'customerProvidedKey'
> & {
  readonly credential?: 'given' | undefined
  /** The key is to be given again. */
  readonly customerProvidedKey?: 'given' | undefined
}

/**
 * Makes a file system again from what its `toJSON` gave, as in a worker or another process. What is
 * said in `options` beats the recipe. `EINVAL` when the first had a credential of the program's own
 * and none is given.
 */
export async function fromJSON(
  recipe: FileSystemRecipe,
  options: Pick<
    CreateFileSystemOptions,
    'credential' | 'customerProvidedKey' | 'diskCache' | 'environment'
  > = {},
): Promise<AzureBlobFileSystem> {
  if (typeof recipe !== 'object' || recipe === null || Array.isArray(recipe)) {
    const detail = `expected what toJSON() of a file system gave, got ${shown(recipe)}`
    throw new FileSystemError('EINVAL', 'fromJSON', { path: 'recipe', detail })
  }
  const { credential, customerProvidedKey, ...rest } = recipe
  if (credential === 'given' && options.credential === undefined) {
    const detail = 'the file system had a credential of its program; give it again'
    throw new FileSystemError('EINVAL', 'fromJSON', { path: 'credential', detail })
  }
  if (customerProvidedKey === 'given' && options.customerProvidedKey === undefined) {
    const detail = "the file system had a key of the customer's; give it again"
    throw new FileSystemError('EINVAL', 'fromJSON', { path: 'customerProvidedKey', detail })
  }
  return createFileSystem({ ...rest, ...options })
}

function recipeOf(
  config: Config,
  target: AccountTarget,
  options: Pick<CreateFileSystemOptions, Tuning | 'readOnly' | 'anonymous' | 'credential'> & {
    readonly customerKey: CustomerKey | undefined
  },
): FileSystemRecipe {
  const { connector, caFile, cacheDir, hns, transport } = config
  const { credential, customerKey, ...tuning } = options
  const proof = connector?.proof
  return {
    ...tuning,
    account: target.account,
    blobEndpoint: bare(target.blobEndpoint),
    dfsEndpoint: bare(target.dfsEndpoint),
    hns: hns === 'auto' ? hns : hns === 'true',
    caFile,
    cacheDir,
    transport,
    connectorUrl: connector && bare(connector.url),
    connectorTokenFile: proof?.kind === 'token-file' ? proof.file : undefined,
    connectorSession: connector?.session === true ? '1' : undefined,
    ...(credential === undefined ? {} : { credential: 'given' }),
    ...(customerKey === undefined ? {} : { customerProvidedKey: 'given' }),
  }
}

type Tuning =
  | 'blockBytes'
  | 'concurrency'
  | 'listingTtlMs'
  | 'listingCacheEntries'
  | 'directoryMode'
  | 'requestBudget'
  | 'memoryBudgetBytes'
  | 'callTimeoutMs'
  | 'retry'
  | 'timeouts'
  | 'integrity'
  | 'hedge'
  | 'rateLimits'
  | 'encryptionScope'

function readUrl(url: string | URL): AzureUrl {
  try {
    return parseAzureUrl(url)
  } catch (cause) {
    throw noAccount(cause)
  }
}

function noAccount(cause: unknown): FileSystemError {
  const detail = cause instanceof Error ? cause.message : String(cause)
  return new FileSystemError('EINVAL', 'config', { path: 'url', detail, cause })
}

/** Without what could be a secret. */
function bare({ origin, pathname }: URL): string {
  return `${origin}${pathname}`
}
