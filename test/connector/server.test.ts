import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { generateCallerKey } from '../../src/connector/authenticate.ts'
import { ConnectorClient } from '../../src/connector/client.ts'
import { ConnectorError } from '../../src/connector/connector-error.ts'
import { startConnector } from '../../src/connector/server.ts'
import { CachedCredentialProvider } from '../../src/credential/cached-provider.ts'
import { FileSystemError } from '../../src/errors.ts'
import type { HttpHandler } from '../../src/http/handler.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'
import { granted } from '../conformance/credentials.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeIssuer } from '../support/fake-issuer.ts'
import { startTestConnector, type TestConnector, testConfig } from '../support/test-connector.ts'

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Record<string, unknown>
}

async function post(bench: TestConnector, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(new URL('/v1/credentials', bench.connector.url), {
    method: 'POST',
    body: JSON.stringify({ scope: granted }),
    ...init,
    headers: {
      authorization: `Bearer ${bench.trainer.key}`,
      'content-type': 'application/json',
      ...init.headers,
    },
  })
  const body: Answer['body'] = JSON.parse(await response.text())
  return { status: response.status, headers: response.headers, body }
}

test('an answer is what the protocol says, and is stored nowhere', async (t) => {
  const bench = await startTestConnector()
  t.teardown(() => bench.close())

  const { status, headers, body } = await post(bench)

  t.equal(status, 200)
  t.equal(headers.get('cache-control'), 'no-store')
  t.match(body, {
    kind: 'sas',
    query: 'sv=fake&sr=c&sig=signature-1',
    scope: { ...granted, permissions: ['read', 'list'] },
    reach: 'container',
    principal: 'trainer',
    auditId: /^[0-9a-f-]{36}$/,
  })
  const { expiresInMs } = body as { expiresInMs: number }
  t.equal(expiresInMs > 3_500_000 && expiresInMs <= 3_600_000, true)
})

test('health is told to anybody', async (t) => {
  const bench = await startTestConnector()
  t.teardown(() => bench.close())

  const response = await fetch(new URL('/v1/health', bench.connector.url))

  t.equal(response.status, 200)
  t.same(await response.json(), { status: 'ok' })
})

test('every decision is written down, without what was given', async (t) => {
  const bench = await startTestConnector()
  t.teardown(() => bench.close())

  const given = await post(bench)
  await post(bench, { body: JSON.stringify({ scope: { ...granted, permissions: ['delete'] } }) })
  await post(bench, { headers: { authorization: `Bearer ${generateCallerKey().key}` } })
  await post(bench, { body: '{"scope":{}}' })
  bench.issuer.failure = new Error('down')
  await post(bench)

  t.match(bench.audit.records, [
    {
      decision: 'granted',
      caller: 'trainer',
      auditId: given.body['auditId'],
      requested: granted,
      granted: { container: 'data' },
      kind: 'sas',
      reach: 'container',
      fingerprint: /^[0-9a-f]{8}$/,
      upstreamIds: ['upstream-1'],
      time: /^2\d{3}-\d\d-\d\dT.*Z$/,
    },
    { decision: 'denied', caller: 'trainer', reason: 'permission_not_granted' },
    { decision: 'denied', reason: 'caller_unknown', peer: '127.0.0.1' },
    { decision: 'denied', caller: 'trainer', reason: 'malformed' },
    { decision: 'failed', caller: 'trainer', reason: 'internal', upstream: 'down' },
  ])
  t.notMatch(JSON.stringify(bench.audit.records), /signature-1/)
})

test('nothing is given out when the audit log cannot be written', async (t) => {
  const bench = await startTestConnector()
  t.teardown(() => bench.close())
  bench.audit.failure = new Error('disk full')

  const { status, body } = await post(bench)

  t.equal(status, 500)
  t.match(body, { code: 'server_error', reason: 'audit_unavailable', retryable: true })
  t.notMatch(JSON.stringify(body), /signature|disk full/)
})

const malformed: [string, RequestInit, number][] = [
  ['no JSON', { body: '{' }, 400],
  ['an empty body', { body: '' }, 400],
  ['another shape', { body: '{"scope":{"account":"acct"}}' }, 400],
  ['an unknown key', { body: JSON.stringify({ scope: granted, ttl: 1e9 }) }, 400],
  [
    'an unknown permission',
    { body: JSON.stringify({ scope: { ...granted, permissions: ['own'] } }) },
    400,
  ],
  [
    'a container that escapes',
    { body: JSON.stringify({ scope: { ...granted, container: 'a/..' } }) },
    400,
  ],
  ['another media type', { headers: { 'content-type': 'application/xml' } }, 415],
  ['a body that is too long', { body: JSON.stringify({ pad: 'x'.repeat(20_000) }) }, 413],
]

for (const [title, init, expected] of malformed) {
  test(`${title} is answered ${expected} with a problem document`, async (t) => {
    const bench = await startTestConnector()
    t.teardown(() => bench.close())

    const { status, headers, body } = await post(bench, init)

    t.equal(status, expected)
    t.match(headers.get('content-type'), /^application\/problem\+json\b/)
    t.match(body, { code: 'invalid_request', status: expected, title: 'Malformed request' })
    t.notMatch(JSON.stringify(body), /\.ts:|node_modules|at /)
    t.equal(bench.issuer.grants.length, 0)
  })
}

test('an unknown caller is refused before its body is read', async (t) => {
  const bench = await startTestConnector()
  t.teardown(() => bench.close())

  const { status, headers, body } = await post(bench, {
    headers: { authorization: 'Bearer nobody' },
    body: 'not json at all'.repeat(5000),
  })

  t.equal(status, 401)
  t.equal(headers.get('www-authenticate'), 'Bearer')
  t.match(body, { code: 'invalid_client', reason: 'caller_unknown', hint: /key or token/ })
})

test('a path or method that is not the protocol’s is 404', async (t) => {
  const bench = await startTestConnector()
  t.teardown(() => bench.close())

  for (const [method, path] of [
    ['GET', '/v1/credentials'],
    ['POST', '/v2/credentials'],
    ['GET', '/'],
  ]) {
    const response = await fetch(new URL(path ?? '/', bench.connector.url), {
      method: method ?? 'GET',
    })
    t.equal(response.status, 404, `${method} ${path}`)
    t.match(await response.json(), { reason: 'not_found' })
  }
})

test('a web page is refused even with the right key', async (t) => {
  const bench = await startTestConnector()
  t.teardown(() => bench.close())

  const { status } = await post(bench, { headers: { origin: 'https://evil.example' } })

  t.equal(status, 403)
  t.equal(bench.issuer.grants.length, 0)
})

test('a caller that asks too often is told to slow down', async (t) => {
  const key = generateCallerKey()
  const bench = await startTestConnector({ config: testConfig(key, 'requestsPerMinute: 2') })
  t.teardown(() => bench.close())
  const headers = { authorization: `Bearer ${key.key}` }

  const statuses: number[] = []
  for (let turn = 0; turn < 3; turn += 1) statuses.push((await post(bench, { headers })).status)

  t.same(statuses, [200, 200, 429])
  const error = await bench
    .client(key.key)
    .getCredential(granted)
    .catch((reason) => reason)
  t.match(error, { code: 'EIO', retryable: true, message: /requestsPerMinute/ })
})

test('an issuer that does not answer is given up after its time', async (t) => {
  const clock = new FakeClock()
  const issuer = new FakeIssuer(clock)
  const bench = await startTestConnector({ clock, issuer })
  t.teardown(() => bench.close())
  issuer.gate = new Promise(() => undefined)

  const answer = post(bench)
  while (clock.sleeping === 0) await new Promise((resolve) => setImmediate(resolve))
  await clock.advance(20_000)

  t.match(await answer, {
    status: 503,
    body: { code: 'temporarily_unavailable', reason: 'identity_unavailable', retryable: true },
  })
})

test('closing answers what has begun', async (t) => {
  const bench = await startTestConnector()
  let open = (): void => undefined
  bench.issuer.gate = new Promise((resolve) => {
    open = resolve
  })

  const answer = post(bench)
  while (bench.issuer.grants.length === 0) await new Promise((resolve) => setImmediate(resolve))
  const closed = bench.connector.close()
  open()

  t.equal((await answer).status, 200)
  await closed
  t.equal(bench.audit.closed, true)
  await t.rejects(fetch(new URL('/v1/health', bench.connector.url)))
  await bench.close()
})

test('a port in use is named, with what to do', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => other.once('listening', resolve))
  t.teardown(() => other.close())
  const { port } = other.address() as { port: number }
  const config = testConfig(generateCallerKey())
  const taken = { ...config, listen: { ...config.listen, port } }

  const failed = startTestConnector({ config: taken })

  await t.rejects(failed, {
    code: 'EBUSY',
    message: new RegExp(`port ${port} on 127.0.0.1 is in use.*listen.port`),
  })
})

test('a Unix socket belongs to its owner and replaces one left by a crash', async (t) => {
  // Not in the test's own directory: the path of a socket has 107 bytes at most.
  const directory = await mkdtemp(join(tmpdir(), 'abfs-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const path = join(directory, 'c.sock')
  const key = generateCallerKey()
  const config = testConfig(key)
  const onSocket = { ...config, listen: { ...config.listen, unixSocket: path } }
  await leaveSocketBehind(path)
  const bench = await startTestConnector({ config: onSocket })
  t.teardown(() => bench.close())

  const client = new ConnectorClient({
    endpoint: new URL('http://localhost/'),
    callerProof: async () => key.key,
    http: socketHandler(path),
    clock: systemClock,
  })

  t.equal((await client.getCredential(granted)).kind, 'sas')
  t.equal((await stat(path)).mode & 0o777, 0o600)
  await t.rejects(startTestConnector({ config: onSocket }), {
    code: 'EBUSY',
    message: /socket is in use/,
  })
})

test('a socket path that no kernel takes is refused', async (t) => {
  const config = testConfig(generateCallerKey())
  const unixSocket = `/tmp/${'x'.repeat(110)}`

  await t.rejects(
    startTestConnector({ config: { ...config, listen: { ...config.listen, unixSocket } } }),
    {
      code: 'EINVAL',
      message: /107 bytes/,
    },
  )
})

/** What a listener leaves that was killed: a socket file that nobody answers. */
async function leaveSocketBehind(path: string): Promise<void> {
  const program = `require('net').createServer().listen(${JSON.stringify(path)},()=>process.kill(process.pid,'SIGKILL'))`
  await new Promise<void>((resolve) => {
    execFile(process.execPath, ['-e', program], () => resolve())
  })
}

function socketHandler(socketPath: string): HttpHandler {
  return ({ url, method, headers, body }) =>
    new Promise((resolve, reject) => {
      const sent = httpRequest({ socketPath, path: url.pathname, method, headers }, async (got) => {
        const pieces: Buffer[] = []
        for await (const piece of got) pieces.push(piece)
        resolve({ status: got.statusCode ?? 0, headers: {}, body: Buffer.concat(pieces) })
      })
      sent.on('error', reject).end(body)
    })
}

test('a connector that is not there is told apart from one that refuses', async (t) => {
  const bench = await startTestConnector()
  await bench.connector.close()
  t.teardown(() => bench.close())

  const error = await bench
    .client()
    .getCredential(granted)
    .catch((reason) => reason)

  t.match(error, { code: 'EIO', retryable: true })
  t.match(error.message, /connector at http:\/\/127\.0\.0\.1:\d+\/ does not answer: is it running/)
})

test('what is no connector is said to be none', async (t) => {
  const bench = await startTestConnector()
  t.teardown(() => bench.close())
  const answers =
    (status: number, text: string): HttpHandler =>
    async () => ({
      status,
      headers: {},
      body: Buffer.from(text),
    })
  const client = (http: HttpHandler): ConnectorClient =>
    new ConnectorClient({
      endpoint: bench.connector.url,
      callerProof: async () => 'abfs_x',
      http,
      clock: systemClock,
    })
  const other = {
    kind: 'sas',
    query: 'sig=x',
    expiresInMs: 1000,
    scope: { ...granted, container: 'elsewhere' },
    reach: 'container',
    principal: 'p',
    auditId: 'a',
  }

  for (const http of [
    answers(404, '<html>nginx</html>'),
    answers(200, '{}'),
    answers(502, ''),
    answers(200, JSON.stringify(other)),
    answers(200, JSON.stringify({ ...other, scope: granted, expiresInMs: -1 })),
  ]) {
    await t.rejects(client(http).getCredential(granted), {
      code: 'EIO',
      message: /is no abfs connector of this version/,
    })
  }
})

test('a proof is not sent in the clear beyond this machine', async (t) => {
  const options = {
    callerProof: async () => 'abfs_x',
    http: undiciHandler().handle,
    clock: systemClock,
  }
  for (const url of [
    'http://connector.example/',
    'http://10.0.0.1:80/',
    'ftp://127.0.0.1/',
    'https://user@host/',
  ]) {
    t.throws(() => new ConnectorClient({ ...options, endpoint: new URL(url) }), TypeError, url)
  }
  for (const url of [
    'https://connector.example/',
    'http://127.0.0.1:1/',
    'http://localhost/',
    'http://[::1]:1/',
  ]) {
    t.ok(new ConnectorClient({ ...options, endpoint: new URL(url) }), url)
  }
})

test('a proof that cannot be one is not sent', async (t) => {
  const bench = await startTestConnector()
  t.teardown(() => bench.close())

  await t.rejects(bench.client('').getCredential(granted), { code: 'EACCES', message: /is empty/ })
  await t.rejects(bench.client('a b').getCredential(granted), {
    code: 'EACCES',
    message: /characters that cannot be one/,
  })
  t.equal(bench.audit.records.length, 0)
})

test('a cache carries its callers over a connector that dies and comes back', async (t) => {
  const clock = new FakeClock()
  const key = generateCallerKey()
  const config = testConfig(key)
  const issuer = new FakeIssuer(clock)
  const first = await startTestConnector({ config, clock, issuer })
  const { port } = first.connector.url
  const http = undiciHandler()
  t.teardown(() => http.close())
  const { url: endpoint } = first.connector
  const callerProof = async (): Promise<string> => key.key
  const client = new ConnectorClient({ endpoint, callerProof, http: http.handle, clock })
  const cache = new CachedCredentialProvider(client, { clock })
  const before = await cache.getCredential(granted)

  await first.close()
  await clock.advance(45 * 60_000)
  t.equal(await cache.getCredential(granted), before, 'the old credential serves')
  await t.rejects(cache.getCredential(granted, { refresh: true }), { code: 'EIO', retryable: true })
  await clock.advance(15 * 60_000)
  await t.rejects(cache.getCredential(granted), { code: 'EIO', message: /does not answer/ })

  const listen = { ...config.listen, port: Number(port) }
  const second = await startTestConnector({ config: { ...config, listen }, clock, issuer })
  t.teardown(() => second.close())
  await clock.advance(15_000)
  t.equal((await cache.getCredential(granted)).kind, 'sas')
})

test('a refused renewal after the end reaches the caller as EACCES', async (t) => {
  const clock = new FakeClock()
  const bench = await startTestConnector()
  t.teardown(() => bench.close())
  const cache = new CachedCredentialProvider(bench.client(), { clock })
  await cache.getCredential(granted)
  const refusal = { detail: 'caller is locked', hint: 'ask the operator' }
  bench.issuer.failure = new ConnectorError('access_denied', 'permission_not_granted', refusal)

  await clock.advance(365 * 24 * 3_600_000)
  const error = await cache.getCredential(granted).catch((reason) => reason)

  t.ok(error instanceof FileSystemError)
  t.match(error, { code: 'EACCES', message: /caller is locked; ask the operator/ })
})

test('the file audit log holds one line per decision and is private', async (t) => {
  const file = join(t.testdir(), 'audit.jsonl')
  const key = generateCallerKey()
  const config = testConfig(key, `audit: ${file}`)
  const connector = await startConnector({ config, issuer: new FakeIssuer(systemClock) })
  const headers = { authorization: `Bearer ${key.key}`, 'content-type': 'application/json' }
  const url = new URL('/v1/credentials', connector.url)
  const body = JSON.stringify({ scope: granted })

  await Promise.all([1, 2, 3].map(() => fetch(url, { method: 'POST', headers, body })))
  await connector.close()

  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n')
  t.equal(lines.length, 3)
  for (const line of lines) t.equal(JSON.parse(line).decision, 'granted')
  t.equal((await stat(file)).mode & 0o777, 0o600)
})

test('the connector’s client carries neither the issuer nor the server', async (t) => {
  const client = new URL('../../src/connector/client.ts', import.meta.url)

  const files = new Set<string>()
  const packages = await packagesOf(client, files)

  t.same([...packages].sort(), ['node:diagnostics_channel', 'node:os'])
  t.ok(files.size > 5, 'imports are found at all')
})

/** Every package that a file imports when it is loaded, by itself or through its own files. */
async function packagesOf(file: URL, seen: Set<string>): Promise<Set<string>> {
  const packages = new Set<string>()
  if (seen.has(file.href)) return packages
  seen.add(file.href)
  const text = await readFile(file, 'utf8')
  for (const [, name = ''] of text.matchAll(
    /^(?:import|export|\}) (?!type )[^']*from '([^']+)'/gm,
  )) {
    if (!name.startsWith('.')) packages.add(name)
    else for (const each of await packagesOf(new URL(name, file), seen)) packages.add(each)
  }
  return packages
}
