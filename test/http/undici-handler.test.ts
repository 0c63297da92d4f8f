import type { Test } from 'tap'
import t from 'tap'
import { isFileSystemError } from '../../src/errors.ts'
import type { HttpRequest } from '../../src/http/handler.ts'
import { type UndiciHandlerOptions, undiciHandler } from '../../src/http/undici-handler.ts'
import {
  answer,
  hangUp,
  silence,
  stall,
  startFaultServer,
  truncated,
} from '../support/fault-server.ts'

function handlerOf(t: Test, options: UndiciHandlerOptions = {}) {
  const { handle, close } = undiciHandler(options)
  t.teardown(close)
  return handle
}

function get(url: URL, rest: Partial<HttpRequest> = {}): HttpRequest {
  return { method: 'GET', url, headers: {}, operation: 'blob.get', ...rest }
}

t.test('an answer comes with status, lower-case headers and body', async (t) => {
  const server = await startFaultServer(t, answer(404, 'gone', { 'X-Ms-Error-Code': 'Gone' }))
  const handle = handlerOf(t)

  const response = await handle(get(server.url))

  t.equal(response.status, 404)
  t.equal(response.headers['x-ms-error-code'], 'Gone')
  t.equal(Buffer.from(response.body).toString(), 'gone')
})

t.test('a request is sent with its method, path, query, headers and body', async (t) => {
  const server = await startFaultServer(t, answer(201))
  const handle = handlerOf(t)
  const url = new URL('/c/a%2520b?comp=block&x=%2B', server.url)
  const body = Buffer.from('hello')

  await handle({ method: 'PUT', url, headers: { 'x-ms-a': 'b' }, body, operation: 'blob.put' })

  t.match(server.seen, [
    {
      method: 'PUT',
      url: '/c/a%2520b?comp=block&x=%2B',
      headers: { 'x-ms-a': 'b', 'content-length': '5', 'accept-encoding': 'identity' },
      body: 'hello',
    },
  ])
})

t.test('a compressed body is delivered as it is stored', async (t) => {
  const server = await startFaultServer(
    t,
    answer(200, '\x1f\x8bxx', { 'content-encoding': 'gzip' }),
  )
  const handle = handlerOf(t)

  const response = await handle(get(server.url))

  t.equal(Buffer.from(response.body).toString(), '\x1f\x8bxx')
})

t.test('a body is written into the buffer of the request', async (t) => {
  const server = await startFaultServer(t, answer(206, 'hello'))
  const handle = handlerOf(t)
  const into = Buffer.alloc(8, '-')

  const { body } = await handle(get(server.url, { into }))

  t.equal(into.toString(), 'hello---')
  t.equal(body.buffer, into.buffer)
  t.equal(body.length, 5)
})

t.test('the body of an error does not touch the buffer of the request', async (t) => {
  const server = await startFaultServer(t, answer(503, 'a long explanation'))
  const handle = handlerOf(t)
  const into = Buffer.alloc(4, '-')

  const { body } = await handle(get(server.url, { into }))

  t.equal(into.toString(), '----')
  t.equal(Buffer.from(body).toString(), 'a long explanation')
})

t.test('a body longer than accepted rejects with EFBIG, announced or not', async (t) => {
  const announced = await startFaultServer(t, answer(200, 'hello', { 'content-length': '5' }))
  const chunked = await startFaultServer(t, (_request, response) => {
    response.write('hel')
    response.end('lo')
  })
  const handle = handlerOf(t)

  for (const { url } of [announced, chunked]) {
    await t.rejects(handle(get(url, { maxBodyBytes: 4 })), { code: 'EFBIG' })
    await t.rejects(handle(get(url, { into: Buffer.alloc(4) })), { code: 'EFBIG' })
  }
})

t.test('a body of unknown length is gathered whole', async (t) => {
  const pieces = Array.from({ length: 50 }, (_, index) => `piece ${index};`.repeat(100))
  const server = await startFaultServer(t, (_request, response) => {
    for (const piece of pieces) response.write(piece)
    response.end()
  })
  const handle = handlerOf(t)

  const { body } = await handle(get(server.url))

  t.equal(Buffer.from(body).toString(), pieces.join(''))
})

t.test('connections serve one request after another, HEAD included', async (t) => {
  const server = await startFaultServer(t, answer(200, '', { 'content-length': '0' }))
  const handle = handlerOf(t)

  for (const method of ['GET', 'HEAD', 'HEAD', 'GET', 'HEAD', 'HEAD'] as const) {
    await handle(get(server.url, { method }))
  }

  // The pool takes turns between two, because one is told to be free only after its answer is out.
  t.ok(server.connections() <= 2, `${server.connections()} connections`)
})

t.test('a broken connection rejects with EIO that may be tried again', async (t) => {
  const handle = handlerOf(t)

  for (const step of [hangUp, truncated(100, 'only this')]) {
    const server = await startFaultServer(t, step)

    await t.rejects(handle(get(server.url)), { code: 'EIO', retryable: true })
  }
})

t.test('a server that stays silent, or stops half-way, rejects with ETIMEDOUT', async (t) => {
  const handle = handlerOf(t, { headersTimeoutMs: 20, bodyIdleTimeoutMs: 20 })

  for (const step of [silence, stall]) {
    const server = await startFaultServer(t, step)

    await t.rejects(handle(get(server.url)), { code: 'ETIMEDOUT', retryable: true })
  }
})

t.test('a port where nothing listens is named with what to check', async (t) => {
  const handle = handlerOf(t)

  const error = await handle(get(new URL('http://127.0.0.1:1/c/a?sig=secret'))).catch((e) => e)

  t.ok(isFileSystemError(error, 'EIO'))
  t.match(error.message, /nothing listens at 127\.0\.0\.1:1: check that the service runs/)
  t.notMatch(error.message, 'secret')
})

t.test('a host that does not exist is named, and is not worth another try', async (t) => {
  const handle = handlerOf(t)

  const error = await handle(get(new URL('http://no-such-account.invalid/'))).catch((e) => e)

  t.ok(isFileSystemError(error, 'EIO'))
  t.match(error.message, /no-such-account\.invalid/)
})

t.test('an aborted request rejects with the reason of its signal', async (t) => {
  const reason = new Error('enough')
  const handle = handlerOf(t)
  const waiting = new AbortController()
  const server = await startFaultServer(t, () => waiting.abort(reason))

  await t.rejects(handle(get(server.url, { signal: AbortSignal.abort(reason) })), reason)
  await t.rejects(handle(get(server.url, { signal: waiting.signal })), reason)
})

t.test('a request that waits for a connection can be aborted', async (t) => {
  const reason = new Error('enough')
  const handle = handlerOf(t, { maxSockets: 1 })
  const waiting = new AbortController()
  const first = new AbortController()
  const server = await startFaultServer(t, () => waiting.abort(reason))

  const blocked = handle(get(server.url, { signal: first.signal }))
  const queued = handle(get(server.url, { signal: waiting.signal }))

  await t.rejects(queued, reason)
  first.abort(reason)
  await t.rejects(blocked, reason)
})

t.test('an invalid header value rejects and names no secret', async (t) => {
  const server = await startFaultServer(t, answer(200))
  const handle = handlerOf(t)

  const headers = { authorization: 'Bearer secret\nvalue' }
  const error = await handle(get(server.url, { headers })).catch((e) => e)

  t.ok(isFileSystemError(error, 'EIO'))
  t.notMatch(error.message, 'secret')
})

t.test('one signal may serve many requests at once without a warning', async (t) => {
  const warnings: Error[] = []
  const warn = (warning: Error): unknown => warnings.push(warning)
  process.on('warning', warn)
  t.teardown(() => process.off('warning', warn))
  const server = await startFaultServer(t, answer(200))
  const handle = handlerOf(t)
  const { signal } = new AbortController()

  await Promise.all(Array.from({ length: 30 }, () => handle(get(server.url, { signal }))))
  await new Promise((resolve) => setImmediate(resolve))

  t.same(warnings, [])
})
