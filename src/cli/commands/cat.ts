import type { Command } from 'commander'
import { addConnectionOptions, type CliContext } from '../context.ts'
import { parseRemote } from '../location.ts'
import { withFileSystem } from '../session.ts'

const EXAMPLES = `
Examples:
  abfs cat abfs://models/run-7/config.json | jq .
  abfs cat abfs://logs/2026-01.txt abfs://logs/2026-02.txt | grep ERROR | head`

/** Adds `abfs cat`. */
export function defineCat(program: Command, context: CliContext): void {
  const command = program
    .command('cat')
    .description('Write files to standard output, one after the other.')
    .argument('<path...>', 'abfs://CONTAINER/PATH')
    .addHelpText('after', EXAMPLES)
    .action((paths: string[]) => cat(paths, command, context))
  addConnectionOptions(command)
}

async function cat(paths: readonly string[], command: Command, context: CliContext): Promise<void> {
  const urls = paths.map(parseRemote)
  await withFileSystem(command, context, { access: 'read', urls }, async (fileSystem) => {
    const { readToOutput } = await import('../stream-file.ts')
    for (const path of paths) await readToOutput(fileSystem, path, context)
  })
}
