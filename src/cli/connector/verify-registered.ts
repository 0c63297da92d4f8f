import { z } from 'zod'
import type { CliContext } from '../context.ts'
import { ExitStatus, exitCodes } from '../exit-codes.ts'
import { formatTable, printable } from '../output.ts'
import { type AdminFlags, withAdminApi } from './admin-api.ts'
import { rowOf } from './verify.ts'

/** What is tried of a registered connector. */
export interface StoredFlags extends AdminFlags {
  readonly connector?: string
  readonly resource?: string
  readonly container?: string
  readonly repository?: string
  readonly write?: true
}

const report = z.looseObject({
  connector: z.string(),
  passed: z.boolean(),
  identity: z.record(z.string(), z.string()),
  checks: z.array(
    z.looseObject({
      name: z.string(),
      status: z.enum(['passed', 'failed', 'skipped']),
      durationMs: z.number(),
      reason: z.string().optional(),
      resource: z.string().optional(),
    }),
  ),
  uncheckedResources: z.number(),
})

/** Has the connector try itself, and prints its report. Ends with 1 when a check failed. */
export async function verifyRegistered(
  name: string,
  flags: StoredFlags,
  context: CliContext,
): Promise<void> {
  const { resource, container, repository, write = false } = flags
  const path = `/v1/connectors/${encodeURIComponent(name)}:verify`
  const body = { resource, container, repository, write }
  const answer = await withAdminApi(flags, context, (api) => api.ask('POST', path, body))
  const found = report.parse(answer)
  if (flags.json === true) await context.stdout.json(found)
  else await context.stdout.line(textOf(found))
  if (!found.passed) throw new ExitStatus(exitCodes.failure)
}

function textOf({ identity, checks, uncheckedResources }: z.output<typeof report>): string {
  const facts = Object.entries(identity).map(([name, value]) => `${name} ${value}`)
  const rows = checks.map((check) => [...rowOf(check), check.resource ?? ''].map(printable))
  const unchecked =
    uncheckedResources === 0 ? [] : [`${uncheckedResources} resources were not looked at`]
  return [printable(facts.join(', ')), ...formatTable(rows, [2]), ...unchecked].join('\n')
}
