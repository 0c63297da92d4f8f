import type { Clock } from '../clock.ts'
import { whenAborted } from '../concurrency.ts'
import { heldChannel } from '../telemetry.ts'

interface Waiter {
  left: number
  readonly start: () => void
}

/** Whoever watches deadlines hears so often that somebody waits here. */
const longestSleepMs = 200

/**
 * So many tokens a second, a tenth of them in stock at most. Those who wait for some are served in turns, a slice at a time:
 * whoever wants few is not kept by one who wants many.
 */
export class TokenBucket {
  readonly #perMs: number
  readonly #slice: number
  readonly #most: number
  readonly #clock: Clock
  readonly #queue: Waiter[] = []
  #tokens: number
  #atMs: number
  #serves = false

  /** `slice` is what one gets before it is another's turn. */
  constructor(perSecond: number, slice: number, clock: Clock) {
    this.#perMs = perSecond / 1000
    this.#slice = slice
    this.#most = Math.max(perSecond / 10, slice)
    this.#clock = clock
    this.#tokens = this.#most
    this.#atMs = clock.nowMs()
  }

  /** Takes `count` if they are there and nobody waits. */
  tryTake(count: number): boolean {
    this.#refill()
    if (this.#queue.length > 0 || this.#tokens < count) return false
    this.#tokens -= count
    return true
  }

  /** Waits for `count`. Rejects with `signal.reason`, and gives back what it had by then. */
  async take(count: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    if (count <= 0 || this.tryTake(count)) return
    await new Promise<void>((resolve, reject) => {
      const giveUp = () => {
        const index = this.#queue.indexOf(waiter)
        if (index >= 0) this.#queue.splice(index, 1)
        this.spend(waiter.left - count)
        reject(signal?.reason)
      }
      const start = () => {
        signal?.removeEventListener('abort', giveUp)
        resolve()
      }
      const waiter: Waiter = { left: count, start }
      this.#queue.push(waiter)
      whenAborted(signal, giveUp)
      if (!this.#serves) void this.#serve()
    })
  }

  /** Takes what was used already, of later tokens where there are none; a negative `count` gives back. */
  spend(count: number): void {
    this.#refill()
    this.#tokens = Math.min(this.#tokens - count, this.#most)
  }

  async #serve(): Promise<void> {
    this.#serves = true
    for (let waiter = this.#queue[0]; waiter !== undefined; waiter = this.#queue[0]) {
      const share = Math.min(this.#slice, waiter.left)
      this.#refill()
      if (this.#tokens >= share) this.#give(waiter, share)
      else await this.#clock.sleep(this.#msUntil(share))
      heldChannel.publish(undefined)
    }
    this.#serves = false
  }

  #msUntil(share: number): number {
    const ms = Math.ceil((share - this.#tokens) / this.#perMs)
    return Math.min(Math.max(ms, 1), longestSleepMs)
  }

  #give(waiter: Waiter, share: number): void {
    this.#tokens -= share
    waiter.left -= share
    this.#queue.shift()
    if (waiter.left > 0) this.#queue.push(waiter)
    else waiter.start()
  }

  #refill(): void {
    const nowMs = this.#clock.nowMs()
    const passedMs = Math.max(0, nowMs - this.#atMs)
    this.#atMs = nowMs
    this.#tokens = Math.min(this.#tokens + passedMs * this.#perMs, this.#most)
  }
}
