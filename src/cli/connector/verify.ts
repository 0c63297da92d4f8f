import { randomBytes } from 'node:crypto'
import type { Command } from 'commander'
import type { CheckResult } from '../../connector/checks.ts'
import { type VerifyOptions, verifyConnector } from '../../connector/verify.ts'
import { type RegistryPlace, verifyCluster, verifyRegistry } from '../../connector/verify-tokens.ts'
import { openVerifier } from '../compose.ts'
import { type CliContext, configOf } from '../context.ts'
import { ExitStatus, exitCodes } from '../exit-codes.ts'
import { targetOf } from '../location.ts'
import { formatTable } from '../output.ts'
import { PERMISSIONS } from '../request-scope.ts'
import { usageError } from '../usage.ts'

/** What is verified. */
export interface VerifyFlags {
  readonly container?: string
  readonly registry?: string
  readonly repository?: string
  readonly cluster?: string
  readonly write?: true
  readonly json?: true
}

/** Prints one line per check, never a credential. Ends with 1 when a check failed. */
export async function verify(
  flags: VerifyFlags,
  command: Command,
  context: CliContext,
): Promise<void> {
  const config = await configOf(command, context)
  const connector = config.connector?.url
  if (connector === undefined) throw usageError('no connector is named: set ABFS_CONNECTOR_URL')
  const connectorUrl = connector
  const { container, registry, cluster } = flags
  if (container === undefined && registry === undefined && cluster === undefined) {
    throw usageError('nothing is named to verify: --container, --registry or --cluster')
  }
  const parts = await openVerifier(config)
  const common = { ...parts, nonce: randomBytes(6).toString('hex'), signal: context.signal }
  try {
    const results = [
      ...(container === undefined ? [] : await verifyConnector(storage(container))),
      ...(registry === undefined
        ? []
        : await verifyRegistry(registryPlace(registry, flags, context), common)),
      ...(cluster === undefined
        ? []
        : await verifyCluster({ cluster, find: () => parts.findCluster(cluster) }, common)),
    ]
    await print(results, flags.json === true, context)
    if (results.some(({ status }) => status === 'failed')) throw new ExitStatus(exitCodes.failure)
  } finally {
    await parts.close()
  }

  function storage(name: string): VerifyOptions & { readonly connector: URL } {
    const { account, blobEndpoint } = targetOf(config, [])
    const permissions = PERMISSIONS[flags.write === true ? 'write' : 'read']
    const { prefix } = config
    const scope = { account, service: 'blob', container: name, prefix, permissions } as const
    return { ...common, connector: connectorUrl, blobEndpoint, scope }
  }
}

/** A registry may be reached under another name: `ABFS_REGISTRIES`. */
function registryPlace(
  registry: string,
  { repository }: VerifyFlags,
  { environment }: CliContext,
): RegistryPlace {
  if (repository === undefined) throw usageError('--registry needs --repository NAME')
  const aliases = (environment['ABFS_REGISTRIES'] ?? '').split(/[\s,]+/)
  const host = aliases.find((each) => each.endsWith(`=${registry}`))?.split('=')[0] ?? registry
  return { registry, repository, url: new URL(`https://${host}`) }
}

function print(results: readonly CheckResult[], json: boolean, context: CliContext): Promise<void> {
  const passed = !results.some(({ status }) => status === 'failed')
  if (json) return context.stdout.json({ passed, checks: results })
  return context.stdout.line(formatTable(results.map(rowOf), [2]).join('\n'))
}

/** A check as one row of a table. */
export function rowOf({ name, status, durationMs, reason = '' }: CheckRow): readonly string[] {
  return [name, status, `${durationMs} ms`, reason]
}

/** What is shown of a check; its name may be of a later connector. */
export type CheckRow = Omit<CheckResult, 'name'> & { readonly name: string }
