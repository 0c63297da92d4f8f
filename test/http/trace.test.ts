import t from 'tap'
import type { HttpRequest } from '../../src/http/handler.ts'
import { trace } from '../../src/http/trace.ts'
import { type HttpEvent, httpChannel } from '../../src/telemetry.ts'
import { FakeClock } from '../support/fake-clock.ts'

const request: HttpRequest = {
  method: 'PUT',
  url: new URL('https://account.example/c/a?sig=secret'),
  headers: { authorization: 'Bearer secret' },
  body: Buffer.from('hello'),
  operation: 'blob.put',
  attempt: 3,
}

t.test('each attempt is published with what it took, and without the query', async (t) => {
  const events: unknown[] = []
  const listen = (event: unknown): unknown => events.push(event)
  httpChannel.subscribe(listen)
  t.teardown(() => httpChannel.unsubscribe(listen))
  const clock = new FakeClock()
  const traced = trace(clock)(async () => {
    await clock.advance(40)
    return { status: 201, headers: { 'x-ms-request-id': 'id-1' }, body: new Uint8Array(2) }
  })

  await traced(request)

  const expected: HttpEvent = {
    operation: 'blob.put',
    method: 'PUT',
    path: 'https://account.example/c/a',
    status: 201,
    bytesSent: 5,
    bytesReceived: 2,
    durationMs: 40,
    attempt: 3,
    hedge: false,
    requestId: 'id-1',
  }
  t.same(events, [expected])
})

t.test('an attempt without an answer is published without a status', async (t) => {
  const events: unknown[] = []
  const listen = (event: unknown): unknown => events.push(event)
  httpChannel.subscribe(listen)
  t.teardown(() => httpChannel.unsubscribe(listen))
  const failure = new Error('broken')
  const traced = trace(new FakeClock())(() => Promise.reject(failure))

  await t.rejects(traced({ ...request, path: 'abfs://c/a' }), failure)

  t.match(events, [{ status: undefined, path: 'abfs://c/a' }])
})

t.test('without subscribers the request goes straight on', async (t) => {
  const answer = Promise.resolve({ status: 200, headers: {}, body: new Uint8Array(0) })

  t.equal(trace(new FakeClock())(() => answer)(request), answer)
})
