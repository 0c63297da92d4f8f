import type { Command } from 'commander'
import type { Recovered } from '../../namespace/recovery.ts'
import type { RecoveredTransaction } from '../../namespace/transaction-recovery.ts'
import { formatPath } from '../../path.ts'
import { addConnectionOptions, type CliContext } from '../context.ts'
import { parseRemote } from '../location.ts'
import { formatCount, printable } from '../output.ts'
import { withFileSystem } from '../session.ts'

interface RecoverFlags {
  readonly force?: true
  readonly json?: true
}

const HELP = `
A rename of a directory keeps a journal in its container. One that was interrupted is completed when
its copies can be, and undone otherwise. So does a transaction of the library that was being committed:
its files are made visible, and what it deletes goes. Those that were alive within the last minute are left to
those who run them, unless --force says that nobody does.

Examples:
  abfs recover abfs://runs
  abfs recover --force abfs://runs       right after a crash`

/** Adds `abfs recover`. */
export function defineRecover(program: Command, context: CliContext): void {
  const command = program
    .command('recover')
    .description('Finish renames of directories and transactions that were interrupted.')
    .argument('<container...>', 'abfs://CONTAINER')
    .option('-f, --force', 'take over what may still be running')
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
  const results: Recovered[] = []
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

function plain(result: Recovered): object {
  const error = result.error?.message
  if (result.kind === 'transaction') {
    return { ...result, conflicts: result.conflicts.map(formatPath), error }
  }
  const { from, to, ...rest } = result
  return { from: from && formatPath(from), to: to && formatPath(to), ...rest, error }
}

function describe(result: Recovered): string {
  if (result.kind === 'transaction') return describeTransaction(result)
  const { from, to, outcome, files } = result
  if (from === undefined || to === undefined) return `${outcome}  a rename that had not begun`
  const names = `${formatPath(from)} -> ${formatPath(to)}`
  return `${outcome}  ${printable(names)}  ${files} blobs`
}

function describeTransaction({
  outcome,
  files,
  removals,
  conflicts,
}: RecoveredTransaction): string {
  if (outcome === 'left') return 'left  a transaction that somebody works on'
  const size = `${formatCount(files, 'file')} and ${formatCount(removals, 'deletion')}`
  const what = `${outcome}  a transaction of ${size}`
  if (conflicts.length === 0) return what
  const names = conflicts.map((path) => printable(formatPath(path))).join(', ')
  return `${what}; changed by somebody else since, and left as they are: ${names}`
}
