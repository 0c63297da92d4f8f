/** Metrics as OTLP sends them: `ExportMetricsServiceRequest` in the JSON encoding of protobuf (opentelemetry-proto 1.x). */
import type { DurationPoint, Labels, Metric, Point } from '../../metric.ts'

/** What one export tells; times are milliseconds since the epoch. */
export interface OtlpFigures {
  /** What tells: `abfs.drive`. */
  readonly scope: string
  readonly metrics: readonly Metric[]
  /** When counting began. */
  readonly sinceMs: number
  readonly atMs: number
}

/** `AGGREGATION_TEMPORALITY_CUMULATIVE`: since the process began, so that one that is lost is made good by the next. */
const cumulative = 2

/** A request with all of `figures`; `resource` says of whom. */
export function otlpRequest(figures: OtlpFigures, resource: Labels): object {
  const times = {
    startTimeUnixNano: nanoseconds(figures.sinceMs),
    timeUnixNano: nanoseconds(figures.atMs),
  }
  const metrics = figures.metrics
    .filter(({ points }) => points.length > 0)
    .map((metric) => encoded(metric, times))
  const scopeMetrics = [{ scope: { name: figures.scope }, metrics }]
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
    const dataPoints = metric.points.map((point) => ({
      ...times,
      ...histogramPoint(metric.boundsMs, point),
    }))
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
  const bare = name.replace(/_total$/, '').replace(/^abfs_([a-z]+)_/, 'abfs.$1.')
  const unit = /_bytes$/.test(bare) ? 'By' : /_seconds$/.test(bare) ? 's' : ''
  return { name: bare.replace(/_(bytes|seconds)$/, ''), unit }
}

/** 64-bit numbers are strings in this encoding. */
function numberPoint({ labels, value }: Point): object {
  const number = Number.isInteger(value) ? { asInt: String(value) } : { asDouble: value }
  return { attributes: attributesOf(labels), ...number }
}

function histogramPoint(boundsMs: readonly number[], { labels, counts }: DurationPoint): object {
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
