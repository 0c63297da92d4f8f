import { setMaxListeners } from 'node:events'

/** Calls `listener` when `signal` is aborted, once. One signal may end a hundred calls: Node would take that for a leak. */
export function whenAborted(
  signal: AbortSignal | undefined,
  listener: (event: Event) => void,
): void {
  if (signal === undefined) return
  setMaxListeners(0, signal)
  signal.addEventListener('abort', listener, { once: true })
}

/** Runs at most a fixed number of tasks at a time; the others wait in the order they came. */
export class Limiter {
  readonly #limit: number
  readonly #waiting: (() => void)[] = []
  #active = 0

  constructor(limit: number) {
    checkLimit(limit)
    this.#limit = limit
  }

  /** Whether a task would start at once. */
  get hasRoom(): boolean {
    return this.#active < this.#limit
  }

  /** Runs `task` when its turn comes; rejects with `signal.reason` when aborted before that. */
  async run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted()
    if (this.#active < this.#limit) this.#active += 1
    else await this.#turn(signal)
    try {
      return await task()
    } finally {
      this.#release()
    }
  }

  /** Takes a place and returns the function that gives it back, to be called once. */
  async acquire(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted()
    if (this.#active < this.#limit) this.#active += 1
    else await this.#turn(signal)
    return () => this.#release()
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const start = () => {
        signal?.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = () => {
        this.#waiting.splice(this.#waiting.indexOf(start), 1)
        reject(signal?.reason)
      }
      this.#waiting.push(start)
      whenAborted(signal, giveUp)
    })
  }

  /** The place passes to the next in line without becoming free in between. */
  #release(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#active -= 1
    else next()
  }
}

function checkLimit(limit: number): void {
  if (Number.isInteger(limit) && limit >= 1) return
  throw new RangeError(`concurrency: expected an integer of at least 1, got ${limit}`)
}

/**
 * Calls `task` for each item, at most `limit` at a time. After the first failure nothing more is
 * started; what is under way is awaited, then the promise rejects with that failure.
 */
export async function forEachConcurrent<T>(
  items: Iterable<T> | AsyncIterable<T>,
  limit: number,
  task: (item: T, index: number) => Promise<void>,
): Promise<void> {
  if (Array.isArray(items)) return forEachOf<T>(items, limit, task)
  const limiter = new Limiter(limit)
  const failures: unknown[] = []
  const running = new Set<Promise<void>>()
  let index = 0
  try {
    for await (const item of items) {
      const release = await limiter.acquire()
      if (failures.length > 0) break
      const work = task(item, index++)
        .catch((error: unknown) => void failures.push(error))
        .finally(release)
        .finally(() => running.delete(work))
      running.add(work)
    }
  } finally {
    await Promise.all(running)
  }
  if (failures.length > 0) throw failures[0]
}

/** As {@link forEachConcurrent}: of what is there already, with a fifth of the promises. */
async function forEachOf<T>(
  items: readonly T[],
  limit: number,
  task: (item: T, index: number) => Promise<void>,
): Promise<void> {
  checkLimit(limit)
  const failures: unknown[] = []
  const left = items.entries()
  const lane = async (): Promise<void> => {
    for (const [index, item] of left) {
      try {
        await task(item, index)
      } catch (error) {
        failures.push(error)
      }
      if (failures.length > 0) return
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane))
  if (failures.length > 0) throw failures[0]
}

/** As {@link forEachConcurrent}; resolves to the results in the order of the items. */
export async function mapConcurrent<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  limit: number,
  task: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  await forEachConcurrent(items, limit, async (item, index) => {
    results[index] = await task(item, index)
  })
  return results
}

/**
 * What the sources of the items give, in no order, of at most `limit` sources at a time: of each one value is
 * fetched ahead. Leaving early ends the sources that are open; the first that fails ends all.
 */
export async function* mergeConcurrent<T, R>(
  items: readonly T[],
  limit: number,
  open: (item: T) => AsyncGenerator<R, void>,
): AsyncGenerator<R, void> {
  checkLimit(limit)
  const left = items.values()
  const active = new Set<AsyncGenerator<R, void>>()
  const settled: (() => { source: AsyncGenerator<R, void>; result: IteratorResult<R, void> })[] = []
  let tell = () => {}
  const settle = (outcome: (typeof settled)[number]) => {
    settled.push(outcome)
    tell()
  }
  const fetch = (source: AsyncGenerator<R, void>) =>
    source.next().then(
      (result) => settle(() => ({ source, result })),
      (error: unknown) =>
        settle(() => {
          throw error
        }),
    )
  const start = () => {
    const { done, value } = left.next()
    if (done === true) return
    const source = open(value)
    active.add(source)
    void fetch(source)
  }
  try {
    for (let lane = 0; lane < limit; lane++) start()
    while (active.size > 0) {
      if (settled.length === 0) await new Promise<void>((resolve) => (tell = resolve))
      const outcome = settled.shift()
      if (outcome === undefined) continue
      const { source, result } = outcome()
      if (result.done === true) {
        active.delete(source)
        start()
      } else {
        void fetch(source)
        yield result.value
      }
    }
  } finally {
    await Promise.allSettled([...active].map((source) => source.return()))
  }
}

/**
 * Runs `work` with a signal that is aborted as soon as one of `signals` is, for the same reason. Once it settles
 * nothing is left at them, as `AbortSignal.any` leaves something at a signal that outlives many calls.
 */
export async function underEither<T>(
  signals: readonly [AbortSignal, AbortSignal | undefined],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const [one, other] = signals
  if (other === undefined || other === one) return work(one)
  const both = [one, other]
  const aborted = both.find((signal) => signal.aborted)
  if (aborted !== undefined) return work(aborted)
  const joined = new AbortController()
  const onAbort = ({ target }: Event) => {
    joined.abort(target instanceof AbortSignal ? target.reason : undefined)
  }
  for (const signal of both) whenAborted(signal, onAbort)
  try {
    return await work(joined.signal)
  } finally {
    for (const signal of both) signal.removeEventListener('abort', onAbort)
  }
}
