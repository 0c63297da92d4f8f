import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import type { UnsavedFile } from '../drive/drive-report.ts'
import type { Unmounted, UnmountOptions } from '../drive/unmount-drive.ts'
import { ExitStatus, exitCodes } from '../exit-codes.ts'
import { printable } from '../output.ts'
import { describeError } from '../report-error.ts'
import { usageError } from '../usage.ts'

interface UnmountFlags {
  readonly all?: true
  readonly lazy?: true
  readonly wait: string
  readonly json?: true
}

const EXAMPLES = `
Returns once the drive is gone and its daemon has sent everything and ended. Files that it could not store are
named, with where they are kept; the command then ends with 1.

Examples:
  abfs unmount /mnt/datasets
  abfs unmount --all                     every drive of yours, and those whose daemons died
  abfs unmount /mnt/account               all that mount all has put there
  abfs unmount --lazy /mnt/datasets      detach at once; programs keep their open files
  abfs unmount --json /mnt/datasets | jq -r '.unsaved[].place'`

/** Adds `abfs unmount`. */
export function defineUnmount(program: Command, context: CliContext): void {
  program
    .command('unmount')
    .alias('umount')
    .description('Unmount drives and wait until all that was written is stored.')
    .argument('[directory...]', 'where drives are mounted')
    .option('-a, --all', 'every drive of this user, and those whose daemons died')
    .option('-z, --lazy', 'detach at once, even while files are open')
    .option('--wait <seconds>', 'how long the daemon may take to send what it holds', '300')
    .option('--json', 'print one JSON object a drive')
    .addHelpText('after', EXAMPLES)
    .action((directories: string[], flags: UnmountFlags) => unmount(directories, flags, context))
}

async function unmount(
  given: readonly string[],
  flags: UnmountFlags,
  context: CliContext,
): Promise<void> {
  const { unmountDrive } = await import('../drive/unmount-drive.ts')
  const options = await optionsOf(flags, context)
  const directories = await directoriesOf(given, flags, options)
  let failure: unknown
  for (const directory of directories) {
    try {
      const done = await unmountDrive(directory, options)
      const isWhole = await tell(done, flags.json === true, context)
      if (!isWhole) failure ??= new ExitStatus(exitCodes.failure)
    } catch (error) {
      if (directories.length === 1 || options.signal.aborted) throw error
      context.stderr.write(`abfs: ${describeError(error).line}\n`)
      failure ??= new ExitStatus(describeError(error).exitCode)
    }
  }
  if (failure !== undefined) throw failure
}

async function optionsOf(flags: UnmountFlags, context: CliContext): Promise<UnmountOptions> {
  const { parseSeconds } = await import('../drive/drive-options.ts')
  const { runtimeDirectory } = await import('../../config.ts')
  const { systemClock } = await import('../../clock.ts')
  return {
    lazy: flags.lazy === true,
    waitMs: parseSeconds('--wait', flags.wait) * 1000,
    registry: runtimeDirectory(context.environment, process.getuid?.() ?? 0),
    clock: systemClock,
    signal: context.signal,
    onWaiting: ({ pid }) => {
      context.stderr.write(`abfs: waiting for the daemon (pid ${pid}) to send what was written\n`)
    },
  }
}

/** Each drive once. A directory that several lie in, as `mount all` makes them, stands for those. */
async function directoriesOf(
  given: readonly string[],
  { all }: UnmountFlags,
  { registry, signal }: UnmountOptions,
): Promise<readonly string[]> {
  const isAll = all === true || given[0] === 'all'
  if (isAll && given.length > (all === true ? 0 : 1)) throw usageError('--all takes no directory')
  if (given.length === 0 && !isAll) throw usageError("missing required argument 'directory'")
  if (!isAll) {
    const { recallDrives } = await import('../drive/registry.ts')
    const drives = recallDrives(registry)
    const below = (directory: string) =>
      drives.filter((drive) => drive.below === resolve(directory)).map((drive) => drive.directory)
    return given.flatMap((directory) => {
      const several = below(directory)
      return several.length === 0 ? [directory] : several
    })
  }
  if (all !== true) await refuseAmbiguity(registry)
  const { findDrives } = await import('../drive/drive-states.ts')
  const drives = await findDrives(registry, signal)
  // The latest first: a drive may lie on another.
  const mounted = drives.filter(({ state }) => state !== 'detached' && state !== 'unknown')
  const { isGivenPlace } = await import('../../fuse/given-place.ts')
  // Who mounted those by descriptor unmounts them.
  const directories = mounted.map(({ directory }) => directory).filter((at) => !isGivenPlace(at))
  return directories.reverse()
}

/** blobfuse2's word for every drive may be meant as a directory of that name: other people's drives are not tried on. */
async function refuseAmbiguity(registry: string): Promise<void> {
  const { recallDrives } = await import('../drive/registry.ts')
  const named = resolve('all')
  const isHere = recallDrives(registry).some(
    ({ directory, below }) => directory === named || below === named,
  )
  if (isHere)
    throw usageError("'all' is a directory with drives: write ./all, or --all for every drive")
}

/** What `--json` prints of a drive. */
interface UnmountReport {
  readonly directory: string
  readonly source: string
  /** Of the process that served it, where that is known. */
  readonly pid?: number | undefined
  readonly logFile?: string | undefined
  /** Absent when nobody was left to tell. */
  readonly allStored?: boolean | undefined
  readonly unsaved: readonly UnsavedFile[]
}

function reportOf({ directory, source, daemon, dead, unsaved }: Unmounted): UnmountReport {
  const { pid, logFile } = daemon ?? dead ?? {}
  const allStored = unsaved && unsaved.length === 0
  return { directory, source, pid, logFile, allStored, unsaved: unsaved ?? [] }
}

/** Whether all of a drive is known to be stored. */
async function tell(done: Unmounted, json: boolean, context: CliContext): Promise<boolean> {
  const { daemon, dead, unsaved, source, directory } = done
  if (json) await context.stdout.json(reportOf(done))
  else await context.stdout.line(`unmounted ${printable(source)} from ${printable(directory)}`)
  const { describeUnsaved } = await import('../drive/unsaved-view.ts')
  for (const line of (unsaved ?? []).map(describeUnsaved)) {
    context.stderr.write(`abfs: not stored: ${line}\n`)
  }
  if (dead !== undefined) {
    const log = dead.logFile === undefined ? '' : `, its log is ${dead.logFile}`
    context.stderr.write(
      `abfs: its daemon (pid ${dead.pid}) had died${log}; abfs doctor tells what it left unsaved\n`,
    )
  }
  if (daemon === undefined) return true
  if (unsaved !== undefined) return unsaved.length === 0
  const log = daemon.logFile === undefined ? '' : `: see ${daemon.logFile}`
  context.stderr.write(
    `abfs: the daemon (pid ${daemon.pid}) did not tell whether all of it is stored${log}\n`,
  )
  return false
}
