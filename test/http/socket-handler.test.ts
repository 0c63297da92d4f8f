import { createServer } from 'node:net'
import t from 'tap'
import { isFileSystemError } from '../../src/errors.ts'
import { retry } from '../../src/http/retry.ts'
import { socketHandler } from '../../src/http/socket-handler.ts'
import { httpHandlerConformance } from '../conformance/http-handler.ts'
import { answer, startFaultServer } from '../support/fault-server.ts'
import { get, httpBench } from '../support/http-bench.ts'
import { type RawStep, startRawServer } from '../support/raw-server.ts'
import { generateServerCertificate } from '../support/server-certificate.ts'

const certificate = await generateServerCertificate()

httpHandlerConformance(t, httpBench(socketHandler))
httpHandlerConformance(t, httpBench(socketHandler, certificate))

const ok: RawStep = (socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')

/** Answers the first request of each connection, and closes it when a second one comes. */
const closesKept: RawStep = (socket, { connection, request }) => {
  if (connection === 1 && request === 2) socket.destroy()
  else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
}

t.test(
  'a kept connection that the server closes costs an idempotent request nothing',
  async (t) => {
    for (const secure of [undefined, certificate]) {
      const server = await startRawServer(t, { onRequest: closesKept, certificate: secure })
      const { handle, close } = socketHandler({ ca: certificate.cert, maxSockets: 1 })
      t.teardown(close)

      await handle(get(server.url))
      const second = await handle(get(server.url, { method: 'PUT', body: Buffer.from('x') }))

      t.equal(second.status, 200)
      t.equal(server.connections(), 2)
    }
  },
)

t.test(
  'a kept connection that breaks is not hidden from a request that must go once',
  async (t) => {
    const server = await startRawServer(t, { onRequest: closesKept })
    const { handle, close } = socketHandler()
    t.teardown(close)

    await handle(get(server.url))

    await t.rejects(handle(get(server.url, { method: 'POST' })), { code: 'EIO', retryable: true })
  },
)

t.test('a repeated request that fails again rejects', async (t) => {
  const server = await startRawServer(t, {
    onRequest(socket, { connection, request }) {
      if (connection === 1 && request === 1) ok(socket, { head: '', connection, request })
      else socket.destroy()
    },
  })
  const { handle, close } = socketHandler()
  t.teardown(close)

  await handle(get(server.url))

  await t.rejects(handle(get(server.url)), { code: 'EIO', retryable: true })
  t.equal(server.connections(), 2)
})

t.test('one request after another uses one connection', async (t) => {
  const server = await startFaultServer(t, answer(200, 'ok'))
  const { handle, close } = socketHandler()
  t.teardown(close)

  for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'POST', 'GET'] as const) {
    await handle(get(server.url, { method }))
  }

  t.equal(server.connections(), 1)
})

t.test('a connection that nobody uses is closed', async (t) => {
  const closed = new Promise<void>((resolve, reject) => {
    startRawServer(t, {
      onRequest: ok,
      onConnection: (socket) => void socket.on('close', () => resolve()),
    }).then(async (server) => {
      const { handle, close } = socketHandler({ keepAliveMs: 20 })
      t.teardown(close)
      await handle(get(server.url))
    }, reject)
  })

  await closed
  t.pass('the server saw it close')
})

t.test('the certificate is verified before a byte of the request is sent', async (t) => {
  const server = await startRawServer(t, { onRequest: ok, certificate })
  const { handle, close } = socketHandler()
  t.teardown(close)

  const headers = { authorization: 'Bearer secret' }
  const error = await handle(get(server.url, { headers })).catch((e) => e)

  t.ok(isFileSystemError(error, 'EIO'))
  t.match(error.message, /certificate of 127\.0\.0\.1:\d+ is not trusted/)
  t.equal(server.received(), '')
})

t.test('a certificate for another name is refused', async (t) => {
  const server = await startRawServer(t, { onRequest: ok, certificate })
  const { handle, close } = socketHandler({ ca: certificate.cert })
  t.teardown(close)
  const url = new URL(server.url)
  url.hostname = 'localhost'

  const error = await handle(get(url)).catch((e) => e)

  t.ok(isFileSystemError(error, 'EIO'))
  t.match(error.message, /is not trusted/)
  t.equal(server.received(), '')
})

t.test('the next connection resumes the TLS session', async (t) => {
  const resumed: boolean[] = []
  const server = await startRawServer(t, {
    certificate,
    onConnection(socket) {
      if ('isSessionReused' in socket && typeof socket.isSessionReused === 'function') {
        resumed.push(socket.isSessionReused())
      }
    },
    onRequest: (socket) =>
      void socket.write('HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'),
  })
  const { handle, close } = socketHandler({ ca: certificate.cert })
  t.teardown(close)

  await handle(get(server.url))
  await handle(get(server.url))

  t.same(resumed, [false, true])
})

t.test('a connection that is closed in the handshake is no answer', async (t) => {
  for (const bytes of [0, 1]) {
    let connections = 0
    const server = createServer((socket) => {
      connections += 1
      socket.on('error', () => undefined)
      if (bytes === 0) socket.end()
      else socket.once('data', () => socket.end())
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => server.close())
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const { handle, close } = socketHandler({ ca: certificate.cert })
    t.teardown(close)
    const url = new URL(`https://127.0.0.1:${port}/`)
    const write = get(url, { method: 'PUT', body: Buffer.from('x') })

    await t.rejects(handle(write), { code: 'EIO', retryable: true })
    // Nothing was sent: what must go once may go now.
    const again = retry({ baseDelayMs: 0, maxAttempts: 3 })(handle)
    await t.rejects(again(get(url, { method: 'POST' })), { code: 'EIO', message: /tried 3 times/ })
    t.equal(connections, 4)
  }
})

t.test('a host that does not answer the handshake rejects with ETIMEDOUT', async (t) => {
  const server = await startRawServer(t, { onConnection: (socket) => void socket.resume() })
  const { handle, close } = socketHandler({ connectTimeoutMs: 20 })
  t.teardown(close)
  const url = new URL(server.url.href.replace('http:', 'https:'))

  await t.rejects(handle(get(url)), { code: 'ETIMEDOUT', retryable: true })
})

t.test('a head that trickles in does not hold the time-out off', async (t) => {
  const server = await startRawServer(t, {
    onRequest(socket) {
      const trickle = () => {
        if (!socket.destroyed)
          socket.write('HTTP/1.1 100 Continue\r\n\r\n', () => setImmediate(trickle))
      }
      trickle()
    },
  })
  const { handle, close } = socketHandler({ headersTimeoutMs: 50 })
  t.teardown(close)

  await t.rejects(handle(get(server.url)), { code: 'ETIMEDOUT' })
})

t.test('an abort while it connects leaves the place to the next request', async (t) => {
  const reason = new Error('enough')
  const server = await startRawServer(t, { onRequest: ok })
  const { handle, close } = socketHandler({ maxSockets: 1 })
  t.teardown(close)
  const abort = new AbortController()

  const first = handle(get(server.url, { signal: abort.signal }))
  const second = handle(get(server.url))
  abort.abort(reason)

  await t.rejects(first, reason)
  t.equal((await second).status, 200)
})

t.test('names, values and paths that could smuggle a request are refused unsent', async (t) => {
  const server = await startRawServer(t, { onRequest: ok })
  const { handle, close } = socketHandler()
  t.teardown(close)
  const bad: Record<string, string>[] = [
    { 'x-a': 'b\r\nx-b: c' },
    { 'x-a': 'b\nc' },
    { 'x-a': 'b\0' },
    { 'x-a': 'ā' },
    { 'x-a\r\nx-b': 'c' },
    { 'x a': 'c' },
    { '': 'c' },
    { 'Transfer-Encoding': 'chunked' },
    { 'content-length': '5' },
    { host: 'elsewhere' },
    { connection: 'close' },
  ]

  for (const headers of bad) {
    const error = await handle(get(server.url, { headers })).catch((e) => e)
    t.ok(isFileSystemError(error, 'EINVAL'), JSON.stringify(headers))
  }
  t.equal(server.received(), '')
})

t.test('close waits for what is under way and refuses what comes later', async (t) => {
  const held: (() => void)[] = []
  const server = await startRawServer(t, {
    onRequest: (socket, request) => {
      held.push(() => ok(socket, request))
      if (held.length === 1) closing()
    },
  })
  const { handle, close } = socketHandler({ maxSockets: 1 })
  let closed: Promise<void> | undefined
  const closing = () => {
    closed = close()
    held[0]?.()
  }

  const response = await handle(get(server.url))
  await closed

  t.equal(response.status, 200)
  await t.rejects(handle(get(server.url)), { code: 'EIO', retryable: false })
})

t.test('what connects ahead serves the request that comes meanwhile or later', async (t) => {
  for (const secure of [undefined, certificate]) {
    for (const comesLater of [false, true]) {
      let connected = () => {}
      const isConnected = new Promise<void>((resolve) => {
        connected = resolve
      })
      const server = await startRawServer(t, {
        onRequest: ok,
        onConnection: () => connected(),
        certificate: secure,
      })
      const { handle, prepare, close } = socketHandler({ ca: certificate.cert })
      t.teardown(close)

      prepare?.(server.url)
      prepare?.(server.url)
      if (comesLater) await isConnected
      const first = await handle(get(server.url, { method: 'POST' }))
      await handle(get(server.url))

      t.equal(first.status, 200)
      t.equal(server.connections(), 1)
    }
  }
})

t.test('what connects ahead and fails is told to requests alone', async (t) => {
  const unused = createServer()
  await new Promise<void>((resolve) => unused.listen(0, '127.0.0.1', resolve))
  const address = unused.address()
  await new Promise((resolve) => unused.close(resolve))
  const url = new URL(`http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/`)
  const { handle, prepare, close } = socketHandler()
  t.teardown(close)

  prepare?.(url)

  await t.rejects(handle(get(url)), { code: 'EIO', retryable: true })
  const untrusted = socketHandler({ ca: 'no authority' })
  untrusted.prepare?.(new URL('https://127.0.0.1/'))
  await untrusted.close()
})

t.test('close ends what connects ahead, and nothing connects ahead afterwards', async (t) => {
  const server = await startRawServer(t, { onRequest: ok })
  const { prepare, close } = socketHandler()

  prepare?.(server.url)
  await close()
  prepare?.(server.url)
  await close()

  t.ok(server.connections() <= 1)
})
