import type { Test } from 'tap'
import { isFileSystemError } from '../../src/errors.ts'
import { answer, hangUp, silence, stall, truncated } from '../support/fault-server.ts'
import { get, type HttpBench, type HttpCase } from '../support/http-bench.ts'
import { streamCases } from './http-stream.ts'
import { wireCases } from './http-wire.ts'

/** What every handler at the bottom of the stack does, whatever it sends through. */
export function httpHandlerConformance(t: Test, bench: HttpBench): void {
  for (const { title, run } of [...cases, ...wireCases, ...streamCases]) {
    t.test(`${title} (${bench.scheme})`, (t) => run(t, bench))
  }
}

const cases: HttpCase[] = []

function check(title: string, run: HttpCase['run']): void {
  cases.push({ title, run })
}

check('an answer comes with status, lower-case headers and body', async (t, bench) => {
  const server = await bench.serve(t, answer(404, 'gone', { 'X-Ms-Error-Code': 'Gone' }))
  const handle = bench.open(t)

  const response = await handle(get(server.url))

  t.equal(response.status, 404)
  t.equal(response.headers['x-ms-error-code'], 'Gone')
  t.equal(Buffer.from(response.body).toString(), 'gone')
})

check('a request is sent with its method, path, query, headers and body', async (t, bench) => {
  const server = await bench.serve(t, answer(201))
  const handle = bench.open(t)
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

check('a compressed body is delivered as it is stored', async (t, bench) => {
  const server = await bench.serve(t, answer(200, '\x1f\x8bxx', { 'content-encoding': 'gzip' }))
  const handle = bench.open(t)

  const response = await handle(get(server.url))

  t.equal(Buffer.from(response.body).toString(), '\x1f\x8bxx')
})

check('a body is written into the buffer of the request', async (t, bench) => {
  const server = await bench.serve(t, answer(206, 'hello'))
  const handle = bench.open(t)
  const into = Buffer.alloc(8, '-')

  const { body } = await handle(get(server.url, { into }))

  t.equal(into.toString(), 'hello---')
  t.equal(body.buffer, into.buffer)
  t.equal(body.length, 5)
})

check('the body of an error does not touch the buffer of the request', async (t, bench) => {
  const server = await bench.serve(t, answer(503, 'a long explanation'))
  const handle = bench.open(t)
  const into = Buffer.alloc(4, '-')

  const { body } = await handle(get(server.url, { into }))

  t.equal(into.toString(), '----')
  t.equal(Buffer.from(body).toString(), 'a long explanation')
})

check('a body longer than accepted rejects with EFBIG, announced or not', async (t, bench) => {
  const announced = await bench.serve(t, answer(200, 'hello', { 'content-length': '5' }))
  const chunked = await bench.serve(t, (_request, response) => {
    response.write('hel')
    response.end('lo')
  })
  const handle = bench.open(t)

  for (const { url } of [announced, chunked]) {
    await t.rejects(handle(get(url, { maxBodyBytes: 4 })), { code: 'EFBIG' })
    await t.rejects(handle(get(url, { into: Buffer.alloc(4) })), { code: 'EFBIG' })
  }
})

check('a body of unknown length is gathered whole', async (t, bench) => {
  const pieces = Array.from({ length: 50 }, (_, index) => `piece ${index};`.repeat(100))
  const server = await bench.serve(t, (_request, response) => {
    for (const piece of pieces) response.write(piece)
    response.end()
  })
  const handle = bench.open(t)

  const { body } = await handle(get(server.url))

  t.equal(Buffer.from(body).toString(), pieces.join(''))
})

check('a body lies in the room of the request where there is enough of it', async (t, bench) => {
  const announced = await bench.serve(t, answer(200, 'hello'))
  const refused = await bench.serve(t, answer(404, 'no'))
  const chunked = await bench.serve(t, (_request, response) => {
    response.write('hel')
    response.end('lo')
  })
  const handle = bench.open(t)

  for (const { url } of [announced, chunked]) {
    const room = Buffer.alloc(8, '-')
    const { body } = await handle(get(url, { room }))
    t.equal(body.buffer, room.buffer)
    t.equal(room.toString(), 'hello---')

    const tight = Buffer.alloc(4, '-')
    const longer = await handle(get(url, { room: tight }))
    t.equal(Buffer.from(longer.body).toString(), 'hello')
    t.not(longer.body.buffer, tight.buffer)
  }
  const room = Buffer.alloc(8, '-')
  t.equal(Buffer.from((await handle(get(refused.url, { room }))).body).toString(), 'no')
  t.equal(room.toString(), '--------')
})

check('connections serve one request after another, HEAD included', async (t, bench) => {
  const server = await bench.serve(t, answer(200, '', { 'content-length': '0' }))
  const handle = bench.open(t)

  for (const method of ['GET', 'HEAD', 'HEAD', 'GET', 'HEAD', 'HEAD'] as const) {
    await handle(get(server.url, { method }))
  }

  // The pool takes turns between two, because one is told to be free only after its answer is out.
  t.ok(server.connections() <= 2, `${server.connections()} connections`)
})

check('a broken connection rejects with EIO that may be tried again', async (t, bench) => {
  const handle = bench.open(t)

  for (const step of [hangUp, truncated(100, 'only this')]) {
    const server = await bench.serve(t, step)

    await t.rejects(handle(get(server.url)), { code: 'EIO', retryable: true })
  }
})

check('a server that stays silent, or stops half-way, rejects with ETIMEDOUT', async (t, bench) => {
  const handle = bench.open(t, { headersTimeoutMs: 20, bodyIdleTimeoutMs: 20 })

  for (const step of [silence, stall]) {
    const server = await bench.serve(t, step)

    await t.rejects(handle(get(server.url)), { code: 'ETIMEDOUT', retryable: true })
  }
})

check('a port where nothing listens is named with what to check', async (t, bench) => {
  const handle = bench.open(t)

  const error = await handle(get(new URL(`${bench.scheme}://127.0.0.1:1/c/a?sig=secret`))).catch(
    (e) => e,
  )

  t.ok(isFileSystemError(error, 'EIO'))
  t.match(error.message, /nothing listens at 127\.0\.0\.1:1: check that the service runs/)
  t.notMatch(error.message, 'secret')
})

check('a host that does not exist is named, and is not worth another try', async (t, bench) => {
  const handle = bench.open(t)

  const error = await handle(get(new URL(`${bench.scheme}://no-such-account.invalid/`))).catch(
    (e) => e,
  )

  t.ok(isFileSystemError(error, 'EIO'))
  t.match(error.message, /no-such-account\.invalid/)
})

check('an aborted request rejects with the reason of its signal', async (t, bench) => {
  const reason = new Error('enough')
  const handle = bench.open(t)
  const waiting = new AbortController()
  const server = await bench.serve(t, () => waiting.abort(reason))

  await t.rejects(handle(get(server.url, { signal: AbortSignal.abort(reason) })), reason)
  await t.rejects(handle(get(server.url, { signal: waiting.signal })), reason)
})

check('a request that waits for a connection can be aborted', async (t, bench) => {
  const reason = new Error('enough')
  const handle = bench.open(t, { maxSockets: 1 })
  const waiting = new AbortController()
  const first = new AbortController()
  const server = await bench.serve(t, () => waiting.abort(reason))

  const blocked = handle(get(server.url, { signal: first.signal }))
  const queued = handle(get(server.url, { signal: waiting.signal }))

  await t.rejects(queued, reason)
  first.abort(reason)
  await t.rejects(blocked, reason)
})

check('an invalid header value rejects and names no secret', async (t, bench) => {
  const server = await bench.serve(t, answer(200))
  const handle = bench.open(t)

  const headers = { authorization: 'Bearer secret\nvalue' }
  const error = await handle(get(server.url, { headers })).catch((e) => e)

  t.ok(isFileSystemError(error, 'EINVAL'))
  t.notMatch(error.message, 'secret')
})

check('one signal may serve many requests at once without a warning', async (t, bench) => {
  const warnings: Error[] = []
  const warn = (warning: Error): unknown => warnings.push(warning)
  process.on('warning', warn)
  t.teardown(() => process.off('warning', warn))
  const server = await bench.serve(t, answer(200))
  const handle = bench.open(t)
  const { signal } = new AbortController()

  await Promise.all(Array.from({ length: 30 }, () => handle(get(server.url, { signal }))))
  await new Promise((resolve) => setImmediate(resolve))

  t.same(warnings, [])
})
