import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { Moment } from '../../blob/past-names.ts'
import { MiB, parseByteCount } from '../../byte-range.ts'
import { scopePattern } from '../../check-options.ts'
import { systemClock } from '../../clock.ts'
import { type Environment, stateDirectory } from '../../config.ts'
import { hasCustomerKey } from '../../config-customer-key.ts'
import type { ConflictPolicy } from '../../vfs/file-commit.ts'
import type { PosixUse } from '../../vfs/posix-use.ts'
import { chooseOtlp, type OtlpSettings } from '../otlp/otlp-settings.ts'
import { usageError } from '../usage.ts'
import type { KeptRole } from './kept.ts'
import { parseMoment } from './moment.ts'
import { listPrices, type Prices, parsePrices } from './request-cost.ts'
import { type Hiding, hidesByTags, shownBy } from './shown.ts'

/** The flags of `abfs mount` as commander gives them. */
export interface MountFlags {
  readonly readOnly?: true
  readonly immutable?: true
  readonly allowOther?: true
  readonly nonEmpty?: true
  readonly foreground?: true
  readonly uid?: string
  readonly gid?: string
  readonly fileMode: string
  readonly dirMode: string
  readonly posixAttrs: string
  readonly attrTtl: string
  readonly changeFeed?: string | true
  readonly timeout: string
  readonly startTimeout: string
  readonly hard?: true
  readonly hedge?: true
  readonly include?: readonly string[]
  readonly exclude?: readonly string[]
  readonly filter?: string
  readonly maxReadRate?: string
  readonly maxWriteRate?: string
  readonly maxRequestsPerSecond?: string
  readonly encryptionScope?: string
  readonly encryptionKeyFile?: string
  readonly passthrough: boolean
  readonly driver: string
  readonly cacheDir?: string
  readonly cacheSize?: string
  readonly writeBack?: true
  readonly xattr: boolean
  readonly prefetchFiles: boolean
  readonly onConflict?: string
  readonly locks: string
  readonly logFile?: string
  readonly logLevel?: string
  readonly statsFile?: string
  readonly metricsListen?: string
  readonly otlpEndpoint?: string
  readonly statsDir?: string | true
  readonly healthFile?: string
  readonly accessLog?: string
  readonly slow: string
  readonly prices?: string
  readonly allow?: string | readonly string[]
  readonly deny?: string | readonly string[]
  readonly at?: string
  readonly snapshot?: string
  readonly failover?: true
  readonly serveLauncher?: true
  readonly serveKept?: KeptRole
}

/** The flags checked; file names absolute, as the daemon leaves its working directory. */
export interface DriveSettings {
  readonly directory: string
  readonly readOnly: boolean
  /** Whether nobody changes what it shows: names and attributes are believed for ever. */
  readonly immutable: boolean
  readonly allowOther: boolean
  readonly nonEmpty: boolean
  readonly uid: number
  readonly gid: number
  readonly fileMode: number
  readonly dirMode: number
  /** What becomes of metadata of modes, owners and times. */
  readonly posixAttrs: PosixUse
  readonly attrTtlMs: number
  /** How often the account's change feed is read; milliseconds; absent: it is not. */
  readonly changeFeedMs: number | undefined
  /** The past that it shows; the present when absent. */
  readonly moment: Moment | undefined
  /** 0 with `--hard`: calls wait for ever. */
  readonly timeoutMs: number
  /** How long mounting goes on without an answer of anybody. */
  readonly startTimeoutMs: number
  /** Whether a GET that is late is sent once more. */
  readonly hedge: boolean
  /** What is shown of it, where not all is. */
  readonly hiding: Hiding | undefined
  /** Bytes a second of all drives of the daemon, and requests; absent: no limit. */
  readonly maxReadRate: number | undefined
  readonly maxWriteRate: number | undefined
  readonly maxRequestsPerSecond: number | undefined
  /** Of files that are new; absent: the container's. */
  readonly encryptionScope: string | undefined
  /** Bytes of blobs that `--cache-dir` may hold; 0 keeps none there, as by default with a key of the customer's. */
  readonly cacheBytes: number
  readonly writeBack: boolean
  readonly xattrs: boolean
  /** Whether small files are fetched before they are opened. */
  readonly prefetchFiles: boolean
  readonly onConflict: ConflictPolicy
  /** How far locks of flock(2) reach. */
  readonly locks: 'local' | 'lease'
  /** Where journals are kept when there is no `--cache-dir`. */
  readonly stateDirectory: string
  /** Whether the drive outlives its daemon. */
  readonly failover: boolean
  /** What speaks to the kernel. */
  readonly driver: 'native' | 'fuse-native'
  /** Whether the kernel may read files by itself that lie whole in the cache. */
  readonly passthrough: boolean
  /** Standard error when absent: in the foreground, unless a file was asked for. */
  readonly logFile: string | undefined
  readonly statsFile: string | undefined
  /** Where metrics are served; nowhere when absent. */
  readonly metricsListen: { readonly host: string; readonly port: number } | undefined
  /** Where metrics are sent; nowhere when absent. */
  readonly otlp: OtlpSettings | undefined
  /** What of the variables of OpenTelemetry cannot be used. */
  readonly whyNoOtlp: string | undefined
  readonly healthFile: string | undefined
  /** The directory of reports at the top of the drive; none when absent. */
  readonly statsDir: string | undefined
  readonly accessLog: string | undefined
  /** Calls that take longer are warned of in the log; milliseconds; 0 warns of none. */
  readonly slowMs: number
  /** What requests are estimated by. */
  readonly prices: Prices
}

/** Checks the flags of `abfs mount`; throws a usage error that names the one at fault. */
export function parseDriveSettings(
  directories: readonly string[],
  flags: MountFlags,
  environment: Environment,
  isAll = false,
): DriveSettings {
  const [directory = ''] = directories
  if ((isAll || directories.length > 1) && flags.healthFile !== undefined) {
    throw usageError('--health-file is of one drive: /health of --metrics-listen tells of several')
  }
  const inForeground = flags.foreground === true
  const logFile = placeOf('--log-file', flags.logFile)
  const moment = parseMoment(flags, systemClock.nowMs())
  // What was is not written to, and does not change.
  const immutable = flags.immutable === true
  const readOnly = flags.readOnly === true || immutable || moment !== undefined
  const attrTtlMs = parseSeconds('--attr-ttl', flags.attrTtl) * 1000
  // What it encrypts at Azure would lie in --cache-dir as it is read: only for who says how much.
  const hasKey = hasCustomerKey(flags.encryptionKeyFile, environment)
  return {
    directory: resolve(directory),
    readOnly,
    immutable,
    moment,
    allowOther: flags.allowOther === true,
    nonEmpty: flags.nonEmpty === true,
    uid: parseInteger('--uid', flags.uid ?? String(process.getuid?.() ?? 0), 10),
    gid: parseInteger('--gid', flags.gid ?? String(process.getgid?.() ?? 0), 10),
    fileMode: parseMode('--file-mode', flags.fileMode),
    dirMode: parseMode('--dir-mode', flags.dirMode),
    posixAttrs: parsePosixUse(flags.posixAttrs),
    attrTtlMs: immutable || moment !== undefined ? Math.max(attrTtlMs, pastTtlMs) : attrTtlMs,
    changeFeedMs: parseChangeFeed(flags),
    timeoutMs: flags.hard === true ? 0 : parseTimeout('--timeout', flags.timeout),
    startTimeoutMs: parseTimeout('--start-timeout', flags.startTimeout),
    hedge: flags.hedge === true,
    hiding: parseHiding(flags, readOnly, moment),
    maxReadRate: parseRate('--max-read-rate', flags.maxReadRate),
    maxWriteRate: parseRate('--max-write-rate', flags.maxWriteRate),
    maxRequestsPerSecond: parseRequestRate(flags.maxRequestsPerSecond),
    encryptionScope: parseScope(flags.encryptionScope, hasKey),
    cacheBytes:
      hasKey && flags.cacheSize === undefined
        ? 0
        : parseSize('--cache-size', flags.cacheSize ?? '10G'),
    writeBack: flags.writeBack === true,
    xattrs: flags.xattr,
    prefetchFiles: flags.prefetchFiles,
    onConflict: parsePolicy(flags.onConflict ?? 'error'),
    locks: parseLocks(flags),
    stateDirectory: stateDirectory(environment),
    driver: parseDriver(flags.driver),
    failover: flags.failover === true,
    passthrough: readOnly && flags.passthrough && flags.failover !== true,
    logFile: logFile ?? (inForeground ? undefined : defaultLogFile(directory, environment)),
    statsFile: placeOf('--stats-file', flags.statsFile),
    metricsListen: parseListen('--metrics-listen', flags.metricsListen),
    ...chooseOtlp(flags.otlpEndpoint, environment),
    healthFile: placeOf('--health-file', flags.healthFile),
    statsDir: parseStatsDir(flags),
    accessLog: placeOf('--access-log', flags.accessLog),
    slowMs: parseSeconds('--slow', flags.slow) * 1000,
    prices: flags.prices === undefined ? listPrices : parsePrices(flags.prices),
  }
}

/** What the kernel is told of what does not change is good for an hour, where no listing says longer: it forgets by itself what it has no room for. */
const pastTtlMs = 3_600_000

/**
 * Where a file is written that somebody has named, absolute: the daemon leaves its working directory. A directory that
 * is missing is a mistyped name more often than one that is to be made.
 */
function placeOf(flag: string, file: string | undefined): string | undefined {
  if (file === undefined) return undefined
  const place = resolve(file)
  const directory = dirname(place)
  const found = statSync(directory, { throwIfNoEntry: false })
  if (found?.isDirectory() !== true) {
    throw usageError(`${flag} ${file}: there is no directory ${directory}`)
  }
  if (statSync(place, { throwIfNoEntry: false })?.isDirectory() !== true) return place
  throw usageError(`${flag} must be a file, and ${place} is a directory`)
}

/** One name, which a blob could have. */
function parseStatsDir({ statsDir: name, driver }: MountFlags): string | undefined {
  if (name === undefined) return undefined
  if (driver !== 'native') {
    throw usageError(
      '--stats-dir needs the native driver: fuse-native reads no file of unknown size',
    )
  }
  const chosen = name === true ? '.abfs' : name
  const isName = !/^\.{0,2}$|[\0/]/.test(chosen) && Buffer.byteLength(chosen) <= 255
  if (isName) return chosen
  throw usageError(`--stats-dir must be one name such as .abfs, not '${chosen}'`)
}

/** `HOST:PORT`, or a port of the loopback. */
function parseListen(flag: string, text: string | undefined): DriveSettings['metricsListen'] {
  if (text === undefined) return undefined
  const [, ipv6, name, digits = ''] = /^(?:\[(.+)\]:|([^:]+):)?(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (digits !== '' && port <= 65_535) return { host: ipv6 ?? name ?? '127.0.0.1', port }
  throw usageError(`${flag} must be HOST:PORT such as 127.0.0.1:9464, not '${text}'`)
}

/** One log per drive; the hash tells apart directories of the same name. */
function defaultLogFile(directory: string, environment: Environment): string {
  const place = resolve(directory)
  const hash = createHash('sha256').update(place).digest('hex').slice(0, 8)
  return join(stateDirectory(environment), `mount-${basename(place)}-${hash}.log`)
}

function parseChangeFeed({ changeFeed, driver }: MountFlags): number | undefined {
  if (changeFeed === undefined) return undefined
  if (driver === 'fuse-native') {
    throw usageError(
      '--change-feed needs the native driver: fuse-native cannot have the kernel forget',
    )
  }
  const seconds = changeFeed === true ? 60 : Number(changeFeed)
  if (seconds >= 1 && seconds <= 86_400) return seconds * 1000
  throw usageError(
    `--change-feed must be seconds from 1 to 86400 between readings, not '${changeFeed}'`,
  )
}

function parsePolicy(text: string): ConflictPolicy {
  const policy = policies.find((each) => each === text)
  if (policy !== undefined) return policy
  throw usageError(`--on-conflict must be one of ${policies.join(', ')}, not '${text}'`)
}

function parseScope(text: string | undefined, hasKey: boolean): string | undefined {
  if (text !== undefined && hasKey) {
    throw usageError(
      '--encryption-scope and a key (--encryption-key-file, ABFS_ENCRYPTION_KEY_FILE or ABFS_ENCRYPTION_KEY) exclude each other: leave one out',
    )
  }
  if (text === undefined || scopePattern.test(text)) return text
  throw usageError(`--encryption-scope must be 3 to 63 letters, digits and hyphens, not '${text}'`)
}

function parsePosixUse(text: string): PosixUse {
  if (text === 'off' || text === 'read' || text === 'write') return text
  throw usageError(`--posix-attrs must be off, read or write, not '${text}'`)
}

/** Locks that others are to obey need that what was written under them is stored when they end. */
function parseLocks({ locks, writeBack, driver }: MountFlags): DriveSettings['locks'] {
  if (locks === 'local') return locks
  if (locks !== 'lease') throw usageError(`--locks must be local or lease, not '${locks}'`)
  if (writeBack === true) throw usageError('--locks lease stores at close: leave out --write-back')
  if (driver === 'native') return locks
  throw usageError('--locks lease needs the native driver: fuse-native is not told of locks')
}

const policies: readonly ConflictPolicy[] = ['error', 'ours', 'theirs', 'rename']

/** A number of bytes, or of the unit behind it: `10G` are ten gibibytes. */
export function parseSize(flag: string, text: string): number {
  const bytes = parseByteCount(text)
  // A number without a unit is bytes, and hardly meant so.
  if (bytes !== undefined && bytes >= MiB) return bytes
  throw usageError(`${flag} must be a size of 1M or more such as 10G or 512M, not '${text}'`)
}

/** A file that is hidden could be replaced, and a directory removed that is not empty: only where nothing is changed. */
function parseHiding(
  flags: MountFlags,
  readOnly: boolean,
  moment: Moment | undefined,
): Hiding | undefined {
  const { include = [], exclude = [], filter } = flags
  const hiding = { include, exclude, filter }
  if (shownBy(hiding) === undefined) return undefined
  if (moment !== undefined && hidesByTags(hiding)) {
    throw usageError('--filter has tag, and index tags are of the present: leave out --at, or tag')
  }
  if (readOnly) return hiding
  const flag = include.length > 0 ? 'include' : exclude.length > 0 ? 'exclude' : 'filter'
  throw usageError(`--${flag} hides files, which is for drives that are read-only: add --read-only`)
}

function parseRate(flag: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseSize(flag, text.replace(/\/s$/, ''))
}

function parseRequestRate(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const perSecond = Number(text)
  if (text.trim() !== '' && Number.isFinite(perSecond) && perSecond >= 1) return perSecond
  throw usageError(`--max-requests-per-second must be a number from 1 on, not '${text}'`)
}

/** A number of seconds, not negative. */
export function parseSeconds(flag: string, text: string): number {
  const seconds = Number(text)
  if (text.trim() !== '' && Number.isFinite(seconds) && seconds >= 0) return seconds
  throw usageError(`${flag} must be a number of seconds, not '${text}'`)
}

function parseDriver(text: string): DriveSettings['driver'] {
  if (text === 'native' || text === 'fuse-native') return text
  throw usageError(`--driver must be native or fuse-native, not '${text}'`)
}

function parseTimeout(flag: '--timeout' | '--start-timeout', text: string): number {
  const seconds = parseSeconds(flag, text)
  if (seconds > 0) return Math.ceil(seconds * 1000)
  const advice = flag === '--timeout' ? '; calls that wait for ever are --hard' : ''
  throw usageError(`${flag} must be more than 0 seconds${advice}`)
}

function parseMode(flag: string, text: string): number {
  const mode = parseInteger(flag, text, 8)
  if (mode <= 0o777) return mode
  throw usageError(`${flag} must be permission bits such as 644, not '${text}'`)
}

function parseInteger(flag: string, text: string, radix: 8 | 10): number {
  const digits = radix === 8 ? /^[0-7]{1,4}$/ : /^\d{1,10}$/
  const value = digits.test(text) ? Number.parseInt(text, radix) : Number.NaN
  // The last one of 32 bits means nobody, to chown(2).
  if (value < 0xffff_ffff) return value
  const what = radix === 8 ? 'permission bits such as 644' : 'a number'
  throw usageError(`${flag} must be ${what}, not '${text}'`)
}
