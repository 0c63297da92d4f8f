import { type Labels, type Metric, type Point, prometheusText } from '../../metric.ts'
import type { AheadCounts } from '../../transfer/fetch-whole.ts'
import type { OtlpFigures } from '../otlp/otlp-request.ts'
import type { ChangeFeedReport, DriveReport } from './drive-report.ts'
import { boundsMs } from './histogram.ts'
import { requestClass } from './request-cost.ts'

/**
 * What is told of drives of one daemon: of each, labelled with its directory where `named`, and of the daemon, whose
 * requests are those of all.
 */
export function metricsOf(reports: readonly DriveReport[], named: boolean): readonly Metric[] {
  const [first] = reports
  return first === undefined ? [] : [...driveMetrics(reports, named), ...daemonMetrics(first)]
}

/**
 * Reports in the text format of Prometheus. Where a daemon serves several drives, what is told of each is labelled with its
 * directory.
 */
export function formatMetrics(reports: readonly DriveReport[]): string {
  return prometheusText(metricsOf(reports, reports.length > 1))
}

/** The same for OTLP; `undefined` while there is no drive. */
export function driveFigures(reports: readonly DriveReport[]): OtlpFigures | undefined {
  const [first] = reports
  if (first === undefined) return undefined
  const { sinceMs, atMs } = first.traffic
  return { scope: 'abfs.drive', metrics: metricsOf(reports, true), sinceMs, atMs }
}

function driveMetrics(reports: readonly DriveReport[], named: boolean): Metric[] {
  const drive = ({ directory }: DriveReport): Labels => (named ? { directory } : {})
  const calls = reports.flatMap((report) =>
    Object.entries(report.calls.byName).map(([call, counts]) => ({
      labels: { call, ...drive(report) },
      counts,
    })),
  )
  const each = (of: (report: DriveReport) => number): Point[] =>
    reports.map((report) => ({ labels: drive(report), value: of(report) }))
  const failed = calls.map(({ labels, counts }) => ({ labels, value: counts.failed }))
  return [
    {
      kind: 'histogram',
      name: 'abfs_drive_call_duration_seconds',
      help: 'Calls of programs, until answered.',
      boundsMs,
      points: calls,
    },
    counter('calls_failed_total', 'Calls answered with an error.', failed),
    counter(
      'read_bytes_total',
      'Given to programs.',
      each((report) => report.calls.readBytes),
    ),
    counter(
      'written_bytes_total',
      'Taken from programs.',
      each((report) => report.calls.writtenBytes),
    ),
    gauge(
      'unsaved_files',
      'Files whose last version is not in Azure.',
      each((report) => report.unsaved.length),
    ),
  ]
}

function daemonMetrics({
  traffic,
  diskCache,
  filesAhead,
  changeFeed,
  ...report
}: DriveReport): Metric[] {
  const requests = Object.entries(traffic.requestsByOperation).map(([operation, value]) => {
    return { labels: { operation, class: requestClass(operation) }, value }
  })
  const metrics = [
    counter('requests_total', 'HTTP attempts, by what Azure bills them as.', requests),
    counter('retries_total', 'Attempts that were not the first.', only(traffic.retries)),
    counter('hedges_total', 'Second requests for late reads.', only(traffic.hedges)),
    counter('batched_total', 'Operations within batches.', only(traffic.batched)),
    counter('received_bytes_total', 'Received over HTTP.', only(traffic.bytesReceived)),
    counter('sent_bytes_total', 'Sent over HTTP.', only(traffic.bytesSent)),
    counter('faults_total', 'Failures without a caller to tell.', only(traffic.faults)),
    counter(
      'estimated_dollars_total',
      'What the requests cost, roughly.',
      only(report.estimatedDollars),
    ),
    gauge('memory_cache_bytes', 'Blobs in memory.', only(report.memoryCacheBytes)),
    gauge('resident_bytes', 'Memory of the daemon.', only(report.residentBytes)),
    gauge(
      'credential_left_seconds',
      'Life of the latest credential.',
      only(traffic.credentials.lifeLeftMs / 1000),
    ),
  ]
  if (filesAhead !== undefined) metrics.push(...aheadMetrics(filesAhead))
  if (changeFeed !== undefined) metrics.push(...feedMetrics(changeFeed))
  if (diskCache === undefined) return metrics
  return [
    ...metrics,
    counter('disk_hit_bytes_total', 'Found on the local disk.', only(diskCache.hitBytes)),
    counter('disk_missed_bytes_total', 'Not found there.', only(diskCache.missedBytes)),
  ]
}

function aheadMetrics({ fetchedFiles, usedFiles }: AheadCounts): Metric[] {
  return [
    counter('files_ahead_total', 'Files fetched before they were opened.', only(fetchedFiles)),
    counter('files_ahead_used_total', 'Of these, those that were opened.', only(usedFiles)),
  ]
}

function feedMetrics({ failing, changes, foreign, failures }: ChangeFeedReport): Metric[] {
  return [
    gauge('change_feed_up', '1 while it can be read.', only(failing === undefined ? 1 : 0)),
    counter('change_feed_changes_total', 'Changes that it told of.', only(changes)),
    counter('change_feed_foreign_total', 'Changes that made something untrue.', only(foreign)),
    counter('change_feed_failures_total', 'Readings that failed.', only(failures)),
  ]
}

function counter(name: string, help: string, points: readonly Point[]): Metric {
  return { kind: 'counter', name: `abfs_drive_${name}`, help, points }
}

function gauge(name: string, help: string, points: readonly Point[]): Metric {
  return { kind: 'gauge', name: `abfs_drive_${name}`, help, points }
}

const only = (value: number): Point[] => [{ labels: {}, value }]
