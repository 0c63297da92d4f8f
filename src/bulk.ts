import { forEachConcurrent } from './concurrency.ts'
import { FileSystemError } from './errors.ts'

/** One path that an operation on many could not deal with, and why. */
export interface BulkFailure {
  readonly path: string
  readonly error: unknown
}

/** What became of an operation on many paths. */
export interface BulkResult {
  /** What is done, in the order it was to be done. */
  readonly ok: readonly string[]
  readonly failed: readonly BulkFailure[]
  /** Paths whose turn did not come, because of those that failed. */
  readonly waiting: number
  /** Does what failed again, and then what waits. The result is about all of it, from the beginning. */
  retry(): Promise<BulkResult>
}

/**
 * Some paths of an operation on many failed. `code`, `path` and the service's words are those of the first
 * in order; `failed` has all of them, and nothing that is done is done again by `retry`.
 */
export class BulkError extends FileSystemError implements BulkResult {
  readonly ok: readonly string[]
  readonly failed: readonly BulkFailure[]
  readonly waiting: number
  readonly #retry: () => Promise<BulkResult>

  constructor(syscall: string, result: BulkResult) {
    const { failed } = result
    const [first] = failed.map(({ error }) => error)
    const known = first instanceof FileSystemError ? first : undefined
    const { path, requestId, serviceCode, statusCode } = known ?? {}
    const errors = failed.map(({ error }) => error)
    const message = first instanceof Error ? first.message : String(first)
    super(known?.code ?? 'EIO', syscall, {
      ...(path === undefined ? {} : { path }),
      ...(requestId === undefined ? {} : { requestId }),
      ...(serviceCode === undefined ? {} : { serviceCode }),
      ...(statusCode === undefined ? {} : { statusCode }),
      detail: `${countOf(result)}${failed.length === 1 ? '' : ', the first with'}: ${message}`,
      retryable: errors.every((error) => error instanceof FileSystemError && error.retryable),
      cause: new AggregateError(errors, countOf(result)),
    })
    this.ok = result.ok
    this.failed = failed
    this.waiting = result.waiting
    this.#retry = () => result.retry()
  }

  /** See `BulkResult.retry`; rejects with another `BulkError` when something fails again. */
  retry(): Promise<BulkResult> {
    return this.#retry()
  }
}

/** After so many failures the cause is hardly in the files. */
export const defaultMaxFailures = 20

export interface BulkOptions {
  readonly signal?: AbortSignal | undefined
  /** Items under way at once. */
  readonly concurrency: number
  readonly syscall: string
  /** `return`: everything is tried, and `run` does not reject for what failed. Default `raise`. */
  readonly onError?: 'raise' | 'return' | undefined
  /** How many failures end it: what has not begun then waits. Default 20 with `raise`. */
  readonly maxFailures?: number | undefined
  /**
   * Told at the end of each run, `retry()` included. It fails a run in which nothing else failed; else the failure
   * that counts is the first.
   */
  readonly onEnd?: (() => Promise<void>) | undefined
}

/** Items of one kind, and what is to be done with each. */
export interface BulkPhase {
  readonly count: number
  /** Items under way at once, where that is not the operation's. */
  readonly concurrency?: number | undefined
  path(index: number): string
  run(index: number): Promise<void>
}

/** What `task` is to do with each of `items`. */
export function bulkPhase<T>(
  items: readonly T[],
  pathOf: (item: T) => string,
  task: (item: T) => Promise<void>,
): BulkPhase {
  const at = (index: number): T => {
    const item = items[index]
    if (item === undefined) throw new RangeError(`index: no item ${index}`)
    return item
  }
  return {
    count: items.length,
    path: (index) => pathOf(at(index)),
    run: (index) => task(at(index)),
  }
}

/**
 * An operation on many paths, phase by phase: a phase begins when the one before it is whole. Goes on after
 * failures within a phase, loses none of them, and can be run again for what is not done.
 */
export class Bulk {
  readonly #phases: readonly BulkPhase[]
  readonly #options: BulkOptions
  /** Indexes of what is not done, phase by phase. */
  readonly #open: number[][]
  readonly #ok: string[] = []
  #failed: BulkFailure[] = []
  #failedCount = 0

  constructor(phases: readonly BulkPhase[], options: BulkOptions) {
    this.#phases = phases
    this.#options = options
    this.#open = phases.map(({ count }) => Array.from({ length: count }, (_, index) => index))
  }

  get ok(): readonly string[] {
    return this.#ok
  }

  get failed(): readonly BulkFailure[] {
    return this.#failed
  }

  get waiting(): number {
    const open = this.#open.reduce((total, { length }) => total + length, 0)
    return open - this.#failedCount
  }

  /**
   * Does what is not done. Rejects with `signal.reason` when aborted, and unless `onError` says otherwise with
   * a `BulkError`, or with what failed itself where there is only one thing to do.
   */
  async run(): Promise<BulkResult> {
    const { onEnd = async () => undefined } = this.#options
    let result: BulkResult | undefined
    try {
      result = await this.#runAll()
    } finally {
      if (result === undefined || result.failed.length > 0) await onEnd().catch(() => undefined)
    }
    if (result.failed.length === 0) await onEnd()
    return result
  }

  async #runAll(): Promise<BulkResult> {
    this.#failed = []
    this.#failedCount = 0
    for (const [at, phase] of this.#phases.entries()) {
      await this.#runPhase(phase, at)
      if (this.#failed.length > 0) break
    }
    const { ok, failed, waiting } = this
    const result = { ok: [...ok], failed, waiting, retry: () => this.run() }
    if (failed.length === 0 || this.#options.onError === 'return') return result
    const total = ok.length + failed.length + waiting
    throw total === 1 ? failed[0]?.error : new BulkError(this.#options.syscall, result)
  }

  async #runPhase(phase: BulkPhase, at: number): Promise<void> {
    const { signal, concurrency, onError } = this.#options
    const enough = onError === 'return' ? Number.POSITIVE_INFINITY : defaultMaxFailures
    const { maxFailures = enough } = this.#options
    const failures = new Map<number, unknown>()
    const done = new Set<number>()
    const limit = phase.concurrency ?? concurrency
    await forEachConcurrent(this.#open[at] ?? [], limit, async (index) => {
      signal?.throwIfAborted()
      if (failures.size >= maxFailures) return
      try {
        await phase.run(index)
        done.add(index)
      } catch (error) {
        signal?.throwIfAborted()
        failures.set(index, error)
      }
    })
    this.#settle(phase, at, { done, failures })
  }

  #settle(
    phase: BulkPhase,
    at: number,
    { done, failures }: { readonly done: Set<number>; readonly failures: Map<number, unknown> },
  ): void {
    const open: number[] = []
    for (const index of this.#open[at] ?? []) {
      if (done.has(index)) this.#ok.push(phase.path(index))
      else open.push(index)
      if (failures.has(index)) {
        this.#failedCount += 1
        this.#failed.push(...flat({ path: phase.path(index), error: failures.get(index) }))
      }
    }
    this.#open[at] = open
  }
}

/** Runs `task` for every item; see {@link Bulk}. */
export async function runAll<T>(
  items: readonly T[],
  options: BulkOptions & { readonly pathOf: (item: T) => string },
  task: (item: T) => Promise<void>,
): Promise<BulkResult> {
  return new Bulk([bulkPhase(items, options.pathOf, task)], options).run()
}

/** What failed below a path that is an operation on many itself. */
function flat(failure: BulkFailure): readonly BulkFailure[] {
  return failure.error instanceof BulkError ? failure.error.failed : [failure]
}

function countOf({ ok, failed, waiting }: BulkResult): string {
  const total = ok.length + failed.length + waiting
  const tried = waiting === 0 ? '' : ` (${waiting} were not tried)`
  return `${failed.length} of ${total} paths failed${tried}`
}
