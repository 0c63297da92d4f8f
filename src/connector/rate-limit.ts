import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import { ConnectorError } from './connector-error.ts'

interface Window {
  readonly startsAtMs: number
  count: number
}

const minuteMs = 60_000

/** Counts requests per name and minute. */
export class RateLimit {
  readonly #perMinute: number
  readonly #clock: Clock
  readonly #windows = new LRUCache<string, Window>({ max: 10_000 })

  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute
    this.#clock = clock
  }

  /** Throws `temporarily_unavailable`, status 429, when `name` has used up its minute. */
  take(name: string): void {
    const nowMs = this.#clock.nowMs()
    const known = this.#windows.get(name)
    const window =
      known !== undefined && nowMs - known.startsAtMs < minuteMs
        ? known
        : { startsAtMs: nowMs, count: 0 }
    window.count += 1
    this.#windows.set(name, window)
    if (window.count > this.#perMinute) throw throttled(this.#perMinute)
  }
}

function throttled(perMinute: number): ConnectorError {
  return new ConnectorError('temporarily_unavailable', 'throttled', {
    status: 429,
    detail: `more than ${perMinute} requests in a minute`,
    hint: 'slow down, or ask the operator of the connector to raise requestsPerMinute',
    retryable: true,
  })
}
