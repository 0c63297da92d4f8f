import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { inspect } from 'node:util'
import { MiB, parseByteCount } from './byte-range.ts'
import { readCustomerKey } from './config-customer-key.ts'
import { type Environment, type Found, mistake, Source } from './config-source.ts'
import type { CustomerKey } from './customer-key.ts'
import { FileSystemError } from './errors.ts'
import { shown } from './expect-option.ts'
import { isLoopback } from './loopback.ts'

export type { Environment } from './config-source.ts'

/** The variables of this process. */
export function processEnvironment(): Environment {
  return process.env
}

/** Levels of the log, the most talkative first. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/** What carries HTTP; see docs/decisions/0006-socket-transport.md. */
export const transports = ['socket', 'undici'] as const
export type Transport = (typeof transports)[number]

const integrities = ['crc64', 'md5', 'none'] as const

/** What the command line says about the connection; each beats the environment. */
export interface ConfigFlags {
  readonly account?: string | undefined
  readonly blobEndpoint?: string | undefined
  readonly dfsEndpoint?: string | undefined
  readonly hns?: string | undefined
  readonly prefix?: string | undefined
  readonly caFile?: string | undefined
  readonly connectorUrl?: string | undefined
  readonly connectorKeyFile?: string | undefined
  readonly connectorTokenFile?: string | undefined
  readonly connectorSession?: string | undefined
  readonly cacheDir?: string | undefined
  readonly logLevel?: string | undefined
  readonly transport?: string | undefined
  readonly memoryBudget?: string | undefined
  readonly requestBudget?: string | undefined
  readonly integrity?: string | undefined
  readonly encryptionKeyFile?: string | undefined
}

/** How a caller proves to the connector who it is. */
export type CallerProof =
  | { readonly kind: 'key'; readonly key: SecretText }
  | { readonly kind: 'token-file'; readonly file: string }

/** The connector to ask for credentials. */
export interface ConnectorSettings {
  readonly url: URL
  readonly proof: CallerProof
  /** Whether to ask in sessions that are bound to a key of this process. */
  readonly session: boolean
}

/** Where each value came from: a flag (`--account`), a variable (`ABFS_ACCOUNT`) or `default`. */
export type Origins = Readonly<Record<string, string>>

/** Everything that decides how abfs connects. Frozen; file names are absolute. */
export interface Config {
  /** `undefined` when neither flags nor environment name one; a URL may still do so. */
  readonly account: string | undefined
  /** `undefined`: the public cloud's, `https://ACCOUNT.blob.core.windows.net`. */
  readonly blobEndpoint: URL | undefined
  /** `undefined`: the blob endpoint with `dfs` in the place of `blob`. */
  readonly dfsEndpoint: URL | undefined
  /** Whether the account's namespace is hierarchical; `auto` asks it once. */
  readonly hns: 'auto' | 'true' | 'false'
  /** The directory below which credentials are asked for, without slashes at its ends. */
  readonly prefix: string | undefined
  /** Certificate authorities in PEM, trusted besides Node's own. */
  readonly caFile: string | undefined
  /** `undefined`: this process signs in to Entra by itself (DefaultAzureCredential). */
  readonly connector: ConnectorSettings | undefined
  /** The configuration that `abfs connector` runs when it is given none. */
  readonly connectorConfigFile: string | undefined
  /**
   * What says who this process is without a connector, where that is not the process's own environment, which
   * Azure's library reads by itself.
   */
  readonly identityVariable: ((name: string) => string | undefined) | undefined
  /** The Entra to sign in to without a connector; `undefined`: the public cloud's. */
  readonly authorityHost: URL | undefined
  /** Where chunks of blobs may be kept on disk; `undefined`: in memory alone. */
  readonly cacheDir: string | undefined
  readonly logLevel: LogLevel
  /** Bytes that transfers hold in memory together; `undefined`: 256 MiB. */
  readonly memoryBudgetBytes: number | undefined
  /** Requests to an account under way at once; `undefined`: 16. */
  readonly requestBudget: number | undefined
  /** What protects bytes; `undefined`: `crc64` with the native addon, else `none`. */
  readonly integrity: (typeof integrities)[number] | undefined
  /** Of the customer's, which encrypts blobs; `undefined`: the account's. */
  readonly customerKey: CustomerKey | undefined
  /** `socket` unless said otherwise. */
  readonly transport: Transport
  /** Whether errors are shown with stack and causes. */
  readonly debug: boolean
  readonly origins: Origins
}

/** A secret that shows itself to nobody who prints it; `reveal` gives it. */
export class SecretText {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
    Object.defineProperty(this, inspect.custom, { value: () => '[secret]' })
  }

  reveal(): string {
    return this.#text
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }
}

/**
 * Reads flags and environment into a `Config`. Flags beat the environment; of several variables for
 * one value the first that is set and not empty counts. Throws `FileSystemError` `EINVAL` with
 * syscall `config` for a value that cannot be used, and `ENOENT` or `EACCES` for a key file that
 * cannot be read; `path` is then the flag or variable.
 */
export function loadConfig(flags: ConfigFlags, environment: Environment): Config {
  const source = new Source({ ...flags }, environment)
  const config: Omit<Config, 'origins'> = {
    account: readAccount(source),
    blobEndpoint: source.url('blobEndpoint', ofAccount(source, 'ABFS_BLOB_ENDPOINT')),
    dfsEndpoint: source.url('dfsEndpoint', ofAccount(source, 'ABFS_DFS_ENDPOINT')),
    hns: readWord(source, hnsSetting, ofAccount(source, hnsSetting.variable)),
    prefix: withoutEdges(source.text('prefix', ['ABFS_PREFIX'])),
    caFile: source.file('caFile', ['ABFS_CA_FILE']),
    connector: readConnector(source),
    connectorConfigFile: source.file('connectorConfigFile', ['ABFS_CONNECTOR_CONFIG']),
    identityVariable:
      environment === processEnvironment() ? undefined : (name) => environment[name] || undefined,
    authorityHost: source.url('authorityHost', ['AZURE_AUTHORITY_HOST']),
    cacheDir: source.file('cacheDir', ['ABFS_CACHE_DIR']),
    logLevel: readWord(source, logLevelSetting),
    transport: readWord(source, transportSetting),
    memoryBudgetBytes: readMemoryBudget(source),
    requestBudget: readRequestBudget(source),
    integrity: readIntegrity(source),
    customerKey: readCustomerKey(source),
    debug: environment['ABFS_DEBUG'] === '1',
  }
  return Object.freeze({ ...config, origins: Object.freeze({ ...source.origins }) })
}

/**
 * The directory where abfs keeps logs of drives: `$XDG_STATE_HOME/abfs`, by default
 * `~/.local/state/abfs`.
 */
export function stateDirectory(environment: Environment): string {
  const state = environment['XDG_STATE_HOME'] || resolve(homedir(), '.local/state')
  return resolve(state, 'abfs')
}

/**
 * The directory that tells which process serves which drive: `/run/abfs` for root,
 * `$XDG_RUNTIME_DIR/abfs` for others, in the state directory where there is none.
 */
export function runtimeDirectory(environment: Environment, uid: number): string {
  if (uid === 0) return '/run/abfs'
  const runtime = environment['XDG_RUNTIME_DIR']
  return runtime ? resolve(runtime, 'abfs') : resolve(stateDirectory(environment), 'run')
}

const ACCOUNT_VARIABLES = [
  'ABFS_ACCOUNT',
  'AZURE_STORAGE_ACCOUNT_NAME',
  'AZURE_STORAGE_ACCOUNT',
] as const

/** The name becomes part of a host's: with other characters it would choose who is sent credentials. */
function readAccount(source: Source): string | undefined {
  const found = source.find('account', ACCOUNT_VARIABLES)
  if (found === undefined || /^[a-z0-9][a-z0-9-]*$/.test(found.value)) return found?.value
  const wanted = 'must be the name of a storage account, 3 to 24 lower-case letters and digits'
  throw mistake(found.origin, `${wanted}, not ${shown(found.value)}`)
}

/** The variables that say where an account is, and of which kind, speak of the account that variables name, and of no other. */
function ofAccount(source: Source, variable: string): readonly string[] {
  const own = source.variable(ACCOUNT_VARIABLES)?.value
  const named = source.flag('account')?.value ?? own
  return own === undefined || own === named ? [variable] : []
}

/** A setting that is one of a few words. */
interface WordSetting<Word extends string> {
  readonly name: string
  readonly variable: string
  readonly words: readonly Word[]
  readonly byDefault: Word
}

const logLevelSetting: WordSetting<LogLevel> = {
  name: 'logLevel',
  variable: 'ABFS_LOG_LEVEL',
  words: logLevels,
  byDefault: 'info',
}

const transportSetting: WordSetting<Transport> = {
  name: 'transport',
  variable: 'ABFS_HTTP_TRANSPORT',
  words: transports,
  byDefault: 'socket',
}

const hnsSetting: WordSetting<Config['hns']> = {
  name: 'hns',
  variable: 'ABFS_HNS',
  words: ['auto', 'true', 'false'],
  byDefault: 'auto',
}

const sessionSetting: WordSetting<'0' | '1'> = {
  name: 'connectorSession',
  variable: 'ABFS_CONNECTOR_SESSION',
  words: ['0', '1'],
  byDefault: '0',
}

function readWord<Word extends string>(
  source: Source,
  setting: WordSetting<Word>,
  variables: readonly string[] = [setting.variable],
): Word {
  const found = source.find(setting.name, variables)
  return found === undefined ? setting.byDefault : wordOf(found, setting.words)
}

function wordOf<Word extends string>(found: Found, words: readonly Word[]): Word {
  const word = words.find((known) => known === found.value)
  if (word !== undefined) return word
  throw mistake(found.origin, `must be one of ${words.join(', ')}, not '${found.value}'`)
}

function readIntegrity(source: Source): Config['integrity'] {
  const found = source.find('integrity', ['ABFS_INTEGRITY'])
  return found === undefined ? undefined : wordOf(found, integrities)
}

function readRequestBudget(source: Source): number | undefined {
  const found = source.find('requestBudget', ['ABFS_REQUEST_BUDGET'])
  if (found === undefined) return undefined
  if (/^[1-9]\d{0,4}$/.test(found.value)) return Number(found.value)
  throw mistake(found.origin, `must be a number of requests, 1 or more, not '${found.value}'`)
}

function readMemoryBudget(source: Source): number | undefined {
  const found = source.find('memoryBudget', ['ABFS_MEMORY_BUDGET'])
  if (found === undefined) return undefined
  const bytes = parseByteCount(found.value)
  if (bytes !== undefined && bytes >= MiB) return bytes
  throw mistake(found.origin, `must be a size of 1M or more such as 256M, not '${found.value}'`)
}

function withoutEdges(prefix: string | undefined): string | undefined {
  const trimmed = prefix?.replace(/^\/+|\/+$/g, '')
  return trimmed === '' ? undefined : trimmed
}

function readConnector(source: Source): ConnectorSettings | undefined {
  const url = source.url('connectorUrl', ['ABFS_CONNECTOR_URL'])
  if (url === undefined) return undefined
  if (url.protocol !== 'https:' && !isLoopback(url.hostname)) {
    const detail =
      'must be an https URL, or http on 127.0.0.1: the caller’s key would go out in the clear'
    throw mistake(source.origins['connectorUrl'] ?? 'ABFS_CONNECTOR_URL', detail)
  }
  const session = readWord(source, sessionSetting) === '1'
  return Object.freeze({ url, proof: Object.freeze(readProof(source)), session })
}

/** A proof given by flag hides all those of the environment. */
function readProof(source: Source): CallerProof {
  const flags = PROOFS.flatMap((proof) => proofOf(proof, source.flag(proof.name)))
  const found =
    flags.length > 0
      ? flags
      : PROOFS.flatMap((proof) => proofOf(proof, source.variable([proof.variable])))
  const [first, second] = found
  if (first === undefined) {
    const origin = source.origins['connectorUrl'] ?? 'ABFS_CONNECTOR_URL'
    throw mistake(
      origin,
      'is set, but nothing proves who is calling: set ABFS_CONNECTOR_KEY_FILE (or --connector-key-file), or ABFS_CONNECTOR_TOKEN_FILE for a workload token',
    )
  }
  if (second !== undefined) {
    throw mistake(first.origin, `and ${second.origin} are both set: keep one`)
  }
  source.origins['connectorProof'] = first.origin
  return first.read()
}

const PROOFS = [
  { name: 'connectorKey', variable: 'ABFS_CONNECTOR_KEY', kind: 'key' },
  { name: 'connectorKeyFile', variable: 'ABFS_CONNECTOR_KEY_FILE', kind: 'key-file' },
  { name: 'connectorTokenFile', variable: 'ABFS_CONNECTOR_TOKEN_FILE', kind: 'token-file' },
] as const

interface FoundProof {
  readonly origin: string
  read(): CallerProof
}

function proofOf(proof: (typeof PROOFS)[number], found: Found | undefined): FoundProof[] {
  if (found === undefined) return []
  const read = (): CallerProof => {
    if (proof.kind === 'key') return { kind: 'key', key: new SecretText(found.value) }
    if (proof.kind === 'key-file') return { kind: 'key', key: readKeyFile(found) }
    return { kind: 'token-file', file: resolve(found.value) }
  }
  return [{ origin: found.origin, read }]
}

function readKeyFile({ value, origin }: Found): SecretText {
  const file = resolve(value)
  const key = readText(file, origin).trim()
  if (key === '') throw mistake(origin, `names an empty file: ${file}`)
  return new SecretText(key)
}

function readText(file: string, origin: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw unreadable(file, origin, cause)
  }
}

function unreadable(file: string, origin: string, cause: unknown): FileSystemError {
  const denied = cause instanceof Error && 'code' in cause && cause.code === 'EACCES'
  const detail = `cannot read the key file ${file}`
  return new FileSystemError(denied ? 'EACCES' : 'ENOENT', 'config', {
    path: origin,
    detail,
    cause,
  })
}
