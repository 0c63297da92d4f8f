/**
 * Variables that are secrets themselves reach a daemon by the channel to its launcher: what a process begins with is in
 * `/proc/PID/environ` for as long as it runs, in the reports that Node writes of a crash, and what its children begin with.
 */
import { z } from 'zod'
import type { Environment } from '../../config.ts'
import { FileSystemError } from '../../errors.ts'

/** Those that abfs itself reads. What Azure's library reads it reads of the process. */
const names = [
  'ABFS_CONNECTOR_KEY',
  'ABFS_ENCRYPTION_KEY',
  'OTEL_EXPORTER_OTLP_HEADERS',
  'OTEL_EXPORTER_OTLP_METRICS_HEADERS',
]

/** An environment in two parts. */
export interface DividedEnvironment {
  readonly env: NodeJS.ProcessEnv
  /** What the launcher sends. */
  readonly secrets: SecretsMessage
}

interface SecretsMessage {
  readonly kind: 'secrets'
  readonly variables: Readonly<Record<string, string>>
}

const message: z.ZodType<SecretsMessage> = z.object({
  kind: z.literal('secrets'),
  variables: z.record(z.string(), z.string()),
})

/** What a daemon begins with, and what it is told. */
export function withoutSecrets(environment: NodeJS.ProcessEnv): DividedEnvironment {
  const env = { ...environment }
  const variables: Record<string, string> = {}
  for (const name of names) {
    const value = env[name]
    if (value !== undefined) variables[name] = value
    delete env[name]
  }
  return { env, secrets: { kind: 'secrets', variables } }
}

/**
 * In the child: `environment` with what the launcher tells. `EIO` where that ended before: without its key a drive would store
 * what others can read.
 */
export async function withSecrets(environment: Environment): Promise<Environment> {
  const said = process.connected ? await saidByLauncher() : undefined
  const result = message.safeParse(said)
  if (result.success) return { ...environment, ...result.data.variables }
  throw new FileSystemError('EIO', 'mount', {
    detail: 'what started this daemon ended before it had said all that a drive needs: mount again',
  })
}

function saidByLauncher(): Promise<unknown> {
  return new Promise((resolve) => {
    process.once('message', resolve)
    process.once('disconnect', () => resolve(undefined))
  })
}
