import { randomBytes } from 'node:crypto'
import type { Command } from 'commander'
import { type CheckResult, verifyConnector } from '../../connector/verify.ts'
import { openVerifier, PERMISSIONS } from '../compose.ts'
import { type CliContext, configOf } from '../context.ts'
import { ExitStatus, exitCodes } from '../exit-codes.ts'
import { targetOf } from '../location.ts'
import { formatTable } from '../output.ts'
import { usageError } from '../usage.ts'

interface VerifyFlags {
  readonly container: string
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
  const { account, blobEndpoint } = targetOf(config, [])
  const { container } = flags
  const { prefix } = config
  const permissions = PERMISSIONS[flags.write === true ? 'write' : 'read']
  const parts = await openVerifier(config)
  try {
    const results = await verifyConnector({
      ...parts,
      connector,
      blobEndpoint,
      scope: { account, service: 'blob', container, prefix, permissions },
      nonce: randomBytes(6).toString('hex'),
      signal: context.signal,
    })
    await print(results, flags.json === true, context)
    if (results.some(({ status }) => status === 'failed')) throw new ExitStatus(exitCodes.failure)
  } finally {
    await parts.close()
  }
}

function print(results: readonly CheckResult[], json: boolean, context: CliContext): Promise<void> {
  const passed = !results.some(({ status }) => status === 'failed')
  if (json) return context.stdout.json({ passed, checks: results })
  const rows = results.map(({ name, status, durationMs, reason }) => [
    name,
    status,
    `${durationMs} ms`,
    reason ?? '',
  ])
  return context.stdout.line(formatTable(rows, [2]).join('\n'))
}
