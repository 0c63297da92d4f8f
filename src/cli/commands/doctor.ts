import type { Command } from 'commander'
import { addConnectionOptions, type CliContext } from '../context.ts'
import type { Finding } from '../drive/examine.ts'
import { ExitStatus, exitCodes } from '../exit-codes.ts'
import { parseRemote } from '../location.ts'
import { formatTable, printable } from '../output.ts'
import { describeError } from '../report-error.ts'
import { withAccount } from '../session.ts'

const HELP = `
Looks at the addon, the kernel, the helper of users who are not root, the settings, and the drives that
are mounted; with a URL it signs in and lists as well. Writes nothing. Ends with 1 when a look failed.

Examples:
  abfs doctor
  abfs doctor abfs://datasets
  abfs doctor --json | jq -r '.[] | select(.verdict != "ok") | .detail'`

/** Adds `abfs doctor`. */
export function defineDoctor(program: Command, context: CliContext): void {
  const command = program
    .command('doctor')
    .description('Find out why drives do not work on this machine.')
    .argument('[url]', 'a place to reach: abfs://CONTAINER[/PATH]')
    .option('--json', 'print one JSON array')
    .addHelpText('after', HELP)
    .action((url: string | undefined, flags: { readonly json?: true }) =>
      doctor({ url, json: flags.json === true }, command, context),
    )
  addConnectionOptions(command)
}

async function doctor(
  { url, json }: { readonly url: string | undefined; readonly json: boolean },
  command: Command,
  context: CliContext,
): Promise<void> {
  const { examineMachine } = await import('../drive/examine.ts')
  const findings = await examineMachine(context.environment, context.signal)
  if (url !== undefined) findings.push(await reach(url, command, context))
  if (json) await context.stdout.json(findings)
  else for (const line of describe(findings)) await context.stdout.line(line)
  const isIll = findings.some(({ verdict }) => verdict === 'failed')
  if (isIll) throw new ExitStatus(exitCodes.failure)
}

/** One listing with credentials to read. */
async function reach(text: string, command: Command, context: CliContext): Promise<Finding> {
  const url = parseRemote(text)
  try {
    const { container } = url
    const name = url.name.replace(/\/+$/, '')
    const entries = await withAccount(
      command,
      context,
      { access: 'read', urls: [url] },
      (account) => account.namespace.list({ container, name }, { signal: context.signal }),
    )
    return { name: text, verdict: 'ok', detail: `signed in; ${entries.length} names in it` }
  } catch (error) {
    return { name: text, verdict: 'failed', detail: describeError(error).line }
  }
}

function describe(findings: readonly Finding[]): string[] {
  return formatTable(
    findings.map(({ name, verdict, detail }) => [verdict, name, printable(detail)]),
  )
}
