import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import { parseSeconds } from '../drive/drive-options.ts'
import { printable } from '../output.ts'

const HELP = `
For drives that were mounted with --failover: the daemon answers what it was asked, and ends; another,
of the abfs that is installed by now, takes over. Files stay open; who uses the drive meanwhile waits.

Examples:
  abfs restart /mnt/datasets        after an upgrade
  abfs restart --json /mnt/datasets`

/** Adds `abfs restart`. */
export function defineRestart(program: Command, context: CliContext): void {
  program
    .command('restart')
    .description('Have another daemon take a drive over, with the files that are open.')
    .argument('<directory>', 'where the drive is mounted')
    .option('--wait <seconds>', 'how long it may take', '60')
    .option('--json', 'print one JSON object')
    .addHelpText('after', HELP)
    .action((directory: string, flags: RestartFlags) => restart(directory, flags, context))
}

interface RestartFlags {
  readonly wait: string
  readonly json?: true
}

async function restart(directory: string, flags: RestartFlags, context: CliContext): Promise<void> {
  const { restartDrive } = await import('../drive/restart-drive.ts')
  const { runtimeDirectory } = await import('../../config.ts')
  const { systemClock } = await import('../../clock.ts')
  const done = await restartDrive(directory, {
    waitMs: parseSeconds('--wait', flags.wait) * 1000,
    registry: runtimeDirectory(context.environment, process.getuid?.() ?? 0),
    clock: systemClock,
    signal: context.signal,
  })
  if (flags.json === true) return context.stdout.json(done)
  const { source, directory: place, formerPid, pid } = done
  const line = `restarted ${printable(source)} on ${printable(place)}: process ${pid} after ${formerPid}`
  await context.stdout.line(line)
}
