import type { Command } from 'commander'
import { childEnvironment } from '../../agent/environment.ts'
import type { Config } from '../../config.ts'
import type { CliContext } from '../context.ts'
import { ExitStatus } from '../exit-codes.ts'
import { runChild } from './child.ts'
import type { AgentFlags } from './flags.ts'
import { logAgent } from './log.ts'
import { openAgent } from './open-agent.ts'

/** Runs one command beside an agent that nobody else knows; both end together. */
export async function execWithAgent(
  argv: readonly string[],
  flags: AgentFlags,
  { command, context }: { readonly command: Command; readonly context: CliContext },
): Promise<never> {
  const opened = await openAgent(flags, command, context)
  try {
    await logAgent(logLevelOf(opened.config))
    const environment = childEnvironment(context.environment, opened.variables)
    throw new ExitStatus(await runChild(argv, environment, context))
  } finally {
    await opened.close()
  }
}

/** Standard error is the command's: nothing is logged there unless asked for. */
function logLevelOf({ logLevel, origins }: Config): Config['logLevel'] {
  return origins['logLevel'] === 'default' ? 'silent' : logLevel
}
