import t from 'tap'
import type { Clock } from '../../src/clock.ts'
import { FileSystemError } from '../../src/errors.ts'
import type { HttpHandler, HttpRequest, HttpResponse } from '../../src/http/handler.ts'
import { networkError } from '../../src/http/network-error.ts'
import { type RetryOptions, retry } from '../../src/http/retry.ts'

const request: HttpRequest = {
  method: 'GET',
  url: new URL('https://account.example/c/a?sig=secret'),
  headers: {},
  operation: 'blob.get',
}

/** A clock whose sleeps end at once and are noted. */
class NotingClock implements Clock {
  readonly slept: number[] = []
  #nowMs = Date.UTC(2026, 0, 1)
  nowMs(): number {
    return this.#nowMs
  }
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    this.slept.push(ms)
    this.#nowMs += ms
  }
}

type Reply = number | HttpResponse | Error

/** Gives the replies one after another, the last one from then on. */
function scripted(replies: readonly Reply[]): { handler: HttpHandler; calls: HttpRequest[] } {
  const calls: HttpRequest[] = []
  const handler: HttpHandler = async (call) => {
    calls.push(call)
    const reply = replies[Math.min(calls.length, replies.length) - 1] ?? 200
    if (reply instanceof Error) throw reply
    return typeof reply === 'number' ? response(reply) : reply
  }
  return { handler, calls }
}

function response(status: number, headers: Record<string, string> = {}): HttpResponse {
  return { status, headers, body: new Uint8Array(0) }
}

function broken(code: string, message = 'broken'): FileSystemError {
  return networkError(request, Object.assign(new Error(message), { code }))
}

function attempt(replies: readonly Reply[], options: RetryOptions = {}, sent = request) {
  const clock = new NotingClock()
  const { handler, calls } = scripted(replies)
  const retried = retry({ clock, random: () => 0.5, ...options })(handler)
  return { clock, calls, result: retried(sent) }
}

t.test('a good answer is returned at once', async (t) => {
  const { calls, clock, result } = attempt([200])

  t.equal((await result).status, 200)
  t.equal(calls.length, 1)
  t.equal(calls[0], request)
  t.same(clock.slept, [])
})

t.test('each passing status is tried again until the answer is another', async (t) => {
  for (const status of [408, 429, 500, 502, 503, 504]) {
    const { calls, result } = attempt([status, status, 206])

    t.equal((await result).status, 206)
    t.same(
      calls.map(({ attempt }) => attempt ?? 1),
      [1, 2, 3],
    )
  }
})

t.test('an answer that will not change is returned at once', async (t) => {
  for (const status of [301, 400, 401, 403, 404, 409, 412, 416, 501]) {
    const { calls, result } = attempt([status])

    t.equal((await result).status, status)
    t.equal(calls.length, 1)
  }
})

t.test('waits double from the base to the ceiling, spread by the random number', async (t) => {
  const { clock, result } = attempt([503], {
    maxAttempts: 6,
    baseDelayMs: 100,
    maxDelayMs: 500,
    random: () => 0.25,
  })

  t.equal((await result).status, 503)
  t.same(clock.slept, [25, 50, 100, 125, 125])
})

t.test('Retry-After in seconds is the least wait', async (t) => {
  const { clock, result } = attempt([response(503, { 'retry-after': '7' }), 200])

  await result

  t.same(clock.slept, [7100])
})

t.test('Retry-After as a date is the least wait', async (t) => {
  const date = new Date(Date.UTC(2026, 0, 1, 0, 0, 30)).toUTCString()
  const { clock, result } = attempt([response(429, { 'retry-after': date }), 200])

  await result

  t.same(clock.slept, [30_100])
})

t.test('a Retry-After in the past, or that says nothing, leaves the usual wait', async (t) => {
  for (const value of ['Mon, 01 Jan 2001 00:00:00 GMT', 'soon']) {
    const { clock, result } = attempt([response(503, { 'retry-after': value }), 200])

    await result

    t.same(clock.slept, [100])
  }
})

t.test('no attempt begins after the deadline', async (t) => {
  const late = response(503, { 'retry-after': '50' })
  const { calls, result } = attempt([late], { deadlineMs: 120_000 })

  t.equal((await result).status, 503)
  t.equal(calls.length, 3)
})

t.test('while it is endless, neither attempts nor time are used up', async (t) => {
  const down = Array.from({ length: 5000 }, (_, index) =>
    index % 2 ? 503 : broken('ECONNREFUSED'),
  )
  const { calls, clock, result } = attempt([...down, 200], { isEndless: () => true })

  t.equal((await result).status, 200)
  t.equal(calls.length, 5001)
  t.ok(clock.slept.reduce((sum, ms) => sum + ms, 0) > 3_600_000, 'hours have gone by')
  t.ok(clock.slept.every((ms) => ms <= 10_000))
})

t.test('a request with another way ends after its own attempts, however endless', async (t) => {
  const batch = { ...request, maxAttempts: 3 }
  for (const isEndless of [undefined, () => true]) {
    const { calls, result } = attempt([503], { isEndless }, batch)

    t.equal((await result).status, 503)
    t.equal(calls.length, 3)
  }
  t.equal((await attempt([503, 503, 200], { maxAttempts: 2 }, batch).result).status, 503)
})

t.test('what was endless ends with the next failure when it is so no longer', async (t) => {
  let asked = 0
  const isEndless = (): boolean => ++asked < 40
  const { calls, result } = attempt([broken('ECONNREFUSED')], { isEndless })

  await t.rejects(result, { code: 'EIO' })
  t.ok(calls.length > 5 && calls.length < 45, `${calls.length} attempts`)
})

t.test('after the last attempt the last error is thrown', async (t) => {
  const { calls, result } = attempt([broken('ECONNRESET')])

  await t.rejects(result, { code: 'EIO', retryable: true })
  t.equal(calls.length, 5)
})

t.test('a request that must not be sent twice is repeated only if it never was sent', async (t) => {
  const post = { ...request, method: 'POST' as const }

  t.equal((await attempt([broken('ECONNREFUSED'), 201], {}, post).result).status, 201)
  t.equal((await attempt([503, 201], {}, post).result).status, 503)
  await t.rejects(attempt([broken('ECONNRESET'), 201], {}, post).result, { code: 'EIO' })
})

t.test('a request that says it is idempotent is repeated whatever its method', async (t) => {
  const post = { ...request, method: 'POST' as const, idempotent: true }

  t.equal((await attempt([503, 201], {}, post).result).status, 201)
})

t.test('what cannot pass is thrown at once', async (t) => {
  const untrusted = broken('SELF_SIGNED_CERT_IN_CHAIN')
  const abort = new Error('aborted by the caller')
  const wrapped = new FileSystemError('EIO', 'blob.get', {
    retryable: true,
    cause: broken('EPIPE'),
  })

  for (const error of [untrusted, abort, wrapped, broken('ENOTFOUND')]) {
    const { calls, result } = attempt([error])

    await t.rejects(result, error)
    t.equal(calls.length, 1)
  }
})

t.test('an abort ends the wait between attempts', async (t) => {
  const reason = new Error('enough')
  const signal = AbortSignal.abort(reason)

  await t.rejects(attempt([503], {}, { ...request, signal }).result, reason)
})

t.test('an error names host and attempts, and never the query', async (t) => {
  const { message } = networkError({ ...request, attempt: 5 }, new Error('odd'))

  t.match(message, /account\.example failed: odd \(tried 5 times\)/)
  t.notMatch(message, 'secret')
})

t.test('a service that says it does not have a feature is not asked again', async (t) => {
  const refusal = response(500, { 'x-ms-error-code': 'FeatureNotSupported' })
  const { calls, result } = attempt([refusal, 200])
  t.equal((await result).status, 500)
  t.equal(calls.length, 1)
})
