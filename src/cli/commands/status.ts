import { resolve } from 'node:path'
import type { Command } from 'commander'
import { FileSystemError } from '../../errors.ts'
import type { CliContext } from '../context.ts'
import type { DriveState } from '../drive/drive-states.ts'
import { describeUnsaved } from '../drive/unsaved-view.ts'
import { ExitStatus, exitCodes } from '../exit-codes.ts'
import { formatTable, formatTime, printable } from '../output.ts'

const HELP = `
States:
  serving     all is well
  restarting  its daemon ended, and --failover starts another
  detached    unmounted, but still sending what was written
  silent      its daemon lives, but did not answer within three seconds
  dead        its daemon ended without unmounting it: mount again over it, or abfs unmount
  unknown     another user's, or nobody's
Times are UTC. Ends with 1 when a drive is silent, dead or unknown, or has files that could not be
stored; with --alive such files do not count. No mount is touched.

Examples:
  abfs status
  abfs status --alive /mnt/datasets      a liveness probe
  abfs status --json | jq -r '.[] | select(.state != "serving") | .directory'`

/** Adds `abfs status`. */
export function defineStatus(program: Command, context: CliContext): void {
  program
    .command('status')
    .description('List the drives of this machine and how they are.')
    .argument('[directory...]', 'only the drives there; each must be one')
    .option('--alive', 'end with 1 only when a drive is not served: for liveness probes')
    .option('--json', 'print one JSON array')
    .addHelpText('after', HELP)
    .action((directories: string[], flags: StatusFlags) => status(context, directories, flags))
}

interface StatusFlags {
  readonly alive?: true
  readonly json?: true
}

/** Prints the drives of this machine, or those at `directories`; an `ExitStatus` says that one is not well. */
export async function status(
  context: CliContext,
  directories: readonly string[] = [],
  { alive, json }: StatusFlags = {},
): Promise<void> {
  const { findDrives } = await import('../drive/drive-states.ts')
  const { runtimeDirectory } = await import('../../config.ts')
  const registry = runtimeDirectory(context.environment, process.getuid?.() ?? 0)
  const all = await findDrives(registry, context.signal)
  const drives = directories.length === 0 ? all : await chosen(all, directories)
  if (json === true) await context.stdout.json(drives)
  else for (const line of describe(drives)) await context.stdout.line(line)
  if (!drives.every(alive === true ? isServed : isWell)) throw new ExitStatus(exitCodes.failure)
}

/** The drives at `directories`. Rejects with ENOENT when one has none. */
async function chosen(
  all: readonly DriveState[],
  directories: readonly string[],
): Promise<DriveState[]> {
  const { canonicalMountpoint } = await import('../../fuse/mount-table.ts')
  return Promise.all(
    directories.map(async (directory) => {
      const place = await canonicalMountpoint(directory).catch(() => resolve(directory))
      const found = all.find((drive) => drive.directory === place)
      if (found !== undefined) return found
      throw new FileSystemError('ENOENT', 'status', { path: place, detail: 'no drive is there' })
    }),
  )
}

/** What it could not store is another matter: to end its daemon would help nobody. */
function isServed({ state }: DriveState): boolean {
  return state === 'serving' || state === 'detached' || state === 'restarting'
}

function isWell(drive: DriveState): boolean {
  return isServed(drive) && drive.unsaved.length === 0
}

function describe(drives: readonly DriveState[]): string[] {
  if (drives.length === 0) return ['no drive is mounted']
  const rows = drives.map((drive) => [
    printable(drive.directory),
    printable(drive.source),
    drive.state,
    String(drive.pid ?? '-'),
    formatTime(drive.sinceMs),
    String(drive.unsaved.length),
  ])
  const head = ['DIRECTORY', 'SOURCE', 'STATE', 'PID', 'SINCE', 'UNSAVED']
  const lost = drives.flatMap(({ unsaved }) =>
    unsaved.map((file) => `not stored: ${describeUnsaved(file)}`),
  )
  return [...formatTable([head, ...rows], [3, 5]), ...lost]
}
