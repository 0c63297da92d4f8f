import { formatBytes, formatTable, printable } from '../output.ts'
import { amplification, type DriveReport, diskHitShare } from './drive-report.ts'
import { quantileMs } from './histogram.ts'
import { estimateDollars, type Prices, requestClass } from './request-cost.ts'

/** A report in lines for people; with `before`, rates since that one stand in the place of totals. */
export function describeReport(
  report: DriveReport,
  before?: DriveReport,
  prices?: Prices,
): string[] {
  const sinceMs = before?.traffic.atMs ?? report.traffic.sinceMs
  const seconds = Math.max(0.001, (report.traffic.atMs - sinceMs) / 1000)
  const { requestsByOperation } = report.traffic
  const dollars =
    prices === undefined ? report.estimatedDollars : estimateDollars(requestsByOperation, prices)
  return [
    `${printable(report.source)} on ${printable(report.directory)}, pid ${report.pid}, ` +
      `${formatBytes(report.residentBytes)} resident, the last ${Math.round(seconds)} s`,
    '',
    ...bytesTable(report, before, seconds),
    `amplification ${ratio(amplification(report))}   disk hits ${percent(diskHitShare(report))}   ` +
      `retries ${report.traffic.retries}   hedges ${report.traffic.hedges}   faults ${report.traffic.faults}   ` +
      `unsaved ${report.unsaved.length}`,
    `passthrough ${report.whyNoPassthrough === undefined ? 'on' : `off: ${report.whyNoPassthrough}`}`,
    ...aheadLine(report),
    ...feedLine(report),
    '',
    ...callTable(report, before, seconds),
    '',
    ...requestTable(report, before, seconds),
    `about ${formatDollars(dollars)} for all requests since the drive began (an estimate: docs/drive.md)`,
  ]
}

function aheadLine({ filesAhead }: DriveReport): string[] {
  if (filesAhead === undefined || filesAhead.fetchedFiles === 0) return []
  const { fetchedFiles, fetchedBytes, usedFiles, usedBytes } = filesAhead
  const used = `${usedFiles} (${formatBytes(usedBytes)}) of them used`
  return [`files ahead ${fetchedFiles} (${formatBytes(fetchedBytes)}), ${used}`]
}

function feedLine({ changeFeed, traffic }: DriveReport): string[] {
  if (changeFeed === undefined) return []
  const { readAtMs, changes, foreign, failing } = changeFeed
  const ago =
    readAtMs === undefined
      ? 'not read yet'
      : `read ${Math.round((traffic.atMs - readAtMs) / 1000)} s ago`
  const state = failing === undefined ? '' : `; failing: ${failing}`
  return [`change feed ${ago}, ${changes} changes, ${foreign} of others here${state}`]
}

/** Cents and more as such, less with two digits that are not zero. */
export function formatDollars(dollars: number): string {
  if (dollars === 0 || dollars >= 1) return `$${dollars.toFixed(2)}`
  const decimals = 1 - Math.floor(Math.log10(dollars))
  return `$${dollars.toFixed(Math.min(Math.max(decimals, 4), 12))}`
}

function bytesTable(
  report: DriveReport,
  before: DriveReport | undefined,
  seconds: number,
): string[] {
  const row = (name: string, of: (each: DriveReport) => number): string[] => {
    const moved = of(report) - (before === undefined ? 0 : of(before))
    return [name, formatBytes(of(report)), `${formatBytes(Math.round(moved / seconds))}/s`]
  }
  const rows = [
    ['BYTES', 'TOTAL', 'RATE'],
    row('read by programs', ({ calls }) => calls.readBytes),
    row('written by programs', ({ calls }) => calls.writtenBytes),
    row('received', ({ traffic }) => traffic.bytesReceived),
    row('sent', ({ traffic }) => traffic.bytesSent),
  ]
  return formatTable(rows, [1, 2])
}

function callTable(
  report: DriveReport,
  before: DriveReport | undefined,
  seconds: number,
): string[] {
  const rows = Object.entries(report.calls.byName).map(([name, counts]) => {
    const earlier = before?.calls.byName[name]
    const made = counts.count - (earlier?.count ?? 0)
    const buckets = counts.buckets.map((count, index) => count - (earlier?.buckets[index] ?? 0))
    const quantiles = [0.5, 0.99].map((share) =>
      made === 0 ? '-' : bound(quantileMs(buckets, share)),
    )
    return [
      name,
      String(counts.count),
      (made / seconds).toFixed(1),
      ...quantiles,
      String(counts.failed),
    ]
  })
  return formatTable(
    [['CALL', 'COUNT', 'PER S', 'P50 MS', 'P99 MS', 'FAILED'], ...rows],
    [1, 2, 3, 4, 5],
  )
}

function requestTable(
  report: DriveReport,
  before: DriveReport | undefined,
  seconds: number,
): string[] {
  const earlier = before?.traffic.requestsByOperation ?? {}
  const rows = Object.entries(report.traffic.requestsByOperation).map(([name, count]) => {
    const rate = (count - (earlier[name] ?? 0)) / seconds
    return [name, requestClass(name), String(count), rate.toFixed(1)]
  })
  return formatTable([['REQUEST', 'BILLED AS', 'COUNT', 'PER S'], ...rows], [2, 3])
}

function bound(ms: number): string {
  return Number.isFinite(ms) ? `<${ms}` : '>16384'
}

function ratio(value: number | undefined): string {
  return value === undefined ? '-' : `${value.toFixed(2)}×`
}

function percent(share: number | undefined): string {
  return share === undefined ? '-' : `${Math.round(share * 100)} %`
}
