import type { Command } from 'commander'
import type { RecoveredRename } from '../../namespace/namespace.ts'
import { formatPath } from '../../path.ts'
import { addConnectionOptions, type CliContext } from '../context.ts'
import { parseRemote } from '../location.ts'
import { printable } from '../output.ts'
import { withFileSystem } from '../session.ts'

interface RecoverFlags {
  readonly force?: true
  readonly json?: true
}

const HELP = `
A rename of a directory keeps a journal in its container. One that was interrupted is completed when
its copies can be, and undone otherwise. Renames that were alive within the last minute are left to
those who run them, unless --force says that nobody does.

Examples:
  abfs recover abfs://runs
  abfs recover --force abfs://runs       right after a crash`

/** Adds `abfs recover`. */
export function defineRecover(program: Command, context: CliContext): void {
  const command = program
    .command('recover')
    .description('Finish renames of directories that were interrupted.')
    .argument('<container...>', 'abfs://CONTAINER')
    .option('-f, --force', 'take over renames that may still be running')
    .option('--json', 'print one JSON array about what was found')
    .addHelpText('after', HELP)
    .action((containers: string[], flags: RecoverFlags) =>
      recover(containers, flags, command, context),
    )
  addConnectionOptions(command)
}

async function recover(
  containers: readonly string[],
  flags: RecoverFlags,
  command: Command,
  context: CliContext,
): Promise<void> {
  const urls = containers.map(parseRemote)
  const { signal } = context
  const results: RecoveredRename[] = []
  await withFileSystem(command, context, { access: 'write', urls }, async (fileSystem) => {
    for (const container of containers) {
      results.push(
        ...(await fileSystem.recover(container, { force: flags.force === true, signal })),
      )
    }
  })
  if (flags.json === true) await context.stdout.json(results.map(plain))
  else for (const result of results) await context.stdout.line(describe(result))
  const failed = results.find(({ outcome }) => outcome === 'failed')
  if (failed?.error !== undefined) throw failed.error
}

function plain({ from, to, error, ...rest }: RecoveredRename): object {
  const names = { from: from && formatPath(from), to: to && formatPath(to) }
  return { ...names, ...rest, error: error?.message }
}

function describe({ from, to, outcome, files }: RecoveredRename): string {
  if (from === undefined || to === undefined) return `${outcome}  a rename that had not begun`
  const names = `${formatPath(from)} -> ${formatPath(to)}`
  return `${outcome}  ${printable(names)}  ${files} blobs`
}
