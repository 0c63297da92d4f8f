/** Runs asynchronous pieces of work one after another, in the order they were given. */
import { whenAborted } from '../concurrency.ts'
export class Mutex {
  #tail: Promise<unknown> = Promise.resolve()

  /** Resolves or rejects as `work` does, once all work given before has settled. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work, work)
    this.#tail = result.catch(() => undefined)
    return result
  }

  /** Resolves once all work given so far has settled. */
  async settled(): Promise<void> {
    await this.#tail
  }
}

/** Runs `work` while the work of all of `mutexes` waits. Callers must agree on their order. */
export function runExclusively<T>(mutexes: readonly Mutex[], work: () => Promise<T>): Promise<T> {
  const [first, ...rest] = mutexes
  return first === undefined ? work() : first.run(() => runExclusively(rest, work))
}

/**
 * Waits for `work`, or rejects with `signal.reason` as soon as `signal` is aborted. The work goes
 * on in that case: what it changes must not depend on the caller's patience.
 */
export function interruptible<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    work.catch(() => undefined)
    return Promise.reject(signal.reason)
  }
  return new Promise((resolve, reject) => {
    const interrupt = () => reject(signal.reason)
    whenAborted(signal, interrupt)
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', interrupt))
  })
}
