import type { DriveReport } from './drive-report.ts'
import { boundsMs } from './histogram.ts'
import { type DurationPoint, type Labels, type Metric, metricsOf } from './metrics.ts'

/**
 * Reports in the text format of Prometheus. Where a daemon serves several drives, what is told of each is labelled with its
 * directory.
 */
export function formatMetrics(reports: readonly DriveReport[]): string {
  const metrics = metricsOf(reports, reports.length > 1)
  return metrics.flatMap(linesOf).join('')
}

function linesOf(metric: Metric): string[] {
  const { name, kind, help } = metric
  const head = [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`]
  const points =
    metric.kind === 'histogram'
      ? metric.points.flatMap((point) => histogramLines(name, point))
      : metric.points.map(({ labels, value }) => `${name}${inBraces(labels)} ${value}`)
  return [...head, ...points].map((line) => `${line}\n`)
}

function histogramLines(name: string, { labels, counts }: DurationPoint): string[] {
  let seen = 0
  const bucket = (le: string, count: number): string =>
    `${name}_bucket${inBraces({ ...labels, le })} ${count}`
  const buckets = boundsMs.map((boundMs, index) => {
    seen += counts.buckets[index] ?? 0
    return bucket(String(boundMs / 1000), seen)
  })
  return [
    ...buckets,
    bucket('+Inf', counts.count),
    `${name}_sum${inBraces(labels)} ${(counts.totalMs / 1000).toFixed(6)}`,
    `${name}_count${inBraces(labels)} ${counts.count}`,
  ]
}

function inBraces(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escaped(value: string): string {
  return value.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')
}
