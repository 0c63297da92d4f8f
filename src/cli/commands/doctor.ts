import type { Command } from 'commander'
import { addConnectionOptions, type CliContext, configOf } from '../context.ts'
import type { Finding } from '../drive/examine.ts'
import { ExitStatus, exitCodes } from '../exit-codes.ts'
import { parseRemote, targetOf } from '../location.ts'
import { formatCount, formatTable, printable } from '../output.ts'
import { describeError } from '../report-error.ts'
import { withAccount } from '../session.ts'
import { usageError } from '../usage.ts'

const HELP = `
Looks at the addon, the kernel, the helper of users who are not root, the settings, the drives that are
mounted, the disk that they cache on, and files that drives could not store. With a URL it compares
the clock, signs in, and looks for names that a drive cannot show, among the first 50,000. Writes
nothing. Ends with 1 when a look failed.

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
    .option('--cache-dir <directory>', 'the cache that drives use (ABFS_CACHE_DIR)')
    .option('--driver <name>', 'fuse-native: what drives by that driver lack')
    .option('--json', 'print one JSON array')
    .addHelpText('after', HELP)
    .action((url: string | undefined, flags: { readonly json?: true }) =>
      doctor({ url, json: flags.json === true }, command, context),
    )
  addConnectionOptions(command)
}

interface DoctorFlags {
  readonly cacheDir?: string
  readonly driver?: string
}

async function doctor(
  { url, json }: { readonly url: string | undefined; readonly json: boolean },
  command: Command,
  context: CliContext,
): Promise<void> {
  const { examineMachine } = await import('../drive/examine.ts')
  const { examineCache, examineJournals } = await import('../drive/examine-local.ts')
  const { stateDirectory } = await import('../../config.ts')
  const { environment, signal } = context
  const flags = command.opts<DoctorFlags>()
  if (flags.driver !== undefined && flags.driver !== 'fuse-native') {
    throw usageError(`--driver must be fuse-native, not '${flags.driver}'`)
  }
  const cacheDir = flags.cacheDir ?? environment['ABFS_CACHE_DIR']
  const state = stateDirectory(environment)
  const findings = [
    ...(await examineMachine(environment, signal)),
    { name: 'cache', ...(await examineCache(cacheDir, state)) },
    ...(await examineJournals(cacheDir === undefined ? [state] : [cacheDir, state])),
    ...(flags.driver === 'fuse-native' ? await limitsOfFuseNative() : []),
    ...(url === undefined
      ? []
      : [...(await clockAt(url, command, context)), ...(await reach(url, command, context))]),
  ]
  if (json) await context.stdout.json(findings)
  else for (const line of describe(findings)) await context.stdout.line(line)
  const isIll = findings.some(({ verdict }) => verdict === 'failed')
  if (isIll) throw new ExitStatus(exitCodes.failure)
}

async function limitsOfFuseNative(): Promise<Finding[]> {
  const { fuseNativeLimits } = await import('../../fuse/fuse-native/limits.ts')
  return fuseNativeLimits.map((detail) => ({ name: 'fuse-native', verdict: 'warned', detail }))
}

/** Before signing in, which may fail for it. What cannot be reached is told by `reach`. */
async function clockAt(text: string, command: Command, context: CliContext): Promise<Finding[]> {
  const { openTransport } = await import('../../http/transport.ts')
  const { readAuthorities } = await import('../authorities.ts')
  const { examineClock } = await import('../drive/examine-clock.ts')
  const { systemClock } = await import('../../clock.ts')
  const config = await configOf(command, context)
  const { blobEndpoint } = targetOf(config, [parseRemote(text)])
  const sockets = await openTransport(config.transport, { ca: readAuthorities(config) })
  try {
    return [await examineClock(blobEndpoint, sockets.handle, systemClock, context.signal)]
  } catch {
    return []
  } finally {
    await sockets.close()
  }
}

/** One listing with credentials to read, and a look at all names, as far as that is not too far. */
async function reach(text: string, command: Command, context: CliContext): Promise<Finding[]> {
  const url = parseRemote(text)
  try {
    const { container } = url
    const name = url.name.replace(/\/+$/, '')
    const { examineNames } = await import('../drive/examine-names.ts')
    const { signal } = context
    return await withAccount(command, context, { access: 'read', urls: [url] }, async (account) => {
      const { length } = await account.namespace.list({ container, name }, { signal })
      const names = await examineNames(account, { container, name }, signal)
      return [
        { name: text, verdict: 'ok', detail: `signed in; ${formatCount(length, 'name')} in it` },
        names,
      ]
    })
  } catch (error) {
    return [{ name: text, verdict: 'failed', detail: describeError(error).line }]
  }
}

function describe(findings: readonly Finding[]): string[] {
  return formatTable(
    findings.map(({ name, verdict, detail }) => [verdict, name, printable(detail)]),
  )
}
