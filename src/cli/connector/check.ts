import type { Command } from 'commander'
import { systemClock } from '../../clock.ts'
import type { Scope } from '../../credential/credential.ts'
import type { CliContext } from '../context.ts'
import { formatTable } from '../output.ts'
import { PERMISSIONS } from '../request-scope.ts'
import { withAccount } from '../session.ts'

interface CheckFlags {
  readonly container?: string
  readonly write?: true
  readonly json?: true
}

/** Obtains one credential and prints what is known of it, never the credential itself. */
export async function checkConnector(
  flags: CheckFlags,
  command: Command,
  context: CliContext,
): Promise<void> {
  const access = flags.write === true ? 'write' : 'read'
  await withAccount(command, context, { access, urls: [] }, async ({ credentials, target }) => {
    const permissions = PERMISSIONS[access]
    const { account } = target
    const scope: Scope = { account, service: 'blob', container: flags.container, permissions }
    const credential = await credentials.getCredential(scope, { signal: context.signal })
    const lifeSeconds = Math.floor((credential.expiresAtMs - systemClock.nowMs()) / 1000)
    const facts = {
      account,
      container: flags.container ?? null,
      permissions,
      kind: credential.kind,
      lifeSeconds,
    }
    if (flags.json === true) return context.stdout.json(facts)
    const rows = Object.entries(facts).map(([name, value]) => [name, String(value ?? '(account)')])
    return context.stdout.line(formatTable(rows).join('\n'))
  })
}
