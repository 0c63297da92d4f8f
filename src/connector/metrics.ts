import type { AuditAction } from './audit.ts'

/** What became of one request. `reason` is the problem's; empty when it was granted. */
export interface Outcome {
  readonly action: AuditAction
  readonly decision: 'granted' | 'denied' | 'failed'
  readonly reason: string
}

/** Upper bounds in seconds. */
const bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20]

interface Series {
  readonly labels: string
  readonly buckets: number[]
  count: number
  sumSeconds: number
}

/**
 * Counts and latencies of requests, in the text format of Prometheus. Labels come from closed sets
 * alone: nothing of a caller, a scope or a credential.
 */
export class Metrics {
  readonly #totals = new Map<string, number>()
  readonly #latencies = new Map<string, Series>()

  /** Counts one answered request. */
  observe(outcome: Outcome, durationMs: number): void {
    const { action, decision, reason } = outcome
    const labels = `action="${action}",outcome="${decision}"`
    const total = `${labels},reason="${reason}"`
    this.#totals.set(total, (this.#totals.get(total) ?? 0) + 1)
    const series = this.#series(labels)
    const seconds = Math.max(0, durationMs) / 1000
    series.count += 1
    series.sumSeconds += seconds
    for (const [index, bound] of bounds.entries()) {
      if (seconds <= bound) series.buckets[index] = (series.buckets[index] ?? 0) + 1
    }
  }

  /** All of it; `ready` is what the identity was last known to be, if it was ever asked. */
  format(ready: boolean | undefined): string {
    const lines = [
      '# HELP abfs_connector_requests_total Requests for credentials and tokens.',
      '# TYPE abfs_connector_requests_total counter',
      ...[...this.#totals].map(([labels, n]) => `abfs_connector_requests_total{${labels}} ${n}`),
      '# HELP abfs_connector_request_duration_seconds Time from the headers to the answer.',
      '# TYPE abfs_connector_request_duration_seconds histogram',
      ...[...this.#latencies.values()].flatMap(histogramLines),
    ]
    if (ready !== undefined) {
      lines.push(
        '# HELP abfs_connector_identity_ready Whether the identity could sign in when last asked.',
        '# TYPE abfs_connector_identity_ready gauge',
        `abfs_connector_identity_ready ${ready ? 1 : 0}`,
      )
    }
    return `${lines.join('\n')}\n`
  }

  #series(labels: string): Series {
    const known = this.#latencies.get(labels)
    if (known !== undefined) return known
    const series = { labels, buckets: bounds.map(() => 0), count: 0, sumSeconds: 0 }
    this.#latencies.set(labels, series)
    return series
  }
}

function histogramLines({ labels, buckets, count, sumSeconds }: Series): string[] {
  const name = 'abfs_connector_request_duration_seconds'
  return [
    ...bounds.map((bound, index) => `${name}_bucket{${labels},le="${bound}"} ${buckets[index]}`),
    `${name}_bucket{${labels},le="+Inf"} ${count}`,
    `${name}_sum{${labels}} ${Number(sumSeconds.toFixed(6))}`,
    `${name}_count{${labels}} ${count}`,
  ]
}
