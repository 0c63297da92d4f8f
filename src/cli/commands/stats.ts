import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import type { DriveReport } from '../drive/drive-report.ts'
import type { DriveRecord } from '../drive/registry.ts'

interface StatsFlags {
  readonly watch?: true
  readonly interval: string
  readonly prices?: string
  readonly json?: true
}

const HELP = `
Rates and latencies are of the time since the last look, without --watch since the drive began.
Calls that the kernel answers from what it was told before are not counted: they reach nobody.
Amplification is how much content of files came from Azure for a byte that programs read.

Examples:
  abfs stats /mnt/datasets
  abfs stats /mnt/datasets --watch
  abfs stats /mnt/datasets --json | jq .traffic.requestsByOperation`

/** Adds `abfs stats`. */
export function defineStats(program: Command, context: CliContext): void {
  program
    .command('stats')
    .description('Show what a drive does: calls, bytes, requests and what they cost.')
    .argument('<directory>', 'where the drive is mounted')
    .option('-w, --watch', 'again and again, until Ctrl-C')
    .option('--interval <seconds>', 'between two looks', '1')
    .option(
      '--prices <list>',
      'dollars for 10,000 requests: write=0.05,list=0.05,read=0.004,other=0.004',
    )
    .option('--json', 'print one JSON object; with --watch one a look')
    .addHelpText('after', HELP)
    .action((directory: string, flags: StatsFlags) => stats(directory, flags, context))
}

async function stats(directory: string, flags: StatsFlags, context: CliContext): Promise<void> {
  const { driveAt } = await import('../drive/drive-at.ts')
  const { askReport } = await import('../drive/control-client.ts')
  const record = await driveAt(directory, context)
  const report = await askReport(record, context.signal)
  await show(report, undefined, flags, context)
  if (flags.watch === true) await watch(record, report, flags, context)
}

async function watch(
  record: DriveRecord,
  first: DriveReport,
  flags: StatsFlags,
  context: CliContext,
): Promise<void> {
  const { askReport } = await import('../drive/control-client.ts')
  const { parseSeconds } = await import('../drive/drive-options.ts')
  const { systemClock } = await import('../../clock.ts')
  const { signal } = context
  // Never without a pause: the daemon has others to serve.
  const intervalMs = Math.max(100, parseSeconds('--interval', flags.interval) * 1000)
  for (let before = first; ; ) {
    await systemClock.sleep(intervalMs, signal)
    const report = await askReport(record, signal)
    await show(report, before, flags, context)
    before = report
  }
}

async function show(
  report: DriveReport,
  before: DriveReport | undefined,
  flags: StatsFlags,
  { stdout }: CliContext,
): Promise<void> {
  const { estimateDollars, parsePrices } = await import('../drive/request-cost.ts')
  const prices = flags.prices === undefined ? undefined : parsePrices(flags.prices)
  if (flags.json === true) {
    const { requestsByOperation } = report.traffic
    const own = prices && { estimatedDollars: estimateDollars(requestsByOperation, prices) }
    return stdout.json({ ...report, ...own })
  }
  const { describeReport } = await import('../drive/stats-view.ts')
  const lines = describeReport(report, before, prices)
  const isScreen = flags.watch === true && stdout.isTerminal
  const text = isScreen ? `${clearScreen}${stdout.fitted(lines).join('\n')}` : lines.join('\n')
  await stdout.write(`${text}\n`)
}

const clearScreen = '\u001b[H\u001b[2J'
