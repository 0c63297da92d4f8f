/** blobfuse2's configuration file, read as settings of `abfs mount` where it means the same. */
import { parseDocument } from 'yaml'
import type { Environment } from '../../config.ts'
import { usageError } from '../usage.ts'

/** One flag of `abfs mount` that a file gives. */
export interface FileSetting {
  /** As commander names it: `cacheDir`. */
  readonly flag: string
  readonly value: string | true
  /** The key that gave it: `block_cache.path`. */
  readonly key: string
}

/** What a file asks for. */
export interface BlobfuseConfig {
  /** `abfs://CONTAINER[/PATH]`; `undefined` where it names no container. */
  readonly url: string | undefined
  readonly settings: readonly FileSetting[]
}

/** Reads `yaml`; throws a usage error that names the key at fault and what to write, never a value. */
export function parseBlobfuseConfig(
  yaml: string,
  file: string,
  environment: Environment,
): BlobfuseConfig {
  const document = parseDocument(yaml)
  const [fault] = document.errors
  if (fault !== undefined) throw usageError(`${file} is no YAML: ${fault.message.split('\n')[0]}`)
  const values = new Map<string, string>()
  for (const [key, raw] of leavesOf(document.toJS(), '')) {
    const value = fromEnvironment(raw, key, environment)
    const why = refusalOf(key, value)
    if (why !== undefined) throw usageError(`${file}: '${key}' ${why}`)
    values.set(key, value)
  }
  return { url: urlOf(values), settings: [...values].flatMap(settingOf).concat(ttlOf(values)) }
}

/** Values by the names above them, joined by dots; lists as words with commas. */
function leavesOf(value: unknown, above: string): [string, string][] {
  if (Array.isArray(value)) return [[above, value.join(',')]]
  if (typeof value !== 'object' || value === null) return [[above, String(value ?? '')]]
  const entries = Object.entries(value)
  const [only] = entries
  // YAML takes blobfuse2's `{ NAME }`, a variable, for a mapping without a value.
  if (above !== '' && entries.length === 1 && only?.[1] === null) return [[above, `{${only[0]}}`]]
  return entries.flatMap(([key, child]) => leavesOf(child, above === '' ? key : `${above}.${key}`))
}

function fromEnvironment(value: string, key: string, environment: Environment): string {
  const name = /^\{\s*(\w+)\s*\}$/.exec(value)?.[1]
  if (name === undefined) return value
  const found = environment[name]
  if (found) return found
  throw usageError(`'${key}' is to come from ${name}, which is not set`)
}

const secret =
  'would be a secret: abfs signs in by identity, or asks a connector (ABFS_CONNECTOR_URL)'
const identity = 'is said by AZURE_CLIENT_ID and AZURE_TENANT_ID'
const bySelf = 'has no meaning: windows and requests are found by measuring'

/** Why other keys are none of ours. */
const refused: Readonly<Record<string, string>> = {
  'azstorage.account-key': secret,
  'azstorage.sas': secret,
  'azstorage.clientsecret': secret,
  'azstorage.oauth-token-path': 'is said by AZURE_FEDERATED_TOKEN_FILE',
  'azstorage.workload-identity-token': 'is said by AZURE_FEDERATED_TOKEN_FILE',
  'azstorage.appid': identity,
  'azstorage.clientid': identity,
  'azstorage.tenantid': identity,
  'azstorage.resid': 'has no meaning: name the identity by AZURE_CLIENT_ID',
  'azstorage.objid': 'has no meaning: name the identity by AZURE_CLIENT_ID',
  'block_cache.block-size-mb': bySelf,
  'block_cache.prefetch': bySelf,
  'block_cache.parallelism': bySelf,
  'block_cache.mem-size-mb': 'has no meaning: memory follows the limit of the process',
  'block_cache.disk-timeout-sec': 'has no meaning: blocks are kept by etag, until room is needed',
  'file_cache.timeout-sec': 'has no meaning: blocks are kept by etag, until room is needed',
  'attr_cache.max-size-mb': 'has no meaning: memory follows the limit of the process',
  'libfuse.default-permission': 'is --file-mode and --dir-mode here',
}

/** Keys that are taken, and the values they may have; any when it is `undefined`. */
const taken: Readonly<Record<string, RegExp | undefined>> = {
  'logging.type': /^base$/,
  'logging.level': /^log_(off|crit|err|warning|info|trace|debug)$/,
  'logging.file-path': undefined,
  components: /^(libfuse|block_cache|file_cache|attr_cache|azstorage|,)*$/,
  'azstorage.type': /^(block|adls)$/,
  'azstorage.account-name': undefined,
  'azstorage.container': undefined,
  'azstorage.subdirectory': undefined,
  'azstorage.endpoint': undefined,
  'azstorage.mode': /^(msi|spn|azcli|workloadidentity)$/,
  'block_cache.path': undefined,
  'block_cache.disk-size-mb': /^\d+$/,
  'file_cache.path': undefined,
  'file_cache.max-size-mb': /^\d+$/,
  'attr_cache.timeout-sec': /^\d+$/,
  'libfuse.attribute-expiration-sec': /^\d+$/,
  'libfuse.entry-expiration-sec': /^\d+$/,
  'libfuse.negative-entry-expiration-sec': /^\d+$/,
  'mountall.container-allowlist': undefined,
  'mountall.container-denylist': undefined,
  'allow-other': /^(true|false)$/,
  'read-only': /^(true|false)$/,
  nonempty: /^(true|false)$/,
  foreground: /^(true|false)$/,
}

function refusalOf(key: string, value: string): string | undefined {
  if (!Object.hasOwn(taken, key)) return refused[key] ?? 'is not a key that abfs takes'
  const allowed = taken[key]
  if (allowed === undefined || allowed.test(value)) return undefined
  if (key === 'azstorage.mode') return secret
  return `must match ${allowed.source} to mean the same here`
}

function settingOf([key, value]: readonly [string, string]): FileSetting[] {
  const flag = flags[key]
  if (flag === undefined || value === 'false') return []
  return [{ flag, value: flagValue(key, value), key }]
}

const flags: Readonly<Record<string, string>> = {
  'logging.level': 'logLevel',
  'logging.file-path': 'logFile',
  'azstorage.type': 'hns',
  'azstorage.account-name': 'account',
  'azstorage.endpoint': 'blobEndpoint',
  'block_cache.path': 'cacheDir',
  'block_cache.disk-size-mb': 'cacheSize',
  'file_cache.path': 'cacheDir',
  'file_cache.max-size-mb': 'cacheSize',
  'mountall.container-allowlist': 'allow',
  'mountall.container-denylist': 'deny',
  'allow-other': 'allowOther',
  'read-only': 'readOnly',
  nonempty: 'nonEmpty',
  foreground: 'foreground',
}

function flagValue(key: string, value: string): string | true {
  if (value === 'true') return true
  if (key.endsWith('-size-mb')) return `${value}M`
  if (key === 'azstorage.type') return String(value === 'adls')
  if (key === 'azstorage.endpoint') return value.replace('.dfs.', '.blob.')
  return key === 'logging.level' ? (levels[value] ?? value) : value
}

const levels: Readonly<Record<string, string>> = {
  log_off: 'silent',
  log_crit: 'error',
  log_err: 'error',
  log_warning: 'warn',
  log_info: 'info',
  log_trace: 'trace',
  log_debug: 'debug',
}

/** One time for all here: the shortest keeps the promise of each. */
function ttlOf(values: ReadonlyMap<string, string>): FileSetting[] {
  const times = [...values].filter(([key]) =>
    /^(attr_cache\.timeout|libfuse\..*expiration)-sec$/.test(key),
  )
  const [shortest] = times.sort(([, a], [, b]) => Number(a) - Number(b))
  if (shortest === undefined) return []
  return [{ flag: 'attrTtl', value: shortest[1], key: shortest[0] }]
}

function urlOf(values: ReadonlyMap<string, string>): string | undefined {
  const container = values.get('azstorage.container')
  if (container === undefined) return undefined
  const path = values.get('azstorage.subdirectory')?.replace(/^\/+|\/+$/g, '') ?? ''
  return `abfs://${container}${path === '' ? '' : `/${path}`}`
}
