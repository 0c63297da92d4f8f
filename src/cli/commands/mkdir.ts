import type { Command } from 'commander'
import { addConnectionOptions, type CliContext } from '../context.ts'
import { parseRemote } from '../location.ts'
import { withFileSystem } from '../session.ts'

const EXAMPLES = `
Examples:
  abfs mkdir abfs://datasets              a container
  abfs mkdir -p abfs://datasets/raw/2026  with the directories above it`

/** Adds `abfs mkdir`. */
export function defineMkdir(program: Command, context: CliContext): void {
  const command = program
    .command('mkdir')
    .description('Make a container or a directory.')
    .argument('<path...>', 'abfs://CONTAINER[/PATH]')
    .option('-p, --parents', 'make those above it too; one that exists is no error')
    .addHelpText('after', EXAMPLES)
    .action((paths: string[], flags: { parents?: true }) =>
      mkdir(paths, flags.parents === true, command, context),
    )
  addConnectionOptions(command)
}

async function mkdir(
  paths: readonly string[],
  parents: boolean,
  command: Command,
  context: CliContext,
): Promise<void> {
  const urls = paths.map(parseRemote)
  const { signal } = context
  await withFileSystem(command, context, { access: 'write', urls }, async (fileSystem) => {
    for (const path of paths) {
      if (parents) await fileSystem.makedirs(path, { existOk: true, signal })
      else await fileSystem.mkdir(path, { createParents: false, signal })
    }
  })
}
