import type { Command } from 'commander'
import { addConnectionOptions, type CliContext } from '../context.ts'
import { parseRemote } from '../location.ts'
import { withFileSystem } from '../session.ts'

interface RmFlags {
  readonly recursive?: true
  readonly force?: true
  readonly container?: true
}

const EXAMPLES = `
Examples:
  abfs rm abfs://runs/42/log.txt
  abfs rm -r abfs://runs/42               a directory with all that it holds
  abfs rm -r --container abfs://scratch   a whole container`

/** Adds `abfs rm`. */
export function defineRm(program: Command, context: CliContext): void {
  const command = program
    .command('rm')
    .description('Delete files, and with -r directories.')
    .argument('<path...>', 'abfs://CONTAINER/PATH')
    .option('-r, --recursive', 'directories with all that they hold')
    .option('-f, --force', 'a path that does not exist is no error')
    .option('--container', 'allow a whole container to be deleted')
    .addHelpText('after', EXAMPLES)
    .action((paths: string[], flags: RmFlags) => rm(paths, flags, command, context))
  addConnectionOptions(command)
}

async function rm(
  paths: readonly string[],
  flags: RmFlags,
  command: Command,
  context: CliContext,
): Promise<void> {
  const urls = paths.map(parseRemote)
  const { signal } = context
  const options = {
    recursive: flags.recursive === true,
    allowContainer: flags.container === true,
    signal,
  }
  await withFileSystem(command, context, { access: 'write', urls }, async (fileSystem) => {
    for (const path of paths) {
      if (flags.force === true && !(await fileSystem.exists(path, { signal }))) continue
      await fileSystem.rm(path, options)
    }
  })
}
