import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import { answerDocker, type DockerVerb } from '../../agent/docker-credential.ts'
import { aksServerId, execCredential, execVersion } from '../../agent/exec-credential.ts'
import type { ExchangeTarget } from '../../agent/token-exchange.ts'
import type { BearerCredential } from '../../credential/credential.ts'
import { openTokens } from '../compose.ts'
import { type CliContext, configOf } from '../context.ts'
import { ExitStatus } from '../exit-codes.ts'
import { describeError } from '../report-error.ts'
import { usageError } from '../usage.ts'

/** The flags of `abfs credential kubernetes`. */
export interface KubernetesFlags {
  readonly cluster: string
  readonly serverId?: string
}

/** What a command of the credential group runs with. */
export interface CredentialRun {
  readonly command: Command
  readonly context: CliContext
}

/** Answers Docker. Failures go to standard output, where Docker reads them. */
export async function answerDockerVerb(
  verb: DockerVerb,
  version: string,
  { command, context }: CredentialRun,
): Promise<void> {
  const { environment, stdin, stdout } = context
  const answer = await answerDocker(verb, verb === 'get' ? await text(stdin) : '', {
    registries: namesOf(environment['ABFS_REGISTRIES']),
    scope: environment['ABFS_REGISTRY_SCOPE'] || undefined,
    version,
    exchange: (target) => exchangeOnce(target, { command, context }),
  }).catch((error: unknown) => ({ stdout: `abfs: ${describeError(error).line}`, exitCode: 1 }))
  if (answer.stdout !== '') await stdout.line(answer.stdout)
  if (answer.exitCode !== 0) throw new ExitStatus(answer.exitCode)
}

/** Answers kubectl with an ExecCredential of the version it asks for. */
export async function answerKubernetes(
  { cluster, serverId = aksServerId }: KubernetesFlags,
  { command, context }: CredentialRun,
): Promise<void> {
  const version = execVersion(context.environment['KUBERNETES_EXEC_INFO'])
  const target = { audience: cluster, scope: `${serverId}/.default` }
  const credential = await exchangeOnce(target, { command, context })
  await context.stdout.line(execCredential(version, credential))
}

async function exchangeOnce(
  target: ExchangeTarget,
  { command, context }: CredentialRun,
): Promise<BearerCredential> {
  const tokens = await openTokens(await configOf(command, context))
  try {
    if (tokens.exchange === undefined) {
      throw usageError('no connector is named: set ABFS_CONNECTOR_URL and ABFS_CONNECTOR_KEY_FILE')
    }
    return await tokens.exchange.get(target, context.signal)
  } finally {
    await tokens.close()
  }
}

function namesOf(list: string | undefined): string[] {
  return (list ?? '').split(/[\s,]+/).filter((name) => name !== '')
}
