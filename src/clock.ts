import { readFileSync } from 'node:fs'
import { setTimeout as delay, setImmediate as immediate } from 'node:timers/promises'

/** Time as the rest of the code sees it. `Date.now` and timers are called in this file alone. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number
  /** Resolves after `ms` milliseconds; rejects with `signal.reason` when aborted before. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /**
   * Milliseconds that the process's first thread was ready to run and had no processor, since it began. Absent: the
   * time that passes is its own.
   */
  queuedMs?(): number
}

/** The system's own clock. A sleep keeps the process alive, so that a retry is not lost at exit. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  async sleep(ms, signal) {
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal })
    } catch (error) {
      throw signal?.reason ?? error
    }
  },
  queuedMs() {
    try {
      const [, queuedNs] = readFileSync('/proc/self/schedstat', 'latin1').split(' ')
      return Number(queuedNs) / 1e6
    } catch {
      // No Linux, or one that does not count it.
      return 0
    }
  },
}

/**
 * Calls `task` every `ms` milliseconds of the system's own clock until the returned function is
 * called. Does not keep the process alive.
 */
export function repeat(ms: number, task: () => void): () => void {
  const timer = setInterval(task, ms)
  timer.unref()
  return () => clearInterval(timer)
}

/** Resolves after what waits for the event loop has had its turn: timers, sockets, files. */
export function nextTurn(): Promise<void> {
  return immediate()
}
