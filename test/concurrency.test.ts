import { getEventListeners } from 'node:events'
import t from 'tap'
import {
  forEachConcurrent,
  Limiter,
  mapConcurrent,
  mergeConcurrent,
  underEither,
} from '../src/concurrency.ts'

const tick = () => new Promise<void>((resolve) => setImmediate(resolve))

t.test('mapConcurrent keeps the order of the items and never exceeds its limit', async (t) => {
  let active = 0
  let most = 0

  const results = await mapConcurrent([5, 1, 4, 2, 3], 2, async (item) => {
    most = Math.max(most, ++active)
    for (let turn = 0; turn < item; turn++) await tick()
    active -= 1
    return item * 10
  })

  t.same(results, [50, 10, 40, 20, 30])
  t.equal(most, 2)
})

t.test('after a failure nothing more is started and what runs is awaited', async (t) => {
  const started: number[] = []
  let finished = false

  await t.rejects(
    forEachConcurrent([0, 1, 2, 3, 4], 2, async (item) => {
      started.push(item)
      await tick()
      if (item === 0) throw new Error('first')
      await tick()
      finished = true
    }),
    { message: 'first' },
  )

  t.same(started, [0, 1])
  t.equal(finished, true)
})

t.test('a failing source of items rejects after the running tasks have ended', async (t) => {
  async function* items() {
    yield 1
    throw new Error('source')
  }
  let finished = false

  await t.rejects(
    forEachConcurrent(items(), 4, async () => {
      await tick()
      finished = true
    }),
    { message: 'source' },
  )

  t.equal(finished, true)
})

t.test('an aborted wait gives up its turn and blocks nobody', async (t) => {
  const limiter = new Limiter(1)
  const release = await limiter.acquire()
  const abort = new AbortController()
  const waiting = limiter.run(async () => 'ran', abort.signal)
  const next = limiter.run(async () => 'next')

  abort.abort(new Error('enough'))
  await t.rejects(waiting, { message: 'enough' })
  release()

  t.equal(await next, 'next')
  t.equal(limiter.hasRoom, true)
})

t.test('a limit that is no positive integer is refused by name', async (t) => {
  t.throws(() => new Limiter(0), {
    name: 'RangeError',
    message: /^concurrency: expected an integer/,
  })
})

t.test(
  'work under two signals ends with the reason of either, and leaves nothing at them',
  async (t) => {
    const [one, other] = [new AbortController(), new AbortController()]
    const waiting = (signal: AbortSignal) =>
      new Promise<string>((_resolve, reject) => {
        if (signal.aborted) reject(signal.reason)
        signal.addEventListener('abort', () => reject(signal.reason))
      })

    for (let call = 0; call < 100; call++) {
      const done = await underEither([one.signal, other.signal], async () => call)
      t.equal(done, call)
    }
    t.equal(getEventListeners(one.signal, 'abort').length, 0)
    t.equal(getEventListeners(other.signal, 'abort').length, 0)
    await t.rejects(
      underEither([one.signal, other.signal], async () => Promise.reject(new Error('own'))),
      /own/,
    )
    const alone = await underEither([one.signal, undefined], async (signal) => signal)
    t.equal(alone, one.signal)
    const ends = underEither([one.signal, other.signal], waiting)
    other.abort(new Error('of the other'))
    await t.rejects(ends, /of the other/)
    await t.rejects(underEither([one.signal, other.signal], waiting), /of the other/)
    t.equal(getEventListeners(one.signal, 'abort').length, 0)
  },
)

t.test('a signal that ends many calls at once is not taken for a leak', async (t) => {
  const warnings: Error[] = []
  const onWarning = (warning: Error) => warnings.push(warning)
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  const all = new AbortController()
  const calls = Array.from({ length: 20 }, async () =>
    underEither([all.signal, new AbortController().signal], async () => tick()),
  )
  t.equal(getEventListeners(all.signal, 'abort').length, 20)
  await Promise.all(calls)
  const waiting = new AbortController()
  const limiter = new Limiter(1)
  const turns = Array.from({ length: 20 }, async () => limiter.run(tick, waiting.signal))
  t.equal(getEventListeners(waiting.signal, 'abort').length, 19)
  await Promise.all(turns)
  await tick()
  t.strictSame(warnings, [])
})

t.test('merged sources give all that they have, few at a time', async (t) => {
  let open = 0
  let most = 0
  async function* source(count: number) {
    open += 1
    most = Math.max(most, open)
    for (let index = 0; index < count; index++) {
      await tick()
      yield `${count}.${index}`
    }
    open -= 1
  }
  const seen: string[] = []
  for await (const value of mergeConcurrent([3, 0, 1, 5, 2], 2, source)) seen.push(value)

  const all = [3, 1, 5, 2].flatMap((count) =>
    Array.from({ length: count }, (_, index) => `${count}.${index}`),
  )
  t.strictSame(seen.sort(), all.sort())
  t.strictSame([most, open], [2, 0])
  for await (const _ of mergeConcurrent([], 2, source)) t.fail('nothing is given')
})

t.test('merged sources end when one fails and when nobody wants more', async (t) => {
  let ended = 0
  async function* source(name: string) {
    try {
      for (;;) {
        await tick()
        if (name === 'bad') throw new Error('bad')
        yield name
      }
    } finally {
      ended += 1
    }
  }
  for await (const value of mergeConcurrent(['a', 'b', 'c'], 2, source)) {
    t.match(value, /^[ab]$/)
    break
  }
  t.equal(ended, 2)
  const failing = async () => {
    for await (const value of mergeConcurrent(['a', 'bad'], 2, source)) t.equal(value, 'a')
  }
  await t.rejects(failing(), { message: 'bad' })
  t.equal(ended, 4)
})
