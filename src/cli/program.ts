import { Command, CommanderError } from 'commander'
import { type CommandGroup, loadCommands } from './command-group.ts'
import type { CliContext } from './context.ts'
import { ExitStatus, exitCodes, exitCodesHelp } from './exit-codes.ts'
import { insteadOfOthers } from './other-flags.ts'
import { describeError, formatReport } from './report-error.ts'
import { usageError } from './usage.ts'
import { packageVersion } from './version.ts'

/**
 * The command tree of `groups` for `argv`: of the command that it names alone, where it names one, as each is a file to load.
 * Commands load what they need when they run.
 */
export async function createProgram(
  groups: readonly CommandGroup[],
  argv: readonly string[],
  context: CliContext,
): Promise<Command> {
  const program = new Command('abfs')
    .description('Azure Blob Storage as a file system, without secrets on the client.')
    .version(packageVersion(), '-V, --version')
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false })
    .addHelpText('after', `\n${OVERVIEW}\n\n${exitCodesHelp}`)
  program.exitOverride().configureOutput({ outputError: () => {} })
  for (const { heading, defines } of await loadCommands(groups, argv)) {
    program.commandsGroup(heading)
    for (const define of defines) define(program, context)
  }
  return program
}

/** Runs `argv`; reports a failure on standard error; resolves with the exit code. */
export async function runProgram(
  program: Command,
  argv: readonly string[],
  context: CliContext,
): Promise<number> {
  try {
    await program.parseAsync([...argv])
    return exitCodes.ok
  } catch (error) {
    if (error instanceof ExitStatus) return error.status
    if (error instanceof CommanderError) return reportUsage(error, context)
    return report(error, context)
  }
}

/** Help and version are no failures; anything else that the parser refuses is a usage mistake. */
function reportUsage(error: CommanderError, context: CliContext): number {
  if (error.exitCode === 0) return exitCodes.ok
  if (error.code === 'commander.help') return exitCodes.usage
  const message = withoutValue(error.message.replace(/^error: /, ''))
  const instead = insteadOfOthers(message)
  const told = instead === undefined ? message : `${withoutGuess(message)}: ${instead}`
  return report(usageError(told), context)
}

/** The value of a flag that is none of ours may be a secret: the habit of another program. */
function withoutValue(message: string): string {
  return message.replace(/^(unknown option '--[^'=]*)=.*?'(?=$|\n)/s, "$1'")
}

/** The parser guesses which of our flags was meant. */
function withoutGuess(message: string): string {
  return message.replace(/\s*\(Did you mean .*\)$/s, '')
}

function report(error: unknown, context: CliContext): number {
  const described = describeError(error)
  const debug = context.environment['ABFS_DEBUG'] === '1'
  context.stderr.write(formatReport(described, error, debug))
  return described.exitCode
}

const OVERVIEW = `Paths:
  abfs://CONTAINER/PATH                  in the account of --account or ABFS_ACCOUNT
  abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH
  https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH
  anything else is a local file; write ./abfs:… for a local name with a colon

Credentials:
  With ABFS_CONNECTOR_URL set, abfs asks that connector for short-lived credentials, one per
  container and set of permissions, and holds no secret of Azure's. Without it, abfs signs in
  by itself as DefaultAzureCredential does: the AZURE_* variables, workload or managed identity,
  or the Azure CLI's login. AZURE_AUTHORITY_HOST may name another Entra than the public cloud's.

Examples:
  abfs ls -l abfs://datasets/train
  abfs cp -r ./results abfs://runs/42
  abfs mount abfs://datasets /mnt/datasets --read-only
  abfs exec --write -- python train.py    an unmodified Azure SDK, without a secret
  abfs sandbox --env-file sandbox.env     a local Azure to try all this on

Settings:
  ABFS_ACCOUNT, ABFS_BLOB_ENDPOINT, ABFS_DFS_ENDPOINT, ABFS_HNS, ABFS_PREFIX, ABFS_CA_FILE, ABFS_CONNECTOR_URL,
  ABFS_CONNECTOR_KEY_FILE, ABFS_CONNECTOR_KEY or ABFS_CONNECTOR_TOKEN_FILE, ABFS_CONNECTOR_SESSION,
  ABFS_CONNECTOR_CONFIG,
  ABFS_CACHE_DIR, ABFS_LOG_LEVEL, ABFS_REGISTRIES, ABFS_REGISTRY_SCOPE;
  ABFS_DEBUG=1 shows stacks. Flags beat variables.`
