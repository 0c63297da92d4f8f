import t from 'tap'
import type { HttpHandler, HttpRequest, HttpResponse } from '../../src/http/handler.ts'
import { RequestBudget } from '../../src/http/request-budget.ts'
import { retry } from '../../src/http/retry.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'

const request: HttpRequest = {
  method: 'GET',
  url: new URL('https://account.example/c/a'),
  headers: {},
  operation: 'blob.get',
}

function response(status: number, headers: Record<string, string> = {}, firstByteMs = 1) {
  return { status, headers, body: new Uint8Array(0), firstByteMs } satisfies HttpResponse
}

/** A service whose answers a test gives, one by one. */
class Service {
  readonly waiting: ((answer: HttpResponse | Error) => void)[] = []
  sent = 0
  readonly handle: HttpHandler = () => {
    this.sent += 1
    return new Promise((resolve, reject) => {
      this.waiting.push((answer) => (answer instanceof Error ? reject(answer) : resolve(answer)))
    })
  }
  async answer(answer: HttpResponse | Error): Promise<void> {
    this.waiting.shift()?.(answer)
    await settle()
  }
}

function account(maxRequests: number) {
  const clock = new FakeClock()
  const service = new Service()
  const budget = new RequestBudget({ maxRequests, clock, random: () => 0 })
  const http = retry({ clock, budget, random: () => 0, maxAttempts: 3 })(service.handle)
  return { clock, service, budget, http }
}

t.test(
  'no more requests than the budget has places are under way, in the order they came',
  async (t) => {
    const { service, budget, http } = account(2)
    const done: number[] = []
    const calls = [0, 1, 2, 3].map((index) => http(request).then(() => done.push(index)))
    await settle()
    t.equal(service.sent, 2)
    t.match(budget.state, { active: 2, waiting: 2 })
    for (let index = 0; index < 4; index++) await service.answer(response(200))
    await Promise.all(calls)
    t.same(done, [0, 1, 2, 3])
    t.match(budget.state, { active: 0, waiting: 0 })
  },
)

t.test('a pause that one answer asks for holds for all requests to the account', async (t) => {
  const { clock, service, http } = account(4)
  const first = http(request)
  await settle()
  await service.answer(response(503, { 'retry-after': '7' }))
  const second = http(request)
  await settle()
  t.equal(service.sent, 1, 'the other request waits as well')
  await clock.advance(6999)
  t.equal(service.sent, 1)
  await clock.advance(1)
  await clock.advance(0)
  t.equal(service.sent, 3)
  await service.answer(response(200))
  await service.answer(response(200))
  t.same([(await first).status, (await second).status], [200, 200])
})

t.test('milliseconds and dates are pauses too', async (t) => {
  for (const headers of [
    { 'x-ms-retry-after-ms': '1500', 'retry-after': '60' },
    { 'retry-after': new Date(Date.UTC(2026, 0, 1) + 2000).toUTCString() },
  ]) {
    const { budget, http, service } = account(1)
    const call = http(request).catch(() => undefined)
    await settle()
    await service.answer(response(429, headers))
    t.ok([1500, 2000].includes(budget.state.pauseMs), `${budget.state.pauseMs}`)
    void call
  }
})

t.test(
  'a request that waited for its turn when the pause began waits for the end of the pause',
  async (t) => {
    const { clock, service, http } = account(1)
    const calls = [http(request), http(request)]
    await settle()
    await service.answer(response(429, { 'retry-after': '3' }))
    t.equal(service.sent, 1)
    await clock.advance(3000)
    await clock.advance(0)
    t.equal(service.sent, 2, 'one place: one request')
    await service.answer(response(200))
    await service.answer(response(200))
    await Promise.all(calls)
    t.equal(service.sent, 3)
  },
)

t.test('a pause that is longer than the patience fails at once, as busy', async (t) => {
  const { service, http } = account(1)
  const first = http(request)
  await settle()
  await service.answer(response(503, { 'retry-after': '3600' }))
  t.equal((await first).status, 503)
  await t.rejects(http(request), { code: 'EIO', serviceCode: 'ServerBusy', retryable: true })
  t.equal(service.sent, 1)
})

t.test(
  'a refusal halves the limit once for all that were sent before, good answers restore it',
  async (t) => {
    const clock = new FakeClock()
    const budget = new RequestBudget({ maxRequests: 16, clock })
    const sentMs = clock.nowMs()
    await clock.advance(10)
    for (let count = 0; count < 10; count++) budget.note(response(503), sentMs)
    t.equal(budget.state.limit, 8)
    budget.note(response(429), clock.nowMs())
    t.equal(budget.state.limit, 4)
    for (let count = 0; count < 200; count++) budget.note(response(200), clock.nowMs())
    t.equal(budget.state.limit, 16)
  },
)

t.test('answers that begin later and later lower the limit, and never below one', async (t) => {
  const clock = new FakeClock()
  const budget = new RequestBudget({ maxRequests: 16, clock })
  for (let count = 0; count < 50; count++) budget.note(response(200, {}, 10), clock.nowMs())
  for (let count = 0; count < 60; count++) {
    await clock.advance(100)
    budget.note(response(200, {}, 3000), clock.nowMs())
  }
  t.ok(budget.state.limit < 14, `${budget.state.limit}`)
  t.ok(budget.state.limit >= 1)
})

t.test('a request that is aborted while it waits leaves its turn to the next', async (t) => {
  const { service, budget, http } = account(1)
  const abort = new AbortController()
  const first = http(request)
  const second = http({ ...request, signal: abort.signal })
  const third = http(request)
  await settle()
  abort.abort(new Error('enough'))
  await t.rejects(second, { message: 'enough' })
  await service.answer(response(200))
  await service.answer(response(200))
  await Promise.all([first, third])
  t.equal(service.sent, 2)
  t.match(budget.state, { active: 0, waiting: 0 })
})

t.test('a body that nobody takes at the moment gives its place to others', async (t) => {
  const { service, budget, http } = account(1)
  let paused: ((resume: () => void) => Uint8Array | undefined) | undefined
  const receiver = {
    receivedBytes: 0,
    begin() {},
    next: () => undefined,
    filled() {},
  }
  const stream = retry({ budget })(async ({ receiver: given }) => {
    paused = (resume) => given?.next(resume)
    return service.handle(request)
  })({ ...request, receiver })
  const other = http(request)
  await settle()
  t.equal(service.sent, 1)
  paused?.(() => undefined)
  await settle()
  t.equal(service.sent, 2)
  await service.answer(response(200))
  await service.answer(response(200))
  await Promise.all([stream, other])
  t.equal(budget.state.active, 0)
})

t.test('a call with a time-out is cut off with all its attempts', async (t) => {
  const clock = new FakeClock()
  const signals: (AbortSignal | undefined)[] = []
  const hanging: HttpHandler = ({ signal }) => {
    signals.push(signal)
    return new Promise((_resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason))
    })
  }
  const call = retry({ clock, callTimeoutMs: 5000 })(hanging)(request)
  const failed = t.rejects(call, { code: 'ETIMEDOUT', retryable: true, syscall: 'blob.get' })
  await settle()
  await clock.advance(5000)
  await failed
  t.equal(signals.length, 1)
  t.equal(clock.sleeping, 0, 'no timer is left')
})

t.test('the time-out of a call leaves no timer behind when it succeeds', async (t) => {
  const clock = new FakeClock()
  const answered = await retry({ clock, callTimeoutMs: 5000 })(async () => response(200))(request)
  t.equal(answered.status, 200)
  await settle()
  t.equal(clock.sleeping, 0)
})
