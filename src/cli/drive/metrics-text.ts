import type { CallReport } from './call-meter.ts'
import type { DriveReport } from './drive-report.ts'
import { boundsMs } from './histogram.ts'
import { requestClass } from './request-cost.ts'

/** A report in the text format of Prometheus. No label is a file's name. */
export function formatMetrics(report: DriveReport): string {
  const { calls, traffic, diskCache } = report
  const lines = [
    ...family(
      'abfs_drive_call_duration_seconds',
      'histogram',
      'Calls of programs, until answered.',
    ),
    ...Object.entries(calls.byName).flatMap(([name, counts]) => histogramLines(name, counts)),
    ...family('abfs_drive_calls_failed_total', 'counter', 'Calls answered with an error.'),
    ...Object.entries(calls.byName).map(
      ([name, { failed }]) => `abfs_drive_calls_failed_total{call="${name}"} ${failed}`,
    ),
    ...single('abfs_drive_read_bytes_total', 'Given to programs.', calls.readBytes),
    ...single('abfs_drive_written_bytes_total', 'Taken from programs.', calls.writtenBytes),
    ...family(
      'abfs_drive_requests_total',
      'counter',
      'HTTP attempts, by what Azure bills them as.',
    ),
    ...Object.entries(traffic.requestsByOperation).map(
      ([name, count]) =>
        `abfs_drive_requests_total{operation="${name}",class="${requestClass(name)}"} ${count}`,
    ),
    ...single('abfs_drive_retries_total', 'Attempts that were not the first.', traffic.retries),
    ...single('abfs_drive_received_bytes_total', 'Received over HTTP.', traffic.bytesReceived),
    ...single('abfs_drive_sent_bytes_total', 'Sent over HTTP.', traffic.bytesSent),
    ...single('abfs_drive_faults_total', 'Failures without a caller to tell.', traffic.faults),
    ...single(
      'abfs_drive_estimated_dollars_total',
      'What the requests cost, roughly.',
      report.estimatedDollars,
    ),
    ...gauge(
      'abfs_drive_unsaved_files',
      'Files whose last version is not in Azure.',
      report.unsaved.length,
    ),
    ...gauge(
      'abfs_drive_memory_cache_bytes',
      'Blocks of blobs in memory.',
      report.memoryCacheBytes,
    ),
    ...gauge('abfs_drive_resident_bytes', 'Memory of the daemon.', report.residentBytes),
    ...gauge(
      'abfs_drive_credential_left_seconds',
      'Life of the latest credential.',
      traffic.credentials.lifeLeftMs / 1000,
    ),
  ]
  if (diskCache !== undefined) {
    lines.push(
      ...single('abfs_drive_disk_hit_bytes_total', 'Found on the local disk.', diskCache.hitBytes),
      ...single('abfs_drive_disk_missed_bytes_total', 'Not found there.', diskCache.missedBytes),
    )
  }
  return `${lines.join('\n')}\n`
}

function histogramLines(name: string, counts: CallReport['byName'][string]): string[] {
  const metric = 'abfs_drive_call_duration_seconds'
  let seen = 0
  const buckets = boundsMs.map((boundMs, index) => {
    seen += counts.buckets[index] ?? 0
    return `${metric}_bucket{call="${name}",le="${boundMs / 1000}"} ${seen}`
  })
  return [
    ...buckets,
    `${metric}_bucket{call="${name}",le="+Inf"} ${counts.count}`,
    `${metric}_sum{call="${name}"} ${(counts.totalMs / 1000).toFixed(6)}`,
    `${metric}_count{call="${name}"} ${counts.count}`,
  ]
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
