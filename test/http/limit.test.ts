import t from 'tap'
import { KiB, MiB } from '../../src/byte-range.ts'
import { type BodyReceiver, type HttpRequest, intercept } from '../../src/http/handler.ts'
import { RateLimiter, type RateLimits } from '../../src/http/limit.ts'
import { retry } from '../../src/http/retry.ts'
import { TokenBucket } from '../../src/http/token-bucket.ts'
import { heldChannel } from '../../src/telemetry.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'

const url = new URL('https://account.blob.core.windows.net/box/name')

function get(sizeBytes: number, more: Partial<HttpRequest> = {}): HttpRequest {
  const headers = { 'x-ms-range': `bytes=0-${sizeBytes - 1}` }
  return { method: 'GET', url, headers, operation: 'blob.get', ...more }
}

/** A service that answers at once, behind limits, and when it was asked for what. */
function limited(limits: RateLimits, answer = (request: HttpRequest) => bodyFor(request)) {
  const clock = new FakeClock()
  const startMs = clock.nowMs()
  const sent: { readonly what: string; readonly atMs: number }[] = []
  const limiter = new RateLimiter(limits, clock)
  const http = intercept(
    async (request) => {
      sent.push({ what: request.path ?? '', atMs: clock.nowMs() - startMs })
      return { status: 200, headers: {}, body: answer(request) }
    },
    limiter.wait,
    limiter.count,
  )
  const times = (what: string) => sent.filter((each) => each.what === what).map((each) => each.atMs)
  return { clock, http, sent, times }
}

function bodyFor({ headers }: HttpRequest): Uint8Array {
  const [, end] = /-(\d+)$/.exec(headers['x-ms-range'] ?? '') ?? []
  return new Uint8Array(end === undefined ? 0 : Number(end) + 1)
}

/** Lets `ms` pass, a bit at a time. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  await settle()
  for (let passed = 0; passed < ms; passed += 5) await clock.advance(5)
}

t.test('requests go out at the rate that is allowed', async (t) => {
  const { clock, http, sent } = limited({ requestsPerSecond: 10 })
  const all = Promise.all(Array.from({ length: 11 }, () => http({ ...get(1), method: 'HEAD' })))
  await pass(clock, 1000)
  await all

  t.strictSame(
    sent.map(({ atMs }) => atMs),
    [0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000],
  )
})

t.test('who watches deadlines is told while somebody waits, and no longer', async (t) => {
  const clock = new FakeClock()
  let told = 0
  const note = () => {
    told += 1
  }
  heldChannel.subscribe(note)
  t.teardown(() => heldChannel.unsubscribe(note))
  const bucket = new TokenBucket(0.1, 1, clock)
  await bucket.take(1, undefined)
  t.equal(told, 0, 'nobody waited')
  const waiting = bucket.take(1, undefined)
  await pass(clock, 9000)
  t.ok(told >= 9, `${told} times in nine seconds`)
  await pass(clock, 1500)
  await waiting
  const before = told
  await pass(clock, 5000)
  t.equal(told, before)
})

t.test('the lowest rate sleeps for no longer than a timer can', async (t) => {
  const clock = new FakeClock()
  const slept: number[] = []
  const sleep = (ms: number): Promise<void> => {
    slept.push(ms)
    return clock.sleep(ms)
  }
  const bucket = new TokenBucket(1e-9, 1, { nowMs: () => clock.nowMs(), sleep })
  await bucket.take(1, undefined)
  const abort = new AbortController()
  const waiting = bucket.take(1, abort.signal)
  await settle()

  t.strictSame(slept, [200])
  abort.abort(new Error('enough'))
  await t.rejects(waiting, { message: 'enough' })
  await clock.advance(200)
})

t.test('bytes that are read, and those that are written, have a rate each', async (t) => {
  const { clock, http, times } = limited({
    readBytesPerSecond: 1 * MiB,
    writeBytesPerSecond: 2 * MiB,
  })
  const body = new Uint8Array(MiB)
  const put = { ...get(1), method: 'PUT', headers: {}, body, path: 'put' } as const
  const all = [http(get(MiB, { path: 'get' })), http(get(MiB, { path: 'get' })), http(put)]
  await pass(clock, 2500)
  await Promise.all(all)

  // A tenth of a second's bytes are in stock at first; both take turns, so that they end together.
  t.match(times('put'), [400])
  const [first = 0, second = 0] = times('get')
  t.ok(first > 1700 && first <= second && second < 2000, `${first} ${second}`)
})

t.test('small reads do not wait for a large one that was first', async (t) => {
  const { clock, http, times } = limited({ readBytesPerSecond: 1 * MiB })
  const large = http(get(64 * MiB, { path: 'large' }))
  await pass(clock, 1000)
  const small = Array.from({ length: 4 }, () => http(get(4 * KiB, { path: 'small' })))
  await pass(clock, 200)
  await Promise.all(small)

  t.equal(times('small').length, 4)
  t.strictSame(times('large'), [])
  const many = { ...get(1), method: 'HEAD', path: 'head' } as const
  await http(many)
  t.equal(times('head').length, 1, 'what moves no bytes waits for none')
  await pass(clock, 64_000)
  await large
})

t.test('an answer of a size that nobody knew is paid by those who come next', async (t) => {
  const { clock, http, times } = limited({ readBytesPerSecond: 1 * MiB }, (request) =>
    request.path === 'list' ? new Uint8Array(2 * MiB) : bodyFor(request),
  )
  const list = { ...get(1), headers: {}, path: 'list' }
  await http(list)
  const next = http(get(4 * KiB, { path: 'next' }))
  await pass(clock, 1800)
  t.strictSame(times('next'), [])
  await pass(clock, 200)
  await next
  t.equal(times('next').length, 1)
})

t.test('who gives up while it waits is not sent, and takes nothing from others', async (t) => {
  const { clock, http, times } = limited({ readBytesPerSecond: 1 * MiB })
  const leaving = new AbortController()
  const { signal } = leaving
  const gone = http(get(64 * MiB, { path: 'gone', signal }))
  await pass(clock, 1000)
  leaving.abort(new Error('enough'))
  await t.rejects(gone, { message: 'enough' })
  const next = http(get(100 * KiB, { path: 'next' }))
  await pass(clock, 5)
  await next

  t.strictSame(times('gone'), [])
  t.strictSame(times('next').length, 1, 'what it had by then was given back')
  await t.rejects(http(get(1, { signal })), { message: 'enough' })
})

t.test(
  'a stream gets its bytes as they are allowed, and gives back what it did not need',
  async (t) => {
    const clock = new FakeClock()
    const limiter = new RateLimiter({ readBytesPerSecond: 1 * MiB }, clock)
    const taken: Uint8Array[] = []
    let received = 0
    const receiver: BodyReceiver = {
      get receivedBytes() {
        return received
      },
      begin: () => undefined,
      next: () => new Uint8Array(300 * KiB),
      filled: (count) => {
        received += count
      },
    }
    const totalBytes = 500 * KiB
    // As a connection does: it fills what room there is, and stops where there is none.
    const http = intercept(
      async ({ receiver: own }) => {
        while (received < totalBytes && own !== undefined) {
          const resumed = new Promise<void>((resolve) => {
            const room = own.next(resolve)
            if (room === undefined) return
            taken.push(room)
            own.filled(Math.min(room.length, totalBytes - received))
            resolve()
          })
          await resumed
        }
        return { status: 200, headers: {}, body: new Uint8Array(0) }
      },
      limiter.wait,
      limiter.count,
    )
    let isDone = false
    const reading = http({ ...get(totalBytes), receiver }).then(() => {
      isDone = true
    })
    await pass(clock, 200)
    t.notOk(isDone)
    t.ok(received > 200 * KiB && received < 400 * KiB, `${received}`)
    await pass(clock, 250)
    await reading

    t.equal(received, totalBytes)
    t.ok(taken.every((room) => room.length <= 64 * KiB))
  },
)

t.test('time-outs of calls begin after the wait', async (t) => {
  const clock = new FakeClock()
  const limiter = new RateLimiter({ requestsPerSecond: 1 }, clock)
  const http = intercept(
    async () => ({ status: 200, headers: {}, body: new Uint8Array(0) }),
    limiter.wait,
    retry({ clock, callTimeoutMs: 50, deadlineMs: 50 }),
    limiter.count,
  )
  const all = Promise.all([1, 2, 3].map(() => http(get(1))))
  await pass(clock, 2000)

  t.equal((await all).length, 3)
})

t.test('attempts after the first count, and wait for nobody', async (t) => {
  const clock = new FakeClock()
  const limiter = new RateLimiter({ requestsPerSecond: 1 }, clock)
  let attempts = 0
  const http = intercept(
    async () => {
      attempts += 1
      return { status: attempts < 3 ? 503 : 200, headers: {}, body: new Uint8Array(0) }
    },
    limiter.wait,
    retry({ clock, random: () => 0 }),
    limiter.count,
  )
  const first = http(get(1))
  await settle()
  await clock.advance(0)
  await clock.advance(0)
  t.equal((await first).status, 200)
  const second = http(get(1))
  await pass(clock, 2900)
  t.equal(attempts, 3, 'two seconds are owed, and one is the next one’s')
  await pass(clock, 200)
  await second
  t.equal(attempts, 4)
})

t.test('a bucket that nobody takes from holds a tenth of a second', async (t) => {
  const clock = new FakeClock()
  const bucket = new TokenBucket(1000, 1, clock)
  await clock.advance(60_000)

  t.notOk(bucket.tryTake(101))
  t.ok(bucket.tryTake(100))
  t.notOk(bucket.tryTake(1))
  await clock.advance(1)
  t.ok(bucket.tryTake(1))
})

t.test('limits that are none are refused by name', (t) => {
  const wrong: readonly RateLimits[] = [
    { readBytesPerSecond: 1000 },
    { writeBytesPerSecond: Number.NaN },
    { requestsPerSecond: 0 },
    { requestsPerSecond: Number.POSITIVE_INFINITY },
  ]
  for (const limits of wrong) {
    const [name = ''] = Object.keys(limits)
    t.throws(() => new RateLimiter(limits), { name: 'RangeError', message: new RegExp(name) })
  }
  t.end()
})
