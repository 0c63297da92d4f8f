import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { defineAcl } from './commands/acl.ts'
import { defineAgent } from './commands/agent.ts'
import { defineArtifact } from './commands/artifact.ts'
import { defineCat } from './commands/cat.ts'
import { defineConnector } from './commands/connector.ts'
import { defineCp } from './commands/cp.ts'
import { defineCredential } from './commands/credential.ts'
import { defineDoctor } from './commands/doctor.ts'
import { defineEvict } from './commands/evict.ts'
import { defineExec } from './commands/exec.ts'
import { defineLs } from './commands/ls.ts'
import { defineMkdir } from './commands/mkdir.ts'
import { defineMount } from './commands/mount.ts'
import { defineMv } from './commands/mv.ts'
import { defineRecover } from './commands/recover.ts'
import { defineRm } from './commands/rm.ts'
import { defineSandbox } from './commands/sandbox.ts'
import { defineStat } from './commands/stat.ts'
import { defineStats } from './commands/stats.ts'
import { defineStatus } from './commands/status.ts'
import { defineTree } from './commands/tree.ts'
import { defineUnmount } from './commands/unmount.ts'
import { defineUnpin } from './commands/unpin.ts'
import { definePin, defineWarm } from './commands/warm.ts'
import type { CliContext } from './context.ts'
import { ExitStatus, exitCodes, exitCodesHelp } from './exit-codes.ts'
import { insteadOfOthers } from './other-flags.ts'
import { describeError, formatReport } from './report-error.ts'
import { usageError } from './usage.ts'

/** The command tree. Commands load what they need when they run, so that help is quick. */
export function createProgram(context: CliContext): Command {
  const program = new Command('abfs')
    .description('Azure Blob Storage as a file system, without secrets on the client.')
    .version(packageVersion(), '-V, --version')
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false })
    .addHelpText('after', `\n${OVERVIEW}\n\n${exitCodesHelp}`)
  program.exitOverride().configureOutput({ outputError: () => {} })
  program.commandsGroup('Files:')
  for (const define of [defineLs, defineTree, defineStat, defineCat]) define(program, context)
  for (const define of [defineCp, defineMv, defineMkdir, defineRm]) define(program, context)
  for (const define of [defineAcl, defineRecover]) define(program, context)
  program.commandsGroup('Drive:')
  for (const define of [defineMount, defineUnmount]) define(program, context)
  for (const define of [defineStatus, defineStats, defineDoctor]) define(program, context)
  for (const define of [defineWarm, defineEvict, definePin, defineUnpin]) define(program, context)
  program.commandsGroup('Credentials for other programs:')
  for (const define of [defineExec, defineAgent, defineCredential]) define(program, context)
  program.commandsGroup('Services:')
  for (const define of [defineConnector, defineSandbox, defineArtifact]) define(program, context)
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
  const message = error.message.replace(/^error: /, '')
  const instead = insteadOfOthers(message)
  return report(
    usageError(instead === undefined ? message : `${withoutGuess(message)}: ${instead}`, error),
    context,
  )
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

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
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
