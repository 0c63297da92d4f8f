import type { Command } from 'commander'
import { addAgentOptions } from '../agent/flags.ts'
import type { RunFlags } from '../agent/run.ts'
import type { CliContext } from '../context.ts'

const HELP = `
Azure's SDKs and tools know how to ask the machine they run on for a token: that is managed
identity. An agent answers them on this machine, with tokens that the configured connector vends
for one account. The programs need no change and get no secret of Azure's.

Whoever knows the variables that it prints can get tokens until it ends; --env-file keeps them in a
file for you alone. To run a single program, abfs exec is simpler and tells them to nobody else.

Examples:
  abfs agent --env-file agent.env          then, in another terminal:
    set -a; . ./agent.env; set +a
    python -c "import adlfs; print(adlfs.AzureBlobFileSystem().ls('datasets'))"
  abfs agent --write --container models    permissions to write, in one container
  abfs agent --json | jq -r .url`

/** Adds `abfs agent`. */
export function defineAgent(program: Command, context: CliContext): void {
  const command = program
    .command('agent')
    .description('Give tokens to unmodified Azure clients, in the foreground.')
    .option('-e, --env-file <file>', 'write NAME=value lines there, for this user alone')
    .option('--json', 'print one JSON object')
    .addHelpText('after', HELP)
    .action(async (flags: RunFlags) => {
      const { runAgent } = await import('../agent/run.ts')
      await runAgent(flags, command, context)
    })
  addAgentOptions(command)
}
