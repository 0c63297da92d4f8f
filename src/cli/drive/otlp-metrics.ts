/** Reports as OTLP sends them: `ExportMetricsServiceRequest` in the JSON encoding of protobuf (opentelemetry-proto 1.x). */
import type { DriveReport } from './drive-report.ts'
import { boundsMs } from './histogram.ts'
import { type DurationPoint, type Labels, type Metric, metricsOf, type Point } from './metrics.ts'

/** `AGGREGATION_TEMPORALITY_CUMULATIVE`: since the daemon began, so that one that is lost is made good by the next. */
const cumulative = 2

/** A request with all that is told of `reports`; `resource` says of whom. */
export function otlpMetrics(reports: readonly DriveReport[], resource: Labels): object {
  const [first] = reports
  const times = {
    startTimeUnixNano: nanoseconds(first?.traffic.sinceMs ?? 0),
    timeUnixNano: nanoseconds(first?.traffic.atMs ?? 0),
  }
  const metrics = metricsOf(reports, true)
    .filter(({ points }) => points.length > 0)
    .map((metric) => encoded(metric, times))
  const scopeMetrics = [{ scope: { name: 'abfs.drive' }, metrics }]
  return { resourceMetrics: [{ resource: { attributes: attributesOf(resource) }, scopeMetrics }] }
}

interface Times {
  readonly startTimeUnixNano: string
  readonly timeUnixNano: string
}

function encoded(metric: Metric, times: Times): object {
  const { name, help: description } = metric
  const head = { ...namesOf(name), description }
  if (metric.kind === 'histogram') {
    const dataPoints = metric.points.map((point) => ({ ...times, ...histogramPoint(point) }))
    return { ...head, histogram: { aggregationTemporality: cumulative, dataPoints } }
  }
  const { timeUnixNano } = times
  if (metric.kind === 'gauge') {
    return {
      ...head,
      gauge: {
        dataPoints: metric.points.map((point) => ({ timeUnixNano, ...numberPoint(point) })),
      },
    }
  }
  const dataPoints = metric.points.map((point) => ({ ...times, ...numberPoint(point) }))
  return { ...head, sum: { aggregationTemporality: cumulative, isMonotonic: true, dataPoints } }
}

/** Prometheus' name has the unit and the kind in it, which OTLP tells apart; whoever makes one of the other adds them. */
function namesOf(name: string): { readonly name: string; readonly unit: string } {
  const bare = name.replace(/_total$/, '').replace(/^abfs_drive_/, 'abfs.drive.')
  const unit = /_bytes$/.test(bare) ? 'By' : /_seconds$/.test(bare) ? 's' : ''
  return { name: bare.replace(/_(bytes|seconds)$/, ''), unit }
}

/** 64-bit numbers are strings in this encoding. */
function numberPoint({ labels, value }: Point): object {
  const number = Number.isInteger(value) ? { asInt: String(value) } : { asDouble: value }
  return { attributes: attributesOf(labels), ...number }
}

function histogramPoint({ labels, counts }: DurationPoint): object {
  return {
    attributes: attributesOf(labels),
    count: String(counts.count),
    sum: counts.totalMs / 1000,
    bucketCounts: counts.buckets.map(String),
    explicitBounds: boundsMs.map((boundMs) => boundMs / 1000),
  }
}

function attributesOf(labels: Labels): object[] {
  return Object.entries(labels).map(([key, stringValue]) => ({ key, value: { stringValue } }))
}

const nanoseconds = (ms: number): string => `${Math.trunc(ms)}000000`
