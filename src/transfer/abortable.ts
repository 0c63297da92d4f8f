/**
 * `promise`, or a rejection with `signal.reason` as soon as the signal aborts. What the promise
 * stands for goes on: it may have other waiters.
 */
import { whenAborted } from '../concurrency.ts'
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    whenAborted(signal, onAbort)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
