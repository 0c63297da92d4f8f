import type { Clock } from '../clock.ts'
import { Limiter } from '../concurrency.ts'

/** A file waits at most so many times as long as it has to be quiet. */
const mostQuietTimes = 10
/** More than so many do not wait. */
const mostWaiting = 1000
/** How many are stored at a time. */
const mostStoring = 8

const minRetryMs = 1000
const maxRetryMs = 60_000

interface Waiting {
  readonly sinceMs: number
  readonly go: () => void
}

/**
 * When files and directories that the journal has are stored: not while programs close or make more of them. Whoever has made a
 * file soon renames it, removes it or sets its times, and until it is stored none of that is a request.
 */
export class WriteBackTurns {
  readonly #clock: Clock
  readonly #quietMs: number
  /** Nobody waits any more once it is aborted. */
  readonly #closing: AbortSignal
  readonly #storing = new Limiter(mostStoring)
  /** In the order in which they began to wait. */
  readonly #waiting = new Map<object, Waiting>()
  #lastMs = 0
  #isWatching = false

  constructor(clock: Clock, quietMs: number, closing: AbortSignal) {
    this.#clock = clock
    this.#quietMs = quietMs
    this.#closing = closing
    closing.addEventListener('abort', () => this.#release(() => true), { once: true })
  }

  /** Whether anything waits at all. */
  get areTaken(): boolean {
    return this.#quietMs > 0 && !this.#closing.aborted
  }

  isWaiting(file: object): boolean {
    return this.#waiting.has(file)
  }

  /** Resolves when it is the turn of `file`. */
  wait(file: object): Promise<void> {
    this.#lastMs = this.#clock.nowMs()
    return new Promise((go) => {
      this.#waiting.set(file, { sinceMs: this.#lastMs, go })
      if (!this.#isWatching) void this.#watch()
    })
  }

  /** Runs `work`, which stores a file; where files wait for their turn, some at a time. */
  store(work: () => Promise<void>): Promise<void> {
    return this.#quietMs > 0 ? this.#storing.run(work) : work()
  }

  /** Calls `attempt` until it says that nothing is left to try, ever later; without a delay once nobody waits any more. */
  async retry(attempt: () => Promise<boolean>): Promise<void> {
    let delayMs = minRetryMs
    while (!(await attempt())) {
      await this.#clock.sleep(delayMs, this.#closing).catch(() => undefined)
      delayMs = Math.min(2 * delayMs, maxRetryMs)
    }
  }

  /** Somebody waits for `file` to be stored. */
  hurry(file: object): void {
    this.#release((each) => each === file)
  }

  async #watch(): Promise<void> {
    this.#isWatching = true
    while (this.#waiting.size > 0) {
      await this.#clock.sleep(this.#quietMs, this.#closing).catch(() => undefined)
      const nowMs = this.#clock.nowMs()
      const isQuiet = nowMs - this.#lastMs >= this.#quietMs
      const beforeMs = nowMs - mostQuietTimes * this.#quietMs
      let tooMany = this.#waiting.size - mostWaiting
      this.#release((_, { sinceMs }) => isQuiet || tooMany-- > 0 || sinceMs <= beforeMs)
    }
    this.#isWatching = false
  }

  #release(isDue: (file: object, waiting: Waiting) => boolean): void {
    for (const [file, waiting] of this.#waiting) {
      if (!isDue(file, waiting)) continue
      this.#waiting.delete(file)
      waiting.go()
    }
  }
}
