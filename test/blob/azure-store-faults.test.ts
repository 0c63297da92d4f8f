import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import type { Clock } from '../../src/clock.ts'
import { sasCredential } from '../../src/credential/credential.ts'
import { FileSystemError } from '../../src/errors.ts'
import { type HttpEvent, httpChannel } from '../../src/telemetry.ts'
import { azureStore } from '../support/azure-store.ts'
import {
  answer,
  azureError,
  type FaultServer,
  hangUp,
  type Step,
  startFaultServer,
  truncated,
} from '../support/fault-server.ts'
import { ScriptedProvider, testBearer } from '../support/scripted-provider.ts'

const path = { container: 'con', name: 'a' }
const etag = '"0x1"'

/** Sleeps end at once. */
const hurried: Clock = { nowMs: () => 0, sleep: async () => {} }

function setUp(t: Test, server: { readonly url: URL }, provider = bearers()) {
  const { store, close } = azureStore({
    account: 'acc',
    endpoint: new URL('/acc', server.url),
    provider,
    clock: hurried,
  })
  t.teardown(close)
  return store
}

function bearers(): ScriptedProvider {
  const provider = new ScriptedProvider()
  provider.answer = () => testBearer(`token-${provider.calls.length}`, 1)
  return provider
}

function whole(body: string, headers: Record<string, string> = {}): Step {
  return answer(200, body, { etag, 'content-length': `${body.length}`, ...headers })
}

function authorizations(server: FaultServer): unknown[] {
  return server.seen.map(({ headers }) => headers.authorization)
}

t.test('a get survives passing failures of every kind', async (t) => {
  const server = await startFaultServer(
    t,
    azureError(503, 'ServerBusy'),
    hangUp,
    truncated(5, 'he'),
    whole('hello'),
  )

  const { data } = await setUp(t, server).get(path)

  t.equal(Buffer.from(data).toString(), 'hello')
  t.equal(server.seen.length, 4)
})

t.test('an expired token is replaced once and the call goes on', async (t) => {
  const server = await startFaultServer(t, azureError(403, 'AuthenticationFailed'), whole('hello'))

  await setUp(t, server).get(path)

  t.same(authorizations(server), ['Bearer token-1', 'Bearer token-2'])
})

t.test('a token that is refused again rejects with EACCES that says so', async (t) => {
  const server = await startFaultServer(t, azureError(401, 'InvalidAuthenticationInfo'))

  const error = await setUp(t, server)
    .get(path)
    .catch((e) => e)

  t.match(error, { code: 'EACCES', requestId: 'request-1' })
  t.match(error.message, /refused even after a new one/)
  t.equal(server.seen.length, 2)
})

t.test('a service that stays busy rejects with EIO that may be tried again', async (t) => {
  const server = await startFaultServer(t, azureError(503, 'ServerBusy'))

  const error = setUp(t, server).put(path, Buffer.from('x'))

  await t.rejects(error, { code: 'EIO', retryable: true, serviceCode: 'ServerBusy' })
  t.equal(server.seen.length, 5)
})

t.test('the SDK retries nothing beyond what the transport retries', async (t) => {
  const server = await startFaultServer(t, azureError(503, 'ServerBusy'))

  await t.rejects(setUp(t, server).createContainer('con'), {
    code: 'EIO',
    syscall: 'container.create',
  })

  t.equal(server.seen.length, 5)
  t.equal(new Set(server.seen.map(({ headers }) => headers['x-ms-version'])).size, 1)
})

t.test('a port where nothing listens is told with the endpoint', async (t) => {
  const store = setUp(t, { url: new URL('http://127.0.0.1:1/') })

  const error = await store.head(path).catch((e) => e)

  t.match(error, { code: 'EIO', syscall: 'blob.head', path: 'abfs://con/a' })
  t.match(error.message, /nothing listens at 127\.0\.0\.1:1.*\(tried 5 times\)/)
})

t.test('every request names the pinned version and has an id of its own', async (t) => {
  const server = await startFaultServer(t, whole('hello'))
  const store = setUp(t, server)

  await store.get(path)
  await store.get(path, { range: { start: 0, end: 5 } })

  const ids = server.seen.map(({ headers }) => headers['x-ms-client-request-id'])
  t.equal(new Set(ids).size, 2)
  t.match(server.seen, [{ headers: { 'x-ms-version': /^\d{4}-\d\d-\d\d$/ } }, {}])
  t.equal(server.seen[1]?.headers['x-ms-range'], 'bytes=0-4')
})

t.test('an empty blob that answers 416 to a range is empty', async (t) => {
  const server = await startFaultServer(
    t,
    azureError(416, 'InvalidRange'),
    (_request, response) => {
      response.writeHead(200, { etag, 'content-length': '0' })
      response.end()
    },
  )

  const { data, properties } = await setUp(t, server).get(path, { range: { start: 0, end: 9 } })

  t.equal(data.length, 0)
  t.match(properties, { etag, sizeBytes: 0 })
  t.same(
    server.seen.map(({ method }) => method),
    ['GET', 'HEAD'],
  )
})

t.test(
  'a range that is not the one asked for rejects with EIO instead of wrong bytes',
  async (t) => {
    const range = { start: 2, end: 6 }

    for (const step of [
      answer(206, 'ab', { etag, 'content-range': 'bytes 2-3/10' }),
      answer(200, 'abcd', { etag }),
      answer(206, '', { etag, 'content-range': 'bytes 2-5/10' }),
    ]) {
      const server = await startFaultServer(t, step)

      await t.rejects(setUp(t, server).get(path, { range }), { code: 'EIO' })
    }
  },
)

t.test('a listing that cannot be read rejects with EIO and its cause', async (t) => {
  const server = await startFaultServer(t, whole('<EnumerationResults><Blobs><Blob>'))

  const error = await setUp(t, server)
    .listPage(path)
    .catch((e) => e)

  t.match(error, { code: 'EIO', syscall: 'blob.list' })
  t.ok(error.cause instanceof SyntaxError)
})

t.test('a copy that is pending is waited for', async (t) => {
  const copying = { etag, 'x-ms-copy-id': 'copy-1', 'last-modified': new Date(0).toUTCString() }
  const pending = answer(202, '', { ...copying, 'x-ms-copy-status': 'pending' })
  const still = whole('', { ...copying, 'x-ms-copy-status': 'pending' })
  const done = whole('', { ...copying, 'x-ms-copy-status': 'success' })
  const server = await startFaultServer(t, pending, still, still, done)

  const copied = await setUp(t, server).copy(path, { ...path, name: 'b' })

  t.same(copied, { etag, lastModifiedMs: 0 })

  t.same(
    server.seen.map(({ method }) => method),
    ['PUT', 'HEAD', 'HEAD', 'HEAD'],
  )
})

t.test('a copy that the service gives up rejects with EIO', async (t) => {
  const copying = { etag, 'x-ms-copy-id': 'copy-1', 'last-modified': new Date(0).toUTCString() }
  const server = await startFaultServer(
    t,
    answer(202, '', { ...copying, 'x-ms-copy-status': 'pending' }),
    whole('', { ...copying, 'x-ms-copy-status': 'failed' }),
  )

  const error = await setUp(t, server)
    .copy(path, { ...path, name: 'b' })
    .catch((e) => e)

  t.match(error, { code: 'EIO', path: 'abfs://con/a', dest: 'abfs://con/b' })
})

t.test('a SAS shows in no error and in no event, whatever goes wrong', async (t) => {
  const events: unknown[] = []
  const listen = (event: unknown): unknown => events.push(event)
  httpChannel.subscribe(listen)
  t.teardown(() => httpChannel.unsubscribe(listen))
  const provider = new ScriptedProvider()
  provider.answer = () => sasCredential('sv=1&sig=SECRET', 1)
  const errors: unknown[] = []

  for (const step of [
    hangUp,
    azureError(403, 'AuthenticationFailed'),
    azureError(404, 'BlobNotFound'),
    truncated(9, 'x'),
  ]) {
    const server = await startFaultServer(t, step)
    const store = setUp(t, server, provider)
    for (const call of [
      () => store.get(path),
      () => store.put(path, Buffer.from('x')),
      () => store.copy(path, { ...path, name: 'b' }),
      () => store.createContainer('con'),
    ]) {
      errors.push(await call().catch((error: unknown) => error))
    }
    t.ok(server.seen.every(({ url }) => url.includes('sig=SECRET')))
  }

  t.equal(errors.filter((error) => error instanceof FileSystemError).length, errors.length - 0)
  t.ok(events.length > 0)
  t.notMatch(inspect([errors, events], { depth: 20, showHidden: true }), 'SECRET')
  t.notMatch(JSON.stringify(events satisfies unknown as HttpEvent[]), 'SECRET')
})

const past = answer(416, '', { 'x-ms-error-code': 'InvalidRange', 'content-range': 'bytes */0' })

t.test('a blob that is written while it is found empty is read', async (t) => {
  const grown = answer(200, '', { etag: '"0x2"', 'content-length': '5' })
  const range = { start: 0, end: 1024 }
  const part = answer(206, 'hello', { etag: '"0x2"', 'content-range': 'bytes 0-4/5' })
  const server = await startFaultServer(t, past, grown, part)

  const { data, properties } = await setUp(t, server).get(path, { range })

  t.equal(Buffer.from(data).toString(), 'hello')
  t.equal(properties.sizeBytes, 5)
  t.same(
    server.seen.map(({ method, headers }) => [method, headers['if-match']]),
    [
      ['GET', undefined],
      ['HEAD', undefined],
      ['GET', '"0x2"'],
    ],
  )
})

t.test('a server that refuses a range which the blob has is asked twice', async (t) => {
  const full = answer(200, '', { etag, 'content-length': '5' })
  const server = await startFaultServer(t, past, full, past, full)

  await t.rejects(setUp(t, server).get(path, { range: { start: 0, end: 9 } }), {
    code: 'EIO',
    retryable: true,
  })
  t.equal(server.seen.length, 4)
})
