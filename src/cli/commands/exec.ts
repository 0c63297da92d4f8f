import type { Command } from 'commander'
import { type AgentFlags, addAgentOptions } from '../agent/flags.ts'
import type { CliContext } from '../context.ts'

const HELP = `
Starts an agent (see abfs agent --help), runs the command with the variables that let Azure's SDKs
find it, and ends the agent with the command. Other Azure credentials of this environment, and the
connector's key, are not passed on. Signals go to the command (SIGUSR1
excepted: Node keeps it); its exit code becomes that of abfs.

Examples:
  abfs exec -- python -c "import adlfs; print(adlfs.AzureBlobFileSystem().ls('datasets'))"
  abfs exec --write -- azcopy copy ./run-7 https://myaccount.blob.core.windows.net/models -r
  abfs exec --write --container models -- mlflow server --artifacts-destination wasbs://…
  abfs exec -- env | grep IDENTITY_        what a command is given`

/** Adds `abfs exec`. */
export function defineExec(program: Command, context: CliContext): void {
  const command = program
    .command('exec')
    .description('Run a command with credentials for unmodified Azure clients.')
    .usage('[options] -- COMMAND [ARGUMENTS]')
    .argument('<command...>', 'the command and its arguments, after two dashes')
    .addHelpText('after', HELP)
    .action(async (argv: readonly string[], flags: AgentFlags) => {
      const { execWithAgent } = await import('../agent/exec.ts')
      await execWithAgent(argv, flags, { command, context })
    })
  addAgentOptions(command)
}
