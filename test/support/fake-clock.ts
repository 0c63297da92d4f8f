import type { Clock } from '../../src/clock.ts'

interface Sleeper {
  readonly wakesAtMs: number
  readonly wake: () => void
}

/** A clock that stands still until a test moves it. */
export class FakeClock implements Clock {
  #nowMs: number
  #sleepers: Sleeper[] = []

  constructor(nowMs: number = Date.UTC(2026, 0, 1)) {
    this.#nowMs = nowMs
  }

  /** How many calls of `sleep` wait. */
  get sleeping(): number {
    return this.#sleepers.length
  }

  nowMs(): number {
    return this.#nowMs
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason)
      const onAbort = (): void => {
        this.#sleepers = this.#sleepers.filter((each) => each !== sleeper)
        reject(signal?.reason)
      }
      const wake = (): void => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }
      const sleeper = { wakesAtMs: this.#nowMs + ms, wake }
      this.#sleepers.push(sleeper)
      signal?.addEventListener('abort', onAbort)
    })
  }

  /** Moves the time on, wakes the sleepers whose time has come, and lets their code run. */
  async advance(ms: number): Promise<void> {
    this.#nowMs += ms
    const due = this.#sleepers.filter((each) => each.wakesAtMs <= this.#nowMs)
    this.#sleepers = this.#sleepers.filter((each) => each.wakesAtMs > this.#nowMs)
    for (const sleeper of due.sort((a, b) => a.wakesAtMs - b.wakesAtMs)) sleeper.wake()
    await settle()
  }
}

/** Lets every promise that can settle do so. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
