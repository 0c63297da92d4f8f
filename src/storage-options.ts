import type { TokenCredential } from '@azure/core-auth'
import { systemClock } from './clock.ts'
import { type CreateFileSystemOptions, createFileSystem } from './create-file-system.ts'
import { CustomerKey } from './customer-key.ts'
import { FileSystemError } from './errors.ts'
import { shown } from './expect-option.ts'
import type { AzureBlobFileSystem } from './filesystem/azure-blob-file-system.ts'
import { fixedSignature, type GivenCredential, keySignatures } from './given-credential.ts'

/**
 * The options of adlfs by their own names, as `storage_options` of pandas, dask and others hold
 * them. Those of adlfs and fsspec that have no meaning here (`loop`, `request_session`, `socket_timeout`, …) are ignored.
 */
export interface StorageOptions {
  readonly account_name?: string | undefined
  readonly account_key?: string | undefined
  readonly connection_string?: string | undefined
  /** A signature or an account key as text, or a credential of the Azure SDKs. */
  readonly credential?: string | GivenCredential | undefined
  readonly sas_token?: string | undefined
  readonly client_id?: string | undefined
  readonly client_secret?: string | undefined
  readonly tenant_id?: string | undefined
  readonly anon?: boolean | undefined
  /** A host, or a whole endpoint such as a local emulator's. */
  readonly account_host?: string | undefined
  readonly location_mode?: 'primary' | 'secondary' | undefined
  readonly blocksize?: number | undefined
  readonly max_concurrency?: number | undefined
  /** Seconds; `null` is for ever. */
  readonly listings_expiry_time?: number | null | undefined
  readonly use_listings_cache?: boolean | undefined
  /** abfs's own: requests to the account under way at once. Default 32, or `max_concurrency`. */
  readonly request_budget?: number | undefined
  /** abfs's own: bytes that all transfers hold in memory together. Default 256 MiB. */
  readonly memory_budget?: number | undefined
  /** As clients of Azure's Python library have it: `key_value` is base64 of 32 bytes, and its sum is not needed. */
  readonly cpk?: { readonly key_value: string; readonly key_hash?: string | undefined } | undefined
  readonly [name: string]: unknown
}

/**
 * Connects as adlfs would with the same options, except that what is given here always beats the
 * environment. `EINVAL` for options that contradict each other, name no account, or are none of adlfs's or fsspec's.
 */
export async function fromStorageOptions(
  options: StorageOptions,
  more: Pick<CreateFileSystemOptions, 'caFile' | 'environment' | 'hns'> = {},
): Promise<AzureBlobFileSystem> {
  checkTexts(options)
  checkNames(options)
  const string = readConnectionString(options.connection_string)
  const account = options.account_name ?? string['AccountName']
  return createFileSystem({
    ...more,
    ...(account === undefined ? {} : { account }),
    ...endpointOf(options, string, account),
    ...(options.anon === true ? { anonymous: true } : {}),
    credential: await credentialOf(options, string, account),
    blockBytes: options.blocksize,
    concurrency: options.max_concurrency,
    listingTtlMs: listingTtlOf(options),
    requestBudget: options.request_budget,
    memoryBudgetBytes: options.memory_budget,
    ...keyOf(options),
  })
}

const texts = [
  'account_name',
  'account_key',
  'connection_string',
  'sas_token',
  'client_id',
  'client_secret',
  'tenant_id',
  'account_host',
] as const

/** Most are secrets: what was given is not repeated. */
function checkTexts(options: StorageOptions): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw mistake('options', 'expected an object with the options of adlfs, such as account_name')
  }
  for (const name of texts) {
    const value: unknown = options[name]
    if (value === undefined || (typeof value === 'string' && value !== '')) continue
    throw mistake(name, `expected a text that is not empty, got a ${typeof value}; leave it out`)
  }
  const seconds: unknown = options.listings_expiry_time ?? undefined
  if (seconds === undefined || (typeof seconds === 'number' && seconds >= 0)) return
  throw mistake('listings_expiry_time', `expected seconds, 0 or more, got ${shown(seconds)}`)
}

/** What says something here, beside {@link texts}. */
const settings = [
  'credential',
  'anon',
  'location_mode',
  'blocksize',
  'max_concurrency',
  'listings_expiry_time',
  'use_listings_cache',
  'request_budget',
  'memory_budget',
  'cpk',
]

/** What adlfs and fsspec take and nothing here depends on. */
const ignored = [
  'request_session',
  'socket_timeout',
  'timeout',
  'connection_timeout',
  'read_timeout',
  'loop',
  'asynchronous',
  'batch_size',
  'default_fill_cache',
  'default_cache_type',
  'version_aware',
  'assume_container_exists',
  'max_paths',
  'skip_instance_cache',
]

/** A name with a typing error must not mean that somebody else signs in. */
function checkNames(options: StorageOptions): void {
  const known: readonly string[] = [...texts, ...settings]
  const unknown = Object.keys(options).find((name) => ![...known, ...ignored].includes(name))
  if (unknown === undefined) return
  throw mistake(unknown, `there is no such option; there are ${known.join(', ')}`)
}

function mistake(path: string, detail: string): FileSystemError {
  return new FileSystemError('EINVAL', 'config', { path, detail })
}

type Fields = Readonly<Record<string, string | undefined>>

function readConnectionString(text: string | undefined): Fields {
  if (text === undefined) return {}
  const parts = text.split(';').filter((part) => part.includes('='))
  return Object.fromEntries(
    parts.map((part) => {
      const at = part.indexOf('=')
      return [part.slice(0, at).trim(), part.slice(at + 1).trim()]
    }),
  )
}

function endpointOf(
  options: StorageOptions,
  string: Fields,
  account: string | undefined,
): { readonly blobEndpoint?: string } {
  const host = options.account_host
  if (host !== undefined) return { blobEndpoint: host.includes('://') ? host : `https://${host}` }
  const said = string['BlobEndpoint']
  if (said !== undefined) return { blobEndpoint: said }
  const suffix = string['EndpointSuffix'] ?? 'core.windows.net'
  const secondary = options.location_mode === 'secondary' ? '-secondary' : ''
  const isUsual = suffix === 'core.windows.net' && secondary === ''
  if (isUsual || account === undefined) return {}
  return { blobEndpoint: `https://${account}${secondary}.blob.${suffix}` }
}

/** In the order of adlfs; nothing: what the environment says, or nobody with `anon`. */
async function credentialOf(
  options: StorageOptions,
  string: Fields,
  account: string | undefined,
): Promise<GivenCredential | undefined> {
  const { credential, anon, client_id: clientId } = options
  if (anon === true) return undefined
  if (typeof credential === 'object') return credential
  const text = credential ?? options.account_key ?? string['AccountKey']
  const signature = options.sas_token ?? string['SharedAccessSignature']
  if (text !== undefined) {
    return isSignature(text)
      ? fixedSignature(text)
      : keySignatures(named(account), text, systemClock)
  }
  if (signature !== undefined) return fixedSignature(signature)
  return clientId === undefined ? undefined : servicePrincipal(options, clientId)
}

function keyOf({ cpk }: StorageOptions): Pick<CreateFileSystemOptions, 'customerProvidedKey'> {
  if (cpk === undefined) return {}
  const key = CustomerKey.from(typeof cpk === 'object' ? cpk?.key_value : undefined)
  if (key !== undefined) return { customerProvidedKey: cpk.key_value }
  throw mistake('cpk', 'expected { key_value }, base64 of an AES-256 key of 32 bytes')
}

function isSignature(text: string): boolean {
  return /(^|[?&])sig=/.test(text)
}

function named(account: string | undefined): string {
  if (account !== undefined) return account
  const detail = 'an account key needs account_name'
  throw new FileSystemError('EINVAL', 'config', { path: 'account_name', detail })
}

async function servicePrincipal(
  options: StorageOptions,
  clientId: string,
): Promise<TokenCredential> {
  const { tenant_id: tenantId, client_secret: secret } = options
  if (tenantId === undefined || secret === undefined) {
    const detail = 'client_id needs tenant_id and client_secret'
    throw new FileSystemError('EINVAL', 'config', { path: 'client_id', detail })
  }
  const { ClientSecretCredential } = await import('@azure/identity')
  return new ClientSecretCredential(tenantId, clientId, secret)
}

function listingTtlOf(options: StorageOptions): number | undefined {
  const { use_listings_cache: use, listings_expiry_time: seconds } = options
  if (use === false) return 0
  if (seconds === null) return Number.MAX_SAFE_INTEGER
  return seconds === undefined ? undefined : seconds * 1000
}
