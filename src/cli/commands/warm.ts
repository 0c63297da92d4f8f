import type { Command } from 'commander'
import { formatPath } from '../../path.ts'
import type { FaultEvent } from '../../telemetry.ts'
import type { VersionKey } from '../../transfer/disk-cache.ts'
import type { Account } from '../compose.ts'
import { addConnectionOptions, type CliContext } from '../context.ts'
import type { FilesPlace } from '../drive/cached-files.ts'
import type { Warmed } from '../drive/warm.ts'
import { ExitStatus, exitCodes } from '../exit-codes.ts'
import { formatBytes, formatCount, printable } from '../output.ts'
import { describeError } from '../report-error.ts'
import { withAccount } from '../session.ts'
import { usageError } from '../usage.ts'

interface WarmFlags {
  readonly manifest?: string
  readonly json?: true
  /** Of `abfs pin`. */
  readonly list?: true
}

const HELP = `
Drives and libraries that use the same directory and size read those files from it, without a
request for their bytes, as long as they are the same version.

Examples:
  abfs warm abfs://datasets/train --cache-dir /var/cache/abfs
  abfs warm /mnt/datasets train/a.bin validation     by the directory of a drive
  abfs warm abfs://datasets 'train/**/*.parquet'     what matches; the shell is to leave it as it is
  abfs warm abfs://datasets --manifest epoch-1.txt   one path a line, in the order of use`

/** Adds `abfs warm`. */
export function defineWarm(program: Command, context: CliContext): void {
  const command = program
    .command('warm')
    .description('Fetch files into a disk cache before they are read.')
    .argument('<place>', 'abfs://CONTAINER[/PATH], or a directory of a drive')
    .argument('[path...]', 'files, directories and patterns below it (default: all)')
    .option('--manifest <file>', 'paths below it, one a line, in this order; - is standard input')
    .option(
      '--cache-dir <directory>',
      'the cache to fill (ABFS_CACHE_DIR; default: that of the drive)',
    )
    .option('--cache-size <size>', 'how much it holds; as given to the drive (default: 10G)')
    .option('--json', 'print one JSON object')
    .addHelpText('after', HELP)
    .action((place: string, paths: string[], flags: WarmFlags) =>
      warmPlace({ place, paths, flags }, command, context),
    )
  addConnectionOptions(command)
}

const PIN_HELP = `
Fetches as abfs warm does, and keeps what it fetched whatever else needs room: pinned versions go by abfs unpin
alone. When a file is replaced in Azure, pin it again: the old version is let go. At most eight tenths of
--cache-size can be pinned.

Examples:
  abfs pin abfs://models/base --cache-dir /var/cache/abfs
  abfs pin /mnt/datasets train/index.bin             in the cache of that drive
  abfs pin --list /mnt/datasets
  abfs pin --list --cache-dir /var/cache/abfs`

/** Adds `abfs pin`. */
export function definePin(program: Command, context: CliContext): void {
  const command = program
    .command('pin')
    .description('Fetch files into a disk cache and keep them there.')
    .argument('[place]', 'abfs://CONTAINER[/PATH], or a directory of a drive')
    .argument('[path...]', 'files, directories and patterns below it (default: all)')
    .option('--list', 'what is pinned, or of the place, and how much is there; asks Azure nothing')
    .option('--manifest <file>', 'paths below it, one a line; - is standard input')
    .option('--cache-dir <directory>', 'the cache (ABFS_CACHE_DIR; default: that of the drive)')
    .option('--cache-size <size>', 'how much it holds; as given to the drive (default: 10G)')
    .option('--json', 'print one JSON object, or with --list one array')
    .addHelpText('after', PIN_HELP)
    .action(async (place: string | undefined, paths: string[], flags: WarmFlags) => {
      if (flags.list === true) {
        if (paths.length > 0) throw usageError('--list takes one place: it lists all below it')
        const { listPinned } = await import('../drive/pinned-files.ts')
        return listPinned({ place, json: flags.json === true }, command, context)
      }
      if (place === undefined) throw usageError('name a place, or --list')
      return warmPlace({ place, paths, flags, pin: true }, command, context)
    })
  addConnectionOptions(command)
}

interface WarmArguments {
  readonly pin?: boolean
  readonly place: string
  readonly paths: readonly string[]
  readonly flags: WarmFlags
}

async function warmPlace(
  { place, paths, flags, pin = false }: WarmArguments,
  command: Command,
  context: CliContext,
): Promise<void> {
  const { cacheOf, placeOf, readManifest } = await import('../drive/cached-files.ts')
  const { warm } = await import('../drive/warm.ts')
  const { DiskCache } = await import('../../transfer/disk-cache.ts')
  const url = placeOf(place, context)
  const { signal } = context
  const settings = await cacheOf(command, context, url)
  const { maxBytes } = settings
  const cache = new DiskCache(settings)
  const listed = flags.manifest === undefined ? [] : await readManifest(flags.manifest, context)
  const wanted = [...paths, ...listed]
  if (wanted.length === 0 && flags.manifest === undefined) wanted.push('')
  let failures = 0
  const whyNotKept = await firstCacheFault()
  const onFailure = (what: string, error: unknown): void => {
    failures += 1
    const kept = pin ? 'pinned' : 'warmed'
    // Without a path of its own it is the place that failed.
    const name = what === '' ? place : what
    context.stderr.write(`abfs: not ${kept}: ${printable(name)}: ${describeError(error).line}\n`)
  }
  const done = await withAccount(
    command,
    context,
    { access: 'read', urls: [url] },
    async (account) => {
      const versions = await versionsOf(account, { root: url, wanted, signal, onFailure })
      checkRoom(versions, maxBytes)
      if (pin) {
        const { pinAll } = await import('../drive/pinned-files.ts')
        await pinAll(cache, versions, maxBytes)
      }
      const failed = ({ path }: VersionKey, error: unknown) => onFailure(formatPath(path), error)
      return warm(account, versions, { cache, signal, onFailure: failed })
    },
  ).finally(() => cache.close())
  if (flags.json === true) await context.stdout.json({ ...done, failures })
  else await context.stdout.line(describe(done))
  if (done.lostBytes > 0) {
    const why = whyNotKept() ?? 'others needed the room'
    context.stderr.write(`abfs: not kept in the cache: ${printable(why)}\n`)
  }
  if (failures > 0 || done.lostBytes > 0) throw new ExitStatus(exitCodes.failure)
}

/** Tells what the cache first failed of since; it fails nobody who reads, so that nobody is told. */
async function firstCacheFault(): Promise<() => string | undefined> {
  const { subscribe } = await import('node:diagnostics_channel')
  const { faultChannel } = await import('../../telemetry.ts')
  let first: string | undefined
  subscribe(faultChannel.name, (message) => {
    const { operation, path, error } = message as FaultEvent
    if (operation.startsWith('cache.')) first ??= `${path}: ${describeError(error).line}`
  })
  return () => first
}

interface Wanted {
  readonly root: FilesPlace
  readonly wanted: readonly string[]
  readonly signal: AbortSignal
  readonly onFailure: (path: string, error: unknown) => void
}

/** Each version once, in the order of `wanted`. */
async function versionsOf(
  account: Account,
  { root, wanted, signal, onFailure }: Wanted,
): Promise<VersionKey[]> {
  const { filesAt, versionOf } = await import('../drive/cached-files.ts')
  const { container } = root
  const versions = new Map<string, VersionKey>()
  for (const path of wanted) {
    try {
      for await (const file of filesAt(account, root, { path, signal })) {
        const version = versionOf(account, container, file)
        if (version !== undefined) versions.set(file.name, version)
      }
    } catch (error) {
      signal.throwIfAborted()
      onFailure(path, error)
    }
  }
  return [...versions.values()]
}

/** What does not fit would drive out what was fetched first. */
function checkRoom(versions: readonly VersionKey[], maxBytes: number): void {
  const bytes = versions.reduce((total, { sizeBytes }) => total + sizeBytes, 0)
  if (bytes <= maxBytes * 0.9) return
  throw usageError(
    `${formatBytes(bytes)} are asked for: more than nine tenths of --cache-size ${formatBytes(maxBytes)}`,
  )
}

function describe({ files, bytes, foundBytes, lostBytes }: Warmed): string {
  const lost = lostBytes === 0 ? '' : `; ${formatBytes(lostBytes)} could not be kept`
  const fetched = formatBytes(bytes - foundBytes)
  return `${formatCount(files, 'file')}, ${formatBytes(bytes)}: ${fetched} fetched, ${formatBytes(foundBytes)} there before${lost}`
}
