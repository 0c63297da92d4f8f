/**
 * What programs ask of a drive, seen between the kernel and `Vfs`: counted, timed, and told to who
 * listens. What the kernel answers by itself is not seen here.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type HttpEvent, httpChannel } from '../../telemetry.ts'
import type { FileOperations } from '../../vfs/operations.ts'
import { Histogram } from './histogram.ts'

/** One kind of call since the drive began. */
export interface CallCounts {
  readonly count: number
  /** Those that failed; a name that does not exist is no failure. */
  readonly failed: number
  readonly totalMs: number
  /** Counts by bucket of `histogram.ts`. */
  readonly buckets: readonly number[]
}

/** All calls since the drive began. */
export interface CallReport {
  readonly byName: Readonly<Record<string, CallCounts>>
  /** Given to programs and taken from them. */
  readonly readBytes: number
  readonly writtenBytes: number
}

/** A call that was answered. */
export interface Call {
  readonly name: string
  readonly arguments: readonly unknown[]
  readonly result: unknown
  /** `undefined` when it succeeded. */
  readonly error: unknown
  readonly durationMs: number
  /** Of the requests to Azure that it waited for; empty unless they are traced. */
  readonly requestIds: readonly string[]
}

export interface CallMeterOptions {
  /** Milliseconds from an arbitrary start. */
  readonly nowMs: () => number
  readonly onCall?: ((call: Call) => void) | undefined
  readonly onFailure?: ((error: unknown) => void) | undefined
  /** Notes which requests belong to which call, which costs a little a call. */
  readonly traceRequests?: boolean | undefined
}

interface BegunCall extends Pick<Call, 'name' | 'arguments'> {
  readonly requestIds: string[]
  readonly startMs: number
}

interface Counter {
  count: number
  failed: number
  totalMs: number
  readonly histogram: Histogram
}

/** Counts the calls of one drive from `meter` on. */
export class CallMeter {
  readonly #options: CallMeterOptions
  readonly #counters = new Map<string, Counter>()
  readonly #trace = new AsyncLocalStorage<string[]>()
  #readBytes = 0
  #writtenBytes = 0

  constructor(options: CallMeterOptions) {
    this.#options = options
    if (options.traceRequests === true) subscribe(httpChannel.name, this.#onHttp)
  }

  /** `operations`, counted. */
  meter(operations: FileOperations): FileOperations {
    const metered = new Map<string | symbol, unknown>()
    return new Proxy(operations, {
      get: (target, name) => {
        const known = metered.get(name)
        if (known !== undefined) return known
        const value: unknown = Reflect.get(target, name, target)
        const wrapped =
          typeof value === 'function' ? this.#wrap(String(name), value, target) : value
        metered.set(name, wrapped)
        return wrapped
      },
    })
  }

  report(): CallReport {
    const entries = [...this.#counters].map(([name, counter]): [string, CallCounts] => {
      const { histogram, ...counts } = counter
      return [name, { ...counts, buckets: histogram.buckets }]
    })
    const byName = Object.fromEntries(entries)
    return { byName, readBytes: this.#readBytes, writtenBytes: this.#writtenBytes }
  }

  close(): void {
    unsubscribe(httpChannel.name, this.#onHttp)
  }

  #wrap(name: string, operation: object, target: FileOperations): unknown {
    const call = (args: unknown[]): unknown =>
      typeof operation === 'function' ? Reflect.apply(operation, target, args) : undefined
    if (unmetered.has(name)) return (...args: unknown[]) => call(args)
    const traces = this.#options.traceRequests === true
    return (...args: unknown[]) => {
      const observed = { name, arguments: args, requestIds: [], startMs: this.#options.nowMs() }
      const run = (): unknown => this.#observe(observed, () => call(args))
      return traces ? this.#trace.run(observed.requestIds, run) : run()
    }
  }

  /** What is answered at once stays so: a caller may not expect a promise. */
  #observe(begun: BegunCall, run: () => unknown): unknown {
    const result = run()
    if (!(result instanceof Promise)) {
      this.#count(begun, result, undefined)
      return result
    }
    return result.then(
      (value: unknown) => {
        this.#count(begun, value, undefined)
        return value
      },
      (error: unknown) => {
        this.#count(begun, undefined, error)
        throw error
      },
    )
  }

  #count({ startMs, ...begun }: BegunCall, result: unknown, error: unknown): void {
    const { name } = begun
    const durationMs = this.#options.nowMs() - startMs
    const counter = this.#counters.get(name) ?? newCounter()
    this.#counters.set(name, counter)
    counter.count += 1
    counter.totalMs += durationMs
    counter.histogram.add(durationMs)
    if (error !== undefined) {
      counter.failed += 1
      this.#options.onFailure?.(error)
    }
    if (name === 'read') this.#readBytes += bytesOf(result)
    if (name === 'write') this.#writtenBytes += bytesOf(result)
    this.#options.onCall?.({ ...begun, result, error, durationMs })
  }

  readonly #onHttp = (message: unknown): void => {
    const { requestId } = message as HttpEvent
    if (requestId !== undefined) this.#trace.getStore()?.push(requestId)
  }
}

/** Bytes that a read gave or a write took. */
export function bytesOf(result: unknown): number {
  if (typeof result === 'number') return result
  if (!Array.isArray(result)) return 0
  return result.reduce<number>(
    (sum, part) => sum + (part instanceof Uint8Array ? part.length : 0),
    0,
  )
}

/** These answer no call of a program. */
const unmetered: ReadonlySet<string> = new Set([
  ...['forget', 'watchChanges', 'unmounted', 'attributesNow', 'namesNow', 'isStored'],
  ...['beforeReply', 'openFiles'],
])

function newCounter(): Counter {
  return { count: 0, failed: 0, totalMs: 0, histogram: new Histogram() }
}
