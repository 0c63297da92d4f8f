import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import type { BodyReceiver, HttpHandler, HttpRequest } from '../../src/http/handler.ts'
import { type HedgeOptions, hedge } from '../../src/http/hedge.ts'
import { RequestBudget } from '../../src/http/request-budget.ts'
import { socketHandler } from '../../src/http/socket-handler.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'

const text = 'the bytes of the blob'

function get(more: Partial<HttpRequest> = {}): HttpRequest {
  const url = new URL('http://127.0.0.1/c/a')
  return { method: 'GET', url, headers: {}, operation: 'blob.get', ...more }
}

/** One request that waits for what the test makes of it. */
interface Held {
  readonly request: HttpRequest
  answer(status: number, body?: string): void
  fail(error: Error): void
}

/** Answers at once as if each took 10 ms, until it is told to hold requests. */
function service() {
  const held: Held[] = []
  const state = { holds: false, sent: 0 }
  const handler: HttpHandler = (request) => {
    state.sent += 1
    return new Promise((resolve, reject) => {
      request.signal?.addEventListener('abort', () => reject(request.signal?.reason))
      const answer = (status: number, body = text) => {
        try {
          resolve({ status, headers: {}, body: deliver(request, status, body), firstByteMs: 10 })
        } catch (error) {
          reject(error)
        }
      }
      if (state.holds) held.push({ request, answer, fail: reject })
      else answer(200)
    })
  }
  return { handler, held, state }
}

function deliver(request: HttpRequest, status: number, body: string): Uint8Array {
  const bytes = Buffer.from(body)
  const { receiver, into } = request
  if (receiver !== undefined && status < 300) {
    receiver.begin(status, { 'content-length': String(bytes.length) })
    for (let rest = bytes; rest.length > 0; ) {
      const room = receiver.next(() => undefined) ?? new Uint8Array(0)
      const count = Math.min(room.length, rest.length)
      if (count === 0) throw new Error('no room')
      room.set(rest.subarray(0, count))
      receiver.filled(count)
      rest = rest.subarray(count)
    }
    return new Uint8Array(0)
  }
  if (into === undefined || status >= 300) return bytes
  into.set(bytes)
  return into.subarray(0, bytes.length)
}

async function setUp(options: HedgeOptions & { readonly budget?: RequestBudget } = {}) {
  const { handler, held, state } = service()
  const clock = new FakeClock()
  const hedged = hedge({ maxRatio: 0.5, ...options, clock })(handler)
  for (let index = 0; index < 20; index += 1) await hedged(get())
  t.equal(state.sent, 20, 'nothing is sent twice while the latency is unknown')
  state.holds = true
  return { hedged, held, state, clock }
}

t.test(
  'a late read is sent once more, the first answer is taken, the other is cancelled',
  async (t) => {
    for (const winner of [0, 1]) {
      const { hedged, held, clock } = await setUp()
      const into = Buffer.alloc(64)
      const result = hedged(get({ into }))
      await clock.advance(9)
      t.equal(held.length, 1, 'not before its time')
      await clock.advance(1)
      t.equal(held.length, 2)
      t.equal(held[1]?.request.hedge, true)
      t.equal(held[0]?.request.hedge, undefined)
      held[winner]?.answer(206)
      t.equal(String((await result).body), text)
      t.equal(into.subarray(0, text.length).toString(), text, 'in the place for it')
      t.equal(held[1 - winner]?.request.signal?.aborted, true, 'the loser')
    }
  },
)

t.test('a body without a place for it, and one for a receiver, come whole and once', async (t) => {
  const { hedged, held, clock } = await setUp()
  const plain = hedged(get())
  await clock.advance(10)
  held[1]?.answer(200, 'x'.repeat(200_000))
  t.equal((await plain).body.length, 200_000)
  const pieces: string[] = []
  const room = Buffer.alloc(5)
  let receivedBytes = 0
  const receiver: BodyReceiver = {
    get receivedBytes() {
      return receivedBytes
    },
    begin: () => undefined,
    next: () => room,
    filled(count) {
      receivedBytes += count
      pieces.push(room.toString('utf8', 0, count))
    },
  }
  const streamed = hedged(get({ receiver }))
  await clock.advance(10)
  held[3]?.answer(200)
  held[2]?.answer(200)
  await streamed
  t.equal(pieces.join(''), text)
})

t.test('a passing failure waits for the other request; two are the first one’s', async (t) => {
  const { hedged, held, clock } = await setUp()
  const saved = hedged(get())
  await clock.advance(10)
  held[0]?.answer(503)
  held[1]?.answer(200)
  t.equal((await saved).status, 200)
  const lost = hedged(get())
  await clock.advance(10)
  held[3]?.fail(new Error('second'))
  held[2]?.fail(new Error('first'))
  await t.rejects(lost, /first/)
  const missing = hedged(get())
  await clock.advance(10)
  held[5]?.answer(404, 'gone')
  t.match(await missing, { status: 404, body: Buffer.from('gone') })
})

t.test('no more are sent twice than is allowed, and never a write', async (t) => {
  const { hedged, held, state, clock } = await setUp({ maxRatio: 0.1 })
  const results = []
  const before = state.sent
  for (let index = 0; index < 20; index += 1) {
    results.push(hedged(get()))
    await clock.advance(10)
  }
  t.equal(state.sent - before - 20, 4, 'a tenth of forty reads')
  results.push(hedged(get({ method: 'PUT', operation: 'blob.put' })))
  results.push(hedged(get({ method: 'HEAD', operation: 'blob.head' })))
  await clock.advance(1000)
  t.equal(state.sent - before, 26)
  for (const each of held) each.answer(200)
  await Promise.all(results)
})

t.test('a second request needs a place of the budget, and gives it back', async (t) => {
  const budget = new RequestBudget({ maxRequests: 1 })
  const { hedged, held, clock } = await setUp({ budget })
  budget.tryEnter()
  const alone = hedged(get())
  await clock.advance(50)
  t.equal(held.length, 1)
  held[0]?.answer(200)
  await alone
  budget.leave()
  const both = hedged(get())
  await clock.advance(50)
  t.equal(budget.state.active, 1)
  held[2]?.answer(200)
  await both
  t.equal(budget.state.active, 0)
})

t.test('a caller who gives up ends both', async (t) => {
  const { hedged, held, clock } = await setUp()
  const caller = new AbortController()
  const result = hedged(get({ signal: caller.signal }))
  await clock.advance(10)
  caller.abort(new Error('enough'))
  await t.rejects(result, /enough/)
  await settle()
  t.ok(held.every(({ request }) => request.signal?.aborted === true))
})

t.test('settings that cannot be are refused by name', async (t) => {
  for (const options of [{ percentile: 100 }, { percentile: Number.NaN }]) {
    t.throws(() => hedge(options), { code: 'EINVAL', path: 'hedge.percentile' })
  }
  t.throws(() => hedge({ maxRatio: 0 }), { code: 'EINVAL', path: 'hedge.maxRatio' })
})

t.test(
  'over sockets: a server that keeps one answer back costs nothing but a request',
  async (t) => {
    let count = 0
    const server = createServer((_request, response) => {
      count += 1
      if (count !== 41) response.end(text)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    for (const open of [socketHandler, undiciHandler]) {
      count = 0
      const transport = open()
      const hedged = hedge({ maxRatio: 1 })(transport.handle)
      const request = get({ url: new URL(`http://127.0.0.1:${port}/c/a`) })
      for (let index = 0; index < 50; index += 1) {
        const into = Buffer.alloc(64)
        t.equal(String((await hedged({ ...request, into })).body), text)
      }
      t.ok(count > 50, `${count} requests for 50 answers`)
      await transport.close()
    }
    server.closeAllConnections()
    server.close()
  },
)
