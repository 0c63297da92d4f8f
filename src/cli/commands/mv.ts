import type { Command } from 'commander'
import { addConnectionOptions, type CliContext } from '../context.ts'
import { parseRemote } from '../location.ts'
import { openProgress } from '../progress.ts'
import { withFileSystem } from '../session.ts'

interface MvFlags {
  /** False with `--no-clobber`. */
  readonly clobber: boolean
  readonly quiet?: true
}

const HELP = `
Within one account, on the server's side. A target that is a directory, or ends in /, takes the
source in. A directory is copied, compared and deleted file by file, with a journal in its container:
what an interrupted one leaves is finished by the same command, or by abfs recover.

Examples:
  abfs mv abfs://runs/42/log.txt abfs://runs/42/old.txt
  abfs mv abfs://runs/42 abfs://archive/      a directory into another container`

/** Adds `abfs mv`. */
export function defineMv(program: Command, context: CliContext): void {
  const command = program
    .command('mv')
    .description('Rename or move files and directories.')
    .argument('<source>', 'abfs://CONTAINER/PATH')
    .argument('<target>', 'abfs://CONTAINER/PATH')
    .option('-n, --no-clobber', 'fail when the target exists')
    .option('-q, --quiet', 'no progress bar')
    .addHelpText('after', HELP)
    .action((source: string, target: string, flags: MvFlags) =>
      mv(
        { source, target, quiet: flags.quiet === true, noReplace: !flags.clobber },
        command,
        context,
      ),
    )
  addConnectionOptions(command)
}

interface MvArguments {
  readonly source: string
  readonly target: string
  readonly quiet: boolean
  readonly noReplace: boolean
}

async function mv(request: MvArguments, command: Command, context: CliContext): Promise<void> {
  const { source, target, quiet, noReplace } = request
  const urls = [source, target].map(parseRemote)
  const progress = quiet ? undefined : await openProgress(context.stderr)
  const { signal } = context
  try {
    await withFileSystem(command, context, { access: 'write', urls }, (fileSystem) =>
      fileSystem.mv(source, target, {
        signal,
        noReplace,
        // Deletions come after all copies: the bar shows the part that takes the time.
        onProgress: (done) => done.phase === 'transferring' && progress?.update(done),
      }),
    )
  } finally {
    progress?.stop()
  }
}
