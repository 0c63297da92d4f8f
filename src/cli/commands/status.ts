import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import type { DriveState } from '../drive/drive-states.ts'
import { describeUnsaved } from '../drive/unsaved-view.ts'
import { ExitStatus, exitCodes } from '../exit-codes.ts'
import { formatTable, formatTime, printable } from '../output.ts'

const HELP = `
States: serving; silent (its daemon lives, but does not answer); detached (still sending what was
written); dead (its daemon ended without unmounting it: mount again over it, or abfs unmount);
unknown (served by another user, or by nobody). Times are UTC. Ends with 1 when a drive is silent, dead or
unknown, or has files that could not be stored.

Examples:
  abfs status
  abfs status --json | jq -r '.[] | select(.state != "serving") | .directory'`

/** Adds `abfs status`. */
export function defineStatus(program: Command, context: CliContext): void {
  program
    .command('status')
    .description('List the drives of this machine and how they are.')
    .option('--json', 'print one JSON array')
    .addHelpText('after', HELP)
    .action((flags: { readonly json?: true }) => status(flags.json === true, context))
}

/** Prints the drives of this machine; an `ExitStatus` says that one is not well. */
export async function status(json: boolean, context: CliContext): Promise<void> {
  const { findDrives } = await import('../drive/drive-states.ts')
  const { runtimeDirectory } = await import('../../config.ts')
  const registry = runtimeDirectory(context.environment, process.getuid?.() ?? 0)
  const drives = await findDrives(registry, context.signal)
  if (json) await context.stdout.json(drives)
  else for (const line of describe(drives)) await context.stdout.line(line)
  if (!drives.every(isWell)) throw new ExitStatus(exitCodes.failure)
}

function isWell({ state, unsaved }: DriveState): boolean {
  return (state === 'serving' || state === 'detached') && unsaved.length === 0
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
