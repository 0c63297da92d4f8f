import { resolve } from 'node:path'
import type { Command } from 'commander'
import { addConnectionOptions, type CliContext } from '../context.ts'
import type { DriveSettings, MountFlags } from '../drive/drive-options.ts'
import {
  addBeliefs,
  addOwnerOptions,
  addProcessOptions,
  addReportOptions,
  addRestraints,
} from '../drive/mount-flags.ts'
import type { PlanOptions } from '../drive/plan.ts'
import type { DrivePlace } from '../drive/serve.ts'
import { parseRemote } from '../location.ts'
import { usageError } from '../usage.ts'

const HELP = `
Returns once the drive answers and the credentials have been tried; a process in the background
serves it until it is unmounted. close(2) and fsync(2) succeed only when Azure has the data.

Examples:
  abfs mount abfs://datasets /mnt/datasets --read-only
  abfs mount abfs://models/run-7 ./run-7
  abfs mount all /mnt/account --deny 'tmp-*'               every container, each in a directory
  abfs mount abfs://a /mnt/a abfs://b /mnt/b               one process serves both
  abfs mount abfs://datasets /mnt/then --at 2026-08-01T00:00:00Z
  abfs mount abfs://datasets /mnt/datasets --plan         check everything, mount nothing
  abfs mount abfs://datasets /mnt/datasets --foreground   log on the terminal, Ctrl-C unmounts
  abfs unmount /mnt/datasets

The log is in ~/.local/state/abfs unless --log-file names another. SIGTERM and SIGINT unmount; a second one
detaches the drive even while it is in use. SIGHUP opens the log and --access-log anew, for logrotate; in the
foreground of a terminal it unmounts. SIGUSR2 writes --stats-file.`

/** Adds `abfs mount`. */
export function defineMount(program: Command, context: CliContext): void {
  const command = program
    .command('mount')
    .description('Show a container, or a directory in one, as a drive.')
    .argument(
      '[place...]',
      'abfs://CONTAINER[/PATH] and an existing, empty directory, or /dev/fd/N (see docs/drive.md); more pairs may follow',
    )
    .option('-r, --read-only', 'refuse every change (and ask for credentials to read only)')
    .option('--immutable', 'read-only, and nobody changes it: nothing is asked for twice')
    .option('--allow-other', 'let other users in, as permissions allow')
    .option('--non-empty', 'mount over a directory that has files, hiding them')
    .option('-f, --foreground', 'stay attached to the terminal')
    .option(
      '--at <time>',
      'show what was there then, by the versions that the account keeps; read-only',
    )
    .option('--snapshot <time>', 'show the last snapshots that were taken by then; read-only')
    .option('--allow <pattern...>', 'of mount all: only these containers; * and ? stand for any')
    .option('--deny <pattern...>', 'of mount all: not these')
  addOwnerOptions(command)
  addBeliefs(command)
  command
    .option('--timeout <seconds>', 'how long a call may go without progress', '60')
    .option('--start-timeout <seconds>', 'how long mounting goes on without an answer', '20')
    .option('--encryption-scope <name>', 'encrypts files that are new; others keep their own')
    .option('--hedge', 'send a read that is late once more, for a few of a hundred')
    .option('--hard', 'let calls wait for ever instead')
    .option(
      '--cache-dir <directory>',
      'where what was read is kept, and what is being written (ABFS_CACHE_DIR)',
    )
    .option('--cache-size <size>', 'how much of what was read --cache-dir holds (default: 10G)')
    .option(
      '--write-back',
      'close(2) waits for the local journal only; the next mount stores the rest',
    )
    .option('--no-xattr', 'no extended attributes')
    .option('--no-prefetch-files', 'fetch no small files before they are opened')
    .option('--locks <reach>', 'flock(2) for this machine (local) or all (lease)', 'local')
    .option('--on-conflict <policy>', 'error, ours, theirs or rename (default: error)')
    .option('--driver <name>', 'native, or fuse-native (see docs/fuse-native.md)', 'native')
    .option('--no-passthrough', 'the kernel reads no cached file of a read-only drive by itself')
    .option(
      '--plan [probes]',
      'mount nothing: check all that a mount needs; --plan=write tries to write, tag and delete too',
    )
    .option('--config-file <file>', 'settings in blobfuse2’s YAML; flags beat them')
    .option('--json', 'print the plan as one JSON object')
    .addHelpText('after', HELP)
    .usage('[options] <url> <directory> [<url> <directory> ...]')
    .action(async (words: string[]) => {
      const { configFile } = command.opts<MountCommandFlags>()
      const given = await fromVariables(words, configFile !== undefined, context)
      const places =
        configFile === undefined ? given : await placesOf(given, configFile, command, context)
      return mount(argumentsOf(places, command.opts<MountCommandFlags>()), command, context)
    })
  addRestraints(command)
  addProcessOptions(command)
  addReportOptions(command)
  addConnectionOptions(command)
}

interface MountCommandFlags extends MountFlags {
  /** `true` without a value; the place that follows it is taken for one. */
  readonly plan?: string | true
  readonly json?: true
  readonly configFile?: string
}

interface MountArguments {
  readonly plan: 'no' | 'read' | 'write'
  /** A URL and a directory, again and again. */
  readonly places: readonly string[]
  readonly flags: MountFlags
}

/** What blobfuse2's variables say and nothing else does; the container too, where no file may name it. */
async function fromVariables(
  words: readonly string[],
  hasFile: boolean,
  { environment }: CliContext,
): Promise<readonly string[]> {
  const variables = await import('../drive/blobfuse-variables.ts')
  // Identities are looked for in the process's own variables.
  variables.adoptBlobfuseVariables(process.env)
  variables.checkAuthType(environment)
  const container = variables.containerOf(environment)
  const isAlone = words.length === 1 && !hasFile && words[0]?.includes('://') === false
  if (!isAlone || words[0] === 'list' || container === undefined) return words
  return [container, ...words]
}

/** Sets what `file` says and no flag does; the place that it names goes first where none is given. */
async function placesOf(
  given: readonly string[],
  file: string,
  command: Command,
  { environment }: CliContext,
): Promise<readonly string[]> {
  const { readFile } = await import('node:fs/promises')
  const { parseBlobfuseConfig } = await import('../drive/blobfuse-config.ts')
  const { url, settings } = parseBlobfuseConfig(await readFile(file, 'utf8'), file, environment)
  for (const { flag, value, key } of settings) {
    if (command.getOptionValueSource(flag) === 'cli') continue
    command.setOptionValueWithSource(flag, value, `${file}: ${key}`)
  }
  const { plan, statsDir, changeFeed } = command.opts<MountCommandFlags>()
  const isNamed = [...given, plan, statsDir, changeFeed].some(
    (each) => typeof each === 'string' && each.includes('://'),
  )
  const isWhole = isNamed || given[0] === 'all' || url === undefined
  return isWhole ? given : [url, ...given]
}

/** Gives back the place that `--plan`, `--stats-dir` or `--change-feed` took for its value: `--plan abfs://data /mnt`. */
function argumentsOf(
  given: readonly string[],
  { plan, statsDir, changeFeed, ...others }: MountCommandFlags,
): MountArguments {
  const places = [...given]
  const giveBack = (place: string): void => {
    if (place.includes('://')) places.unshift(place)
    else places.push(place)
  }
  if (typeof plan === 'string' && plan !== 'read' && plan !== 'write') giveBack(plan)
  /** `undefined` for a flag that was not given. */
  const ownValue = (value: string | true | undefined): string | true | undefined => {
    if (typeof value !== 'string' || !value.includes('/')) return value
    giveBack(value)
    return true
  }
  const [stats, feed] = [ownValue(statsDir), ownValue(changeFeed)]
  const flags = {
    ...others,
    ...(stats === undefined ? {} : { statsDir: stats }),
    ...(feed === undefined ? {} : { changeFeed: feed }),
  }
  if (places.length === 0) throw usageError("missing required argument 'url'")
  if (places.length === 1 && places[0] !== 'list')
    throw usageError("missing required argument 'directory'")
  if (plan === undefined && flags.json === true) throw usageError('--json is for --plan')
  const isReadOnly = [flags.readOnly, flags.immutable, flags.at, flags.snapshot].some(
    (flag) => flag !== undefined,
  )
  if (plan === 'write' && isReadOnly) {
    throw usageError(
      'a drive that is --read-only, or shows the past, writes nothing: leave out =write',
    )
  }
  return { places, flags, plan: plan === undefined ? 'no' : plan === 'write' ? 'write' : 'read' }
}

async function mount(given: MountArguments, command: Command, context: CliContext): Promise<void> {
  const { serveLauncher, serveKept } = given.flags
  if (serveLauncher !== true && serveKept === undefined) return mountPlaces(given, command, context)
  const { withSecrets } = await import('../drive/launched-secrets.ts')
  const environment = await withSecrets(context.environment)
  return mountPlaces(given, command, { ...context, environment })
}

async function mountPlaces(
  { places: words, flags, plan }: MountArguments,
  command: Command,
  context: CliContext,
): Promise<void> {
  if (words.length === 1 && words[0] === 'list') return listDrives(context)
  const { parseDriveSettings } = await import('../drive/drive-options.ts')
  const isAll = words[0] === 'all'
  if (!isAll && (flags.allow ?? flags.deny) !== undefined) {
    throw usageError('--allow and --deny choose containers of mount all')
  }
  const directories = words.filter((_, index) => index % 2 !== 0).map((word) => resolve(word))
  const { refuseBesideFailover, refuseContradictions } = await import('../drive/contradictions.ts')
  refuseContradictions({
    isTyped: (flag) => command.getOptionValueSource(flag) === 'cli',
    hasCacheDir: Boolean(flags.cacheDir ?? context.environment['ABFS_CACHE_DIR']),
    directories,
    isAll,
  })
  const settings = parseDriveSettings(directories, flags, context.environment, isAll)
  refuseBesideFailover(settings, directories, isAll)
  const { serveKept: keptRole } = flags
  const isStarted = flags.foreground === true || flags.serveLauncher === true
  const isLauncher = plan === 'no' && !isStarted && keptRole === undefined
  // A mistake is told at once; which containers there are is the daemon's to find out.
  if (!isAll) placesIn(words)
  const places = async () =>
    isAll
      ? containersIn(words, { flags, settings, isPlan: plan !== 'no' }, command, context)
      : placesIn(words)
  if (plan !== 'no') {
    for (const place of await places()) {
      await showPlanOf(
        place,
        { settings, write: plan === 'write', isMade: isAll },
        command,
        context,
      )
    }
    return
  }
  const descriptors = await givenIn(directories)
  if (isLauncher) return launch(words, { settings, descriptors }, context)
  const forLauncher = flags.serveLauncher === true || keptRole !== undefined
  if (settings.failover && keptRole === undefined) {
    return keep(settings, forLauncher, command, context)
  }
  const { serveDrives } = await import('../drive/serve.ts')
  const below = isAll ? directories[0] : undefined
  await serveDrives({ places, settings, below, forLauncher, keptRole }, command, context)
}

/** Has another process serve the drive, and others after it. */
async function keep(
  { logFile }: DriveSettings,
  forLauncher: boolean,
  command: Command,
  context: CliContext,
): Promise<void> {
  const { keepDrive } = await import('../drive/keeper.ts')
  const { openLog } = await import('../drive/log.ts')
  const { configOf } = await import('../context.ts')
  const { logLevel: level } = await configOf(command, context)
  const log = openLog({ level, file: logFile })
  await keepDrive({ argv: process.argv.slice(2), forLauncher, log, context })
}

interface Launched {
  readonly settings: DriveSettings
  readonly descriptors: readonly number[]
}

/** As blobfuse2 has it. */
async function listDrives(context: CliContext): Promise<void> {
  const { status } = await import('./status.ts')
  await status(context)
}

async function containersIn(
  words: readonly string[],
  {
    flags: { allow, deny, serveLauncher },
    settings,
    isPlan,
  }: {
    readonly flags: MountFlags
    readonly settings: DriveSettings
    readonly isPlan: boolean
  },
  command: Command,
  context: CliContext,
): Promise<readonly DrivePlace[]> {
  const [, directory = '', excess] = words
  if (excess !== undefined) throw usageError(`mount all takes one directory, not also ${excess}`)
  const { everyContainer } = await import('../drive/every-container.ts')
  const { makeMountpoints } = await import('../drive/made-mountpoints.ts')
  const choice = { allow: patternsOf(allow), deny: patternsOf(deny) }
  const { tellStarter } = await import('../drive/launch.ts')
  const { systemClock } = await import('../../clock.ts')
  const patience = {
    timeoutMs: settings.startTimeoutMs,
    tell: tellStarter(context.stderr, serveLauncher),
    clock: systemClock,
  }
  const places = await everyContainer(resolve(directory), choice, patience, command, context)
  // A plan changes nothing.
  return isPlan ? places : makeMountpoints(places)
}

/** Patterns one a word, or with commas between. */
function patternsOf(words: MountFlags['allow']): readonly string[] | undefined {
  return words === undefined ? undefined : [words].flat().flatMap((word) => word.split(','))
}

/** Places in pairs; each a container, or a directory in one. */
function placesIn(words: readonly string[]): DrivePlace[] {
  if (words.length % 2 !== 0) {
    throw usageError(`too many arguments for 'mount': ${words.at(-1)} (write URL DIRECTORY pairs)`)
  }
  return words.flatMap((text, index) => {
    if (index % 2 !== 0) return []
    const directory = words[index + 1] ?? ''
    if (/^(abfss?|https?):\/\//.test(directory)) {
      throw usageError(`'${directory}' stands where a directory should: write URL DIRECTORY pairs`)
    }
    const url = parseRemote(text)
    if (url.container !== '') return [{ url, directory: resolve(directory) }]
    throw usageError('a drive shows one container: write abfs://CONTAINER[/PATH], or mount all')
  })
}

async function showPlanOf(
  { url, directory }: DrivePlace,
  options: Omit<PlanOptions, 'url'>,
  command: Command,
  context: CliContext,
): Promise<void> {
  const { planDrive } = await import('../drive/plan.ts')
  const { showPlan } = await import('../drive/plan-view.ts')
  const settings = { ...options.settings, directory }
  const planned = await planDrive({ ...options, url, settings }, command, context)
  await showPlan(planned, command.opts<MountCommandFlags>().json === true, context)
}

/** Connections that others have mounted; what is none is told before anybody is asked for credentials. */
async function givenIn(directories: readonly string[]): Promise<readonly number[]> {
  const { givenDescriptor } = await import('../../fuse/given-place.ts')
  const descriptors = directories.map(givenDescriptor).filter((each) => each !== undefined)
  if (descriptors.length === 0) return []
  const { checkGiven } = await import('../../fuse/given-connection.ts')
  descriptors.forEach(checkGiven)
  return descriptors
}

async function launch(
  words: readonly string[],
  { settings, descriptors }: Launched,
  context: CliContext,
): Promise<void> {
  const { launchDaemon } = await import('../drive/launch.ts')
  const logFile = settings.logFile ?? ''
  const { signal, stderr } = context
  await launchDaemon({ argv: process.argv.slice(2), logFile, descriptors, stderr, signal })
  if (!context.stdout.isTerminal) return
  for (let index = 0; index < words.length; index += 2) {
    const [source = '', directory = ''] = words.slice(index)
    await context.stdout.line(`mounted ${source} on ${resolve(directory)}; log: ${logFile}`)
  }
}
