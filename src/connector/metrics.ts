import { type DurationPoint, type Metric, type Point, prometheusText } from '../metric.ts'
import type { AuditAction } from './audit.ts'

/** What became of one request. `reason` is the problem's; empty when it was granted. */
export interface Outcome {
  readonly action: AuditAction
  readonly decision: 'granted' | 'denied' | 'failed'
  readonly reason: string
}

const boundsMs = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 20_000]

type Total = Point & { value: number }
type Series = DurationPoint & {
  readonly counts: { count: number; totalMs: number; readonly buckets: number[] }
}

/**
 * Counts and latencies of requests. Labels come from closed sets alone: nothing of a caller, a scope
 * or a credential.
 */
export class Metrics {
  readonly #totals = new Map<string, Total>()
  readonly #latencies = new Map<string, Series>()

  /** Counts one answered request. */
  observe({ action, decision, reason }: Outcome, durationMs: number): void {
    const labels = { action, outcome: decision }
    this.#total({ ...labels, reason }).value += 1
    const { counts } = this.#series(labels)
    const ms = Math.max(0, durationMs)
    const index = boundsMs.findIndex((boundMs) => ms <= boundMs)
    const bucket = index < 0 ? boundsMs.length : index
    counts.count += 1
    counts.totalMs += ms
    counts.buckets[bucket] = (counts.buckets[bucket] ?? 0) + 1
  }

  /** All of it; `ready` is what the identity was last known to be, if it was ever asked. */
  read(ready: boolean | undefined): readonly Metric[] {
    const identity: Metric = {
      kind: 'gauge',
      name: 'abfs_connector_identity_ready',
      help: 'Whether the identity could sign in when last asked.',
      points: [{ labels: {}, value: ready === true ? 1 : 0 }],
    }
    return [
      {
        kind: 'counter',
        name: 'abfs_connector_requests_total',
        help: 'Requests for credentials and tokens.',
        points: [...this.#totals.values()],
      },
      {
        kind: 'histogram',
        name: 'abfs_connector_request_duration_seconds',
        help: 'Time from the headers to the answer.',
        boundsMs,
        points: [...this.#latencies.values()],
      },
      ...(ready === undefined ? [] : [identity]),
    ]
  }

  /** {@link read} in the text format of Prometheus. */
  format(ready: boolean | undefined): string {
    return prometheusText(this.read(ready))
  }

  #total(labels: Total['labels']): Total {
    return kept(this.#totals, labels, () => ({ labels, value: 0 }))
  }

  #series(labels: Series['labels']): Series {
    const buckets = [...boundsMs, Number.POSITIVE_INFINITY].map(() => 0)
    return kept(this.#latencies, labels, () => ({
      labels,
      counts: { count: 0, totalMs: 0, buckets },
    }))
  }
}

function kept<T>(map: Map<string, T>, labels: Point['labels'], make: () => T): T {
  const key = Object.values(labels).join(' ')
  const found = map.get(key) ?? make()
  map.set(key, found)
  return found
}
