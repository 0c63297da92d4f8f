import type { Command } from 'commander'
import { addConnectionOptions, type CliContext } from '../context.ts'
import { parseRemote } from '../location.ts'
import { printable } from '../output.ts'
import { withTree } from '../session.ts'
import { usageError } from '../usage.ts'

interface TreeFlags {
  readonly depth?: string
  readonly json?: true
}

const EXAMPLES = `
Examples:
  abfs tree abfs://datasets
  abfs tree --depth 2 abfs://models/run-7
  abfs tree --json abfs://datasets        one JSON object a line, as abfs ls -R --json`

/** Adds `abfs tree`. */
export function defineTree(program: Command, context: CliContext): void {
  const command = program
    .command('tree')
    .description('Draw what lies below a directory.')
    .argument('[path]', 'abfs://CONTAINER[/PATH]; the account when absent', 'abfs://')
    .option('-d, --depth <levels>', 'how many levels deep')
    .option('--json', 'one JSON object a line')
    .addHelpText('after', EXAMPLES)
    .action((path: string, flags: TreeFlags) => tree(path, flags, command, context))
  addConnectionOptions(command)
}

async function tree(
  path: string,
  flags: TreeFlags,
  command: Command,
  context: CliContext,
): Promise<void> {
  const urls = [parseRemote(path)]
  const maxDepth = flags.depth === undefined ? undefined : parseDepth(flags.depth)
  const { stdout, signal } = context
  await withTree(command, context, { access: 'read', urls }, async (fileSystem) => {
    if (flags.json === true) {
      const options = { withDirs: true, maxDepth, signal }
      for (const info of await fileSystem.find(path, options)) await stdout.json(info)
      return
    }
    await fileSystem.info(path, { signal })
    for await (const line of fileSystem.tree(path, { maxDepth, signal })) {
      await stdout.line(printable(line))
    }
  })
}

function parseDepth(text: string): number {
  const depth = Number(text)
  if (Number.isInteger(depth) && depth >= 1) return depth
  throw usageError(`--depth must be an integer of at least 1, not '${text}'`)
}
