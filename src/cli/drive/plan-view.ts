import type { CliContext } from '../context.ts'
import { ExitStatus, exitCodes } from '../exit-codes.ts'
import { formatTable, printable } from '../output.ts'
import type { Plan } from './plan.ts'

/** Prints `plan`; throws the status 1 where the mount would fail. */
export async function showPlan(plan: Plan, json: boolean, context: CliContext): Promise<void> {
  const isWell = plan.findings.every(({ verdict }) => verdict !== 'failed')
  if (json) await context.stdout.json({ ok: isWell, ...plan })
  else for (const line of describePlan(plan, isWell)) await context.stdout.line(line)
  if (!isWell) throw new ExitStatus(exitCodes.failure)
}

function describePlan({ settings, findings }: Plan, isWell: boolean): string[] {
  const values = settings.map(({ name, value, origin }) => {
    return [name, value === null ? '-' : printable(String(value)), origin]
  })
  const looks = findings.map(({ verdict, name, detail }) => [verdict, name, printable(detail)])
  return [
    ...formatTable([['SETTING', 'VALUE', 'FROM'], ...values]),
    '',
    ...formatTable(looks),
    '',
    isWell ? 'this would mount; nothing was mounted' : 'this would fail; nothing was mounted',
  ]
}
