/** blobfuse2's configuration file, read as settings of `abfs mount` where it means the same. */
import { parseDocument } from 'yaml'
import type { Environment } from '../../config.ts'
import { usageError } from '../usage.ts'
import { refusalOf } from './blobfuse-keys.ts'

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

function settingOf([key, value]: readonly [string, string]): FileSetting[] {
  if (key === 'logging.type') {
    return value === 'silent' ? [{ flag: 'logLevel', value: 'silent', key }] : []
  }
  const flag = flags[key]
  if (flag === undefined || value === 'false') return []
  return [{ flag, value: flagValue(key, value), key }]
}

const flags: Readonly<Record<string, string>> = {
  'logging.level': 'logLevel',
  'libfuse.uid': 'uid',
  'libfuse.gid': 'gid',
  'lazy-write': 'writeBack',
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
    /^((attr|entry)_cache\.timeout|libfuse\..*expiration)-sec$/.test(key),
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
