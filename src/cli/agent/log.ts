import { subscribe } from 'node:diagnostics_channel'
import type { LogLevel } from '../../config.ts'
import { type AgentEvent, agentChannel } from '../../telemetry.ts'

/** Logs what an agent answers: refusals are warnings, tokens debugging. Never a token or a secret. */
export async function logAgent(level: LogLevel): Promise<void> {
  if (level === 'silent') return
  const { openLog } = await import('../drive/log.ts')
  const log = openLog({ level })
  subscribe(agentChannel.name, (message) => {
    const { cause, refusal, ...fields } = message as AgentEvent
    if (refusal === undefined) return log.debug(fields, 'token given')
    const reason = cause instanceof Error ? cause.message : undefined
    log.warn({ ...fields, refusal, reason }, 'no token given')
  })
}
