/** blobfuse2's configuration file, read as settings of `abfs mount` where it means the same. */
import { parseDocument } from 'yaml'
import type { Environment } from '../../config.ts'
import { usageError } from '../usage.ts'
import { listKeys, refusalOf, sections } from './blobfuse-keys.ts'

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
  const values = new Map<string, string>()
  for (const [key, raw] of leavesOf(sectionsIn(yaml, file), '')) {
    const value = typeof raw === 'string' ? fromEnvironment(raw, key, environment) : raw.join(',')
    const why = refusalOfShape(key, raw) ?? refusalOf(key, value)
    if (why !== undefined) throw usageError(`${file}: '${key}' ${why}`)
    values.set(key, value)
  }
  return { url: urlOf(values), settings: [...values].flatMap(settingOf).concat(ttlOf(values)) }
}

/** What stands at the top of the file, of which a part may be missing but not all. */
function sectionsIn(yaml: string, file: string): object {
  // A line of the file in a message could be one with a secret.
  const document = parseDocument(yaml, { prettyErrors: false })
  const [fault] = document.errors
  if (fault !== undefined) {
    const line = yaml.slice(0, fault.pos[0]).split('\n').length
    throw usageError(`${file} is no YAML, line ${line}: ${fault.message.split('\n')[0]}`)
  }
  const top = readValue(document, file)
  if (typeof top === 'object' && top !== null && !Array.isArray(top)) return top
  const what = top === null || top === undefined ? 'is empty' : 'has no keys at its top'
  throw usageError(`${file} ${what}: blobfuse2’s configuration has sections such as azstorage`)
}

function readValue(document: ReturnType<typeof parseDocument>, file: string): unknown {
  try {
    return document.toJS()
  } catch (error) {
    throw usageError(`${file} cannot be used: ${error instanceof Error ? error.message : error}`)
  }
}

function refusalOfShape(key: string, raw: string | readonly unknown[]): string | undefined {
  if (sections.has(key)) return 'must be a section: its keys stand below it, indented'
  if (typeof raw === 'string' || listKeys.has(key)) return undefined
  return 'must be one value, not a list'
}

/** Values by the names above them, joined by dots. A section without keys says nothing. */
function leavesOf(value: unknown, above: string): [string, string | readonly unknown[]][] {
  if (Array.isArray(value)) return [[above, value]]
  if (value === null && sections.has(above)) return []
  if (typeof value !== 'object' || value === null) return [[above, String(value ?? '')]]
  const entries = Object.entries(value)
  const [only] = entries
  // YAML takes blobfuse2's `{ NAME }`, a variable, for a mapping without a value.
  const isVariable = above !== '' && !sections.has(above)
  if (isVariable && entries.length === 1 && only?.[1] === null) return [[above, `{${only[0]}}`]]
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
    return value.toLowerCase() === 'silent' ? [{ flag: 'logLevel', value: 'silent', key }] : []
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
  'azstorage.filter': 'filter',
  'azstorage.cap-iops': 'maxRequestsPerSecond',
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
  if (key === 'azstorage.type') return String(value.toLowerCase() === 'adls')
  if (key === 'azstorage.endpoint') return value.replace('.dfs.', '.blob.')
  return key === 'logging.level' ? (levels[value.toLowerCase()] ?? value) : value
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
