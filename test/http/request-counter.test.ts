import t from 'tap'
import { FileSystemError } from '../../src/errors.ts'
import type { HttpRequest, HttpResponse } from '../../src/http/handler.ts'
import { RequestCounter } from '../../src/http/request-counter.ts'

const url = new URL('https://acct.blob.core.windows.net/box/f')
const get: HttpRequest = { method: 'GET', url, headers: {}, operation: 'blob.get' }
const answer = (text: string): HttpResponse => ({
  status: 200,
  headers: {},
  body: Buffer.from(text),
})

t.test('requests are counted by operation, with their bytes, retries and hedges', async (t) => {
  const counter = new RequestCounter()
  const send = counter.intercept(async () => answer('12345'))

  await send(get)
  await send({ ...get, attempt: 2 })
  await send({ ...get, hedge: true })
  await send({ ...get, method: 'POST', operation: 'blob.deleteMany', parts: 64 })
  await send({ ...get, method: 'PUT', operation: 'blob.put', body: new Uint8Array(7) })

  t.strictSame(counter.counts, {
    requests: 5,
    byOperation: { 'blob.deleteMany': 1, 'blob.get': 3, 'blob.put': 1 },
    bytesSent: 7,
    bytesReceived: 25,
    retries: 1,
    hedges: 1,
    unanswered: 0,
    batched: 64,
  })
})

t.test('an attempt without an answer counts, and its error passes', async (t) => {
  const counter = new RequestCounter()
  const broken = new FileSystemError('EIO', 'blob.get')
  const receiver = { receivedBytes: 3, begin: () => {}, next: () => undefined, filled: () => {} }
  const send = counter.intercept(async () => {
    throw broken
  })

  await t.rejects(send({ ...get, receiver }), broken)

  t.match(counter.counts, { requests: 1, bytesReceived: 3, unanswered: 1 })
})
