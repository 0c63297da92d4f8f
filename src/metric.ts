/** What a process tells of itself in numbers, and Prometheus' text of it; OTLP's is in `cli/otlp`. */

/** One figure, whatever the format. Prometheus' name says the unit. */
export type Metric =
  | {
      readonly kind: 'counter' | 'gauge'
      readonly name: string
      readonly help: string
      readonly points: readonly Point[]
    }
  | {
      readonly kind: 'histogram'
      readonly name: string
      readonly help: string
      /** Upper bounds of the buckets but the last, which has none. */
      readonly boundsMs: readonly number[]
      readonly points: readonly DurationPoint[]
    }

/** What tells points of one metric apart; no value is a file's name, a caller's, or a secret. */
export type Labels = Readonly<Record<string, string>>

export interface Point {
  readonly labels: Labels
  readonly value: number
}

/** Durations of one kind. */
export interface DurationPoint {
  readonly labels: Labels
  readonly counts: {
    readonly count: number
    readonly totalMs: number
    /** How many are in each bucket, one more than there are bounds. */
    readonly buckets: readonly number[]
  }
}

/** `metrics` in the text format of Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/ */
export function prometheusText(metrics: readonly Metric[]): string {
  return metrics.flatMap(linesOf).join('')
}

function linesOf(metric: Metric): string[] {
  const { name, kind, help } = metric
  const head = [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`]
  const points =
    metric.kind === 'histogram'
      ? metric.points.flatMap((point) => histogramLines(name, metric.boundsMs, point))
      : metric.points.map(({ labels, value }) => `${name}${inBraces(labels)} ${value}`)
  return [...head, ...points].map((line) => `${line}\n`)
}

function histogramLines(
  name: string,
  boundsMs: readonly number[],
  { labels, counts }: DurationPoint,
): string[] {
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
    `${name}_sum${inBraces(labels)} ${Number((counts.totalMs / 1000).toFixed(6))}`,
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
