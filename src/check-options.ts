import { clouds } from './azure-url.ts'
import type { CreateFileSystemOptions } from './create-file-system.ts'
import { CustomerKey } from './customer-key.ts'
import { FileSystemError } from './errors.ts'
import { shown } from './expect-option.ts'

type OptionName = keyof CreateFileSystemOptions

/** What can be told of a value before it is used; `undefined` where who uses it says so. */
const expectations: Readonly<Record<OptionName, Expectation | undefined>> = {
  account: { wanted: 'a text', holds: isText },
  blobEndpoint: { wanted: 'a URL as text', holds: isText },
  dfsEndpoint: { wanted: 'a URL as text', holds: isText },
  hns: { wanted: "true, false or 'auto'", holds: isOneOf(true, false, 'auto') },
  prefix: { wanted: 'a text', holds: isText },
  caFile: { wanted: "a file's name", holds: isText },
  connectorUrl: { wanted: 'a URL as text', holds: isText },
  connectorKeyFile: { wanted: "a file's name", holds: isText },
  encryptionKeyFile: { wanted: "a file's name", holds: isText },
  customerProvidedKey: {
    wanted:
      'an AES-256 key: a Uint8Array of 32 bytes, base64 of them, or a function that gives one',
    holds: isKey,
    secret: true,
  },
  connectorTokenFile: { wanted: "a file's name", holds: isText },
  connectorSession: undefined,
  cacheDir: { wanted: "a directory's name", holds: isText },
  logLevel: undefined,
  transport: undefined,
  url: {
    wanted: 'a URL such as abfs://container/path; without one the environment names the account',
    holds: isUrl,
  },
  anonymous: { wanted: 'true or false', holds: isOneOf(true, false) },
  readOnly: { wanted: 'true or false', holds: isOneOf(true, false) },
  credential: {
    wanted:
      'a credential of the Azure SDKs, a TokenCredential, or a provider as sasProvider() gives; keys and signatures as text are for fromStorageOptions',
    holds: isCredential,
    secret: true,
  },
  blockBytes: { wanted: 'bytes, an integer of 1 or more', holds: isCount },
  concurrency: { wanted: 'an integer of 1 or more', holds: isCount },
  requestBudget: { wanted: 'an integer of 1 or more', holds: isCount },
  memoryBudgetBytes: { wanted: 'bytes, an integer of 1 or more', holds: isCount },
  cloud: { wanted: "'public', 'usgovernment' or 'china'", holds: isOneOf(...Object.keys(clouds)) },
  retry: {
    wanted:
      '{ maxAttempts: an integer of 1 or more, baseDelayMs, maxDelayMs, deadlineMs: milliseconds, 0 or more }',
    holds: isObject,
    fields: {
      maxAttempts: { wanted: 'an integer of 1 or more', holds: isCount },
      baseDelayMs: { wanted: 'milliseconds, 0 or more', holds: isDelay },
      maxDelayMs: { wanted: 'milliseconds, 0 or more', holds: isDelay },
      deadlineMs: { wanted: 'milliseconds, 0 or more', holds: isDelay },
    },
  },
  timeouts: {
    wanted: '{ connectMs, sendMs, headersMs, bodyMs }: milliseconds, 1 or more',
    holds: isObject,
    fields: Object.fromEntries(
      ['connectMs', 'sendMs', 'headersMs', 'bodyMs'].map((name) => [
        name,
        { wanted: 'milliseconds, from 1 to 2147483647', holds: isTimeout },
      ]),
    ),
  },
  callTimeoutMs: { wanted: 'milliseconds, more than 0', holds: isPositive },
  integrity: { wanted: "'crc64', 'md5' or 'none'", holds: isOneOf('crc64', 'md5', 'none') },
  rateLimits: {
    wanted: '{ readBytesPerSecond, writeBytesPerSecond, requestsPerSecond }',
    holds: isObject,
  },
  encryptionScope: { wanted: 'the name of an encryption scope', holds: isScope },
  hedge: { wanted: '{ percentile, maxRatio }', holds: isObject },
  listingTtlMs: { wanted: 'milliseconds, 0 or more', holds: isDuration },
  listingCacheEntries: { wanted: 'names, an integer of 1 or more', holds: isCount },
  directoryMode: {
    wanted: "'marker' or 'virtual' (a hierarchical account is known by hns)",
    holds: isOneOf('marker', 'virtual'),
  },
  diskCache: { wanted: 'a DiskCache', holds: isObject },
  environment: { wanted: 'an object of variables', holds: isObject },
}

/** As the service names them; `$account-encryption-key` is the account's own. */
function isScope(value: unknown): boolean {
  return typeof value === 'string' && scopePattern.test(value)
}

/** Of encryption scopes: 3 to 63 letters, digits and hyphens. */
export const scopePattern: RegExp = /^(?:[A-Za-z0-9-]{3,63}|\$account-encryption-key)$/

interface Expectation {
  readonly wanted: string
  readonly holds: (value: unknown) => boolean
  /** Whether the value must not be repeated. */
  readonly secret?: boolean | undefined
  /** Of an object: what there is in it. */
  readonly fields?: Readonly<Record<string, Expectation>> | undefined
}

/** `EINVAL` with syscall `config` for an option of `createFileSystem` that is unknown or of no use. */
export function checkOptions(options: object): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw mistake('options', `expected an object, got ${shown(options)}`)
  }
  for (const [name, value] of Object.entries(options)) {
    if (!isOptionName(name)) throw mistake(name, unknownName(name))
    const expectation = expectations[name]
    if (value === undefined || expectation === undefined) continue
    if (expectation.holds(value)) {
      checkFields(name, value, expectation.fields)
      continue
    }
    const got = expectation.secret ? kindOf(value) : shown(value)
    throw mistake(name, `expected ${expectation.wanted}, got ${got}`)
  }
  refuseBoth(options)
}

function checkFields(option: string, value: unknown, fields: Expectation['fields']): void {
  if (fields === undefined || typeof value !== 'object' || value === null) return
  for (const [name, given] of Object.entries(value)) {
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (field === undefined) {
      const known = Object.keys(fields).join(', ')
      throw mistake(`${option}.${name}`, `there is no such option; there are ${known}`)
    }
    if (given === undefined || field.holds(given)) continue
    throw mistake(`${option}.${name}`, `expected ${field.wanted}, got ${shown(given)}`)
  }
}

/** `EINVAL` for options of which one would not be used. */
function refuseBoth(options: {
  readonly anonymous?: unknown
  readonly blobEndpoint?: unknown
  readonly cloud?: unknown
  readonly dfsEndpoint?: unknown
  readonly credential?: unknown
  readonly customerProvidedKey?: unknown
  readonly encryptionKeyFile?: unknown
  readonly encryptionScope?: unknown
}): void {
  const { anonymous, credential, customerProvidedKey: key, encryptionKeyFile: file } = options
  if (key !== undefined && file !== undefined) {
    throw mistake('customerProvidedKey', 'expected without encryptionKeyFile, which is not read')
  }
  if (options.cloud !== undefined && (options.blobEndpoint ?? options.dfsEndpoint) !== undefined) {
    throw mistake('cloud', 'expected without blobEndpoint and dfsEndpoint, which say it')
  }
  if (anonymous === true && credential !== undefined) {
    throw mistake('anonymous', 'expected without a credential, which would not be used')
  }
}

/** What a secret is, without telling it. */
function kindOf(value: unknown): string {
  return value instanceof Uint8Array ? `${value.byteLength} bytes` : `a ${typeof value}`
}

function isOptionName(name: string): name is OptionName {
  return Object.hasOwn(expectations, name)
}

function unknownName(name: string): string {
  const known = Object.keys(expectations)
  const camel = name.replaceAll(/[-_]([a-z])/g, (_, letter: string) => letter.toUpperCase())
  if (known.includes(camel)) return `there is no such option; it is called ${camel}`
  return `there is no such option; there are ${known.join(', ')}`
}

function mistake(path: string, detail: string): FileSystemError {
  return new FileSystemError('EINVAL', 'config', { path, detail })
}

function isKey(value: unknown): boolean {
  return typeof value === 'function' || CustomerKey.from(value) !== undefined
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function isUrl(value: unknown): boolean {
  return value instanceof URL || (typeof value === 'string' && value.trim() !== '')
}

function isOneOf(...values: readonly unknown[]): (value: unknown) => boolean {
  return (value) => values.includes(value)
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 1
}

function isPositive(value: unknown): boolean {
  return typeof value === 'number' && value > 0
}

/** What a timer can wait for. */
const longestMs = 2 ** 31 - 1

function isDelay(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= longestMs
}

function isTimeout(value: unknown): boolean {
  return typeof value === 'number' && value >= 1 && value <= longestMs
}

function isDuration(value: unknown): boolean {
  return typeof value === 'number' && value >= 0
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}

function isCredential(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const methods: { getCredential?: unknown; getToken?: unknown } = value
  return [methods.getCredential, methods.getToken].some((method) => typeof method === 'function')
}
