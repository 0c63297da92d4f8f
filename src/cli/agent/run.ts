import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { withheldVariables } from '../../agent/environment.ts'
import { formatEnvFile, writeEnvFile } from '../../sandbox/env-file.ts'
import type { CliContext } from '../context.ts'
import type { AgentFlags } from './flags.ts'
import { logAgent } from './log.ts'
import { type OpenAgent, openAgent } from './open-agent.ts'

/** The flags of `abfs agent`. */
export interface RunFlags extends AgentFlags {
  readonly envFile?: string
  readonly json?: true
}

/** Runs an agent until a signal; leaves nothing. */
export async function runAgent(
  flags: RunFlags,
  command: Command,
  context: CliContext,
): Promise<void> {
  const envFile = flags.envFile === undefined ? undefined : resolve(flags.envFile)
  const opened = await openAgent(flags, command, context)
  try {
    await logAgent(opened.config.logLevel)
    if (envFile !== undefined) await writeEnvFile(envFile, opened.variables)
    await announce(opened, { envFile, json: flags.json === true }, context)
    if (!context.signal.aborted) await once(context.signal, 'abort')
  } finally {
    if (envFile !== undefined) await rm(envFile, { force: true })
    await opened.close()
  }
}

interface Announcement {
  readonly envFile: string | undefined
  readonly json: boolean
}

async function announce(
  { agent, account, variables }: OpenAgent,
  { envFile, json }: Announcement,
  context: CliContext,
): Promise<void> {
  const { stdout, stderr, environment } = context
  const inTheWay = withheldVariables.filter((name) => environment[name] && !(name in variables))
  const foreign = inTheWay.filter((name) => !name.startsWith('ABFS_'))
  if (json) {
    const facts = { url: agent.url.href, pid: process.pid, account, unset: foreign }
    return stdout.json(envFile === undefined ? { ...facts, variables } : { ...facts, envFile })
  }
  stderr.write(`abfs: agent for account ${account} listens on ${agent.url.href}; Ctrl-C ends it\n`)
  if (foreign.length > 0) {
    stderr.write(`abfs: unset these, or SDKs use them instead: ${foreign.join(' ')}\n`)
  }
  if (envFile === undefined) await stdout.write(formatEnvFile(variables))
  else stderr.write(`abfs: variables are in ${envFile}: set -a; . ${envFile}; set +a\n`)
}
