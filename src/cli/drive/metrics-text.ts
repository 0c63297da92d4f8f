import type { CallReport } from './call-meter.ts'
import type { DriveReport } from './drive-report.ts'
import { boundsMs } from './histogram.ts'
import { requestClass } from './request-cost.ts'

/**
 * Reports in the text format of Prometheus. No label is a file's name. Where a daemon serves several
 * drives, what is told of each is labelled with its directory; requests are those of the daemon.
 */
export function formatMetrics(reports: readonly DriveReport[]): string {
  const [first] = reports
  if (first === undefined) return ''
  return `${[...driveLines(reports), ...daemonLines(first)].join('\n')}\n`
}

function driveLines(reports: readonly DriveReport[]): string[] {
  const several = reports.length > 1
  const each = (line: (report: DriveReport, label: string) => string | string[]): string[] =>
    reports.flatMap((report) => line(report, several ? labelOf(report) : ''))
  const calls = (line: (name: string, counts: Counts, label: string) => string | string[]) =>
    each(({ calls: { byName } }, label) =>
      Object.entries(byName).flatMap(([name, counts]) =>
        line(name, counts, `call="${name}"${label === '' ? '' : `,${label}`}`),
      ),
    )
  const value = (name: string, of: (report: DriveReport) => number) =>
    each((report, label) => `${name}${label === '' ? '' : `{${label}}`} ${of(report)}`)
  return [
    ...family(duration, 'histogram', 'Calls of programs, until answered.'),
    ...calls((_name, counts, labels) => histogramLines(counts, labels)),
    ...family('abfs_drive_calls_failed_total', 'counter', 'Calls answered with an error.'),
    ...calls((_name, { failed }, labels) => `abfs_drive_calls_failed_total{${labels}} ${failed}`),
    ...family('abfs_drive_read_bytes_total', 'counter', 'Given to programs.'),
    ...value('abfs_drive_read_bytes_total', (report) => report.calls.readBytes),
    ...family('abfs_drive_written_bytes_total', 'counter', 'Taken from programs.'),
    ...value('abfs_drive_written_bytes_total', (report) => report.calls.writtenBytes),
    ...family('abfs_drive_unsaved_files', 'gauge', 'Files whose last version is not in Azure.'),
    ...value('abfs_drive_unsaved_files', (report) => report.unsaved.length),
  ]
}

function daemonLines({ traffic, diskCache, ...report }: DriveReport): string[] {
  const requests = 'abfs_drive_requests_total'
  const lines = [
    ...family(requests, 'counter', 'HTTP attempts, by what Azure bills them as.'),
    ...Object.entries(traffic.requestsByOperation).map(
      ([name, count]) => `${requests}{operation="${name}",class="${requestClass(name)}"} ${count}`,
    ),
    ...single('abfs_drive_retries_total', 'Attempts that were not the first.', traffic.retries),
    ...single('abfs_drive_hedges_total', 'Second requests for late reads.', traffic.hedges),
    ...single('abfs_drive_batched_total', 'Operations within batches.', traffic.batched),
    ...single('abfs_drive_received_bytes_total', 'Received over HTTP.', traffic.bytesReceived),
    ...single('abfs_drive_sent_bytes_total', 'Sent over HTTP.', traffic.bytesSent),
    ...single('abfs_drive_faults_total', 'Failures without a caller to tell.', traffic.faults),
    ...single(
      'abfs_drive_estimated_dollars_total',
      'What the requests cost, roughly.',
      report.estimatedDollars,
    ),
    ...gauge('abfs_drive_memory_cache_bytes', 'Blobs in memory.', report.memoryCacheBytes),
    ...gauge('abfs_drive_resident_bytes', 'Memory of the daemon.', report.residentBytes),
    ...gauge(
      'abfs_drive_credential_left_seconds',
      'Life of the latest credential.',
      traffic.credentials.lifeLeftMs / 1000,
    ),
  ]
  if (diskCache === undefined) return lines
  return [
    ...lines,
    ...single('abfs_drive_disk_hit_bytes_total', 'Found on the local disk.', diskCache.hitBytes),
    ...single('abfs_drive_disk_missed_bytes_total', 'Not found there.', diskCache.missedBytes),
  ]
}

const duration = 'abfs_drive_call_duration_seconds'

type Counts = CallReport['byName'][string]

function histogramLines(counts: Counts, labels: string): string[] {
  let seen = 0
  const buckets = boundsMs.map((boundMs, index) => {
    seen += counts.buckets[index] ?? 0
    return `${duration}_bucket{${labels},le="${boundMs / 1000}"} ${seen}`
  })
  return [
    ...buckets,
    `${duration}_bucket{${labels},le="+Inf"} ${counts.count}`,
    `${duration}_sum{${labels}} ${(counts.totalMs / 1000).toFixed(6)}`,
    `${duration}_count{${labels}} ${counts.count}`,
  ]
}

function labelOf({ directory }: DriveReport): string {
  const value = directory.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')
  return `directory="${value}"`
}

function single(name: string, help: string, value: number): string[] {
  return [...family(name, 'counter', help), `${name} ${value}`]
}

function gauge(name: string, help: string, value: number): string[] {
  return [...family(name, 'gauge', help), `${name} ${value}`]
}

function family(name: string, type: string, help: string): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`]
}
