import type { Command } from 'commander'
import type { CliContext } from '../context.ts'

interface UnmountFlags {
  readonly lazy?: true
  readonly wait: string
  readonly json?: true
}

const EXAMPLES = `
Returns once the drive is gone and its daemon has sent everything and ended.

Examples:
  abfs unmount /mnt/datasets
  abfs unmount --lazy /mnt/datasets      detach at once; programs keep their open files
  abfs unmount --lazy /mnt/crashed       clean up "Transport endpoint is not connected"`

/** Adds `abfs unmount`. */
export function defineUnmount(program: Command, context: CliContext): void {
  program
    .command('unmount')
    .alias('umount')
    .description('Unmount a drive and wait until all of it is stored.')
    .argument('<directory>', 'where the drive is mounted')
    .option('-z, --lazy', 'detach at once, even while files are open')
    .option('--wait <seconds>', 'how long the daemon may take to send what it holds', '300')
    .option('--json', 'print one JSON object')
    .addHelpText('after', EXAMPLES)
    .action((directory: string, flags: UnmountFlags) => unmount(directory, flags, context))
}

async function unmount(directory: string, flags: UnmountFlags, context: CliContext): Promise<void> {
  const { unmountDrive } = await import('../drive/unmount-drive.ts')
  const { parseSeconds } = await import('../drive/drive-options.ts')
  const { runtimeDirectory } = await import('../../config.ts')
  const { systemClock } = await import('../../clock.ts')
  const done = await unmountDrive(directory, {
    lazy: flags.lazy === true,
    waitMs: parseSeconds('--wait', flags.wait) * 1000,
    registry: runtimeDirectory(context.environment, process.getuid?.() ?? 0),
    clock: systemClock,
    signal: context.signal,
  })
  if (flags.json === true) await context.stdout.json(done)
  else await context.stdout.line(`unmounted ${done.source} from ${done.directory}`)
}
