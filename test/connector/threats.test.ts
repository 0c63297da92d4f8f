import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import fc from 'fast-check'
import { exportJWK, exportSPKI, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import { type Test, test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { createAuthenticator } from '../../src/connector/authenticate.ts'
import { keyFetch } from '../../src/connector/callers/key-fetch.ts'
import { canonicalScope } from '../../src/connector/canonical-scope.ts'
import { ConnectorError } from '../../src/connector/connector-error.ts'
import { credentialRequest } from '../../src/connector/protocol-schema.ts'
import { diskSources } from '../../src/connector/sources.ts'
import { tokenTarget } from '../../src/connector/token-target.ts'
import { scopeOfUrl } from '../../src/connector/unity-catalog-routes.ts'
import { ZenmlSessions } from '../../src/connector/zenml-session.ts'
import { containerOf } from '../../src/connector/zenml-view.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'
import { startTestConnector } from '../support/test-connector.ts'

/* What an attacker at the connector's door may try, beyond what its own tests show. */

const keys = await generateKeyPair('RS256', { extractable: true })
const others = await generateKeyPair('RS256', { extractable: true })
const claims = { iss: 'https://issuer', aud: 'abfs', sub: 'system:sa:ml' }
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31)

/** Sends bytes as they are and gives all that comes back. */
async function raw(t: Test, url: URL, bytes: string): Promise<string> {
  const socket = connect(Number(url.port), url.hostname)
  t.teardown(() => socket.destroy())
  socket.write(bytes)
  let text = ''
  for await (const data of socket.setEncoding('latin1')) text += data
  return text
}

const broken: [string, string, number][] = [
  ['no HTTP', 'hello\r\n\r\n', 400],
  ['a header without a colon', 'GET /v1/health HTTP/1.1\r\nhost: x\r\nevil\r\n\r\n', 400],
  ['a line break in a header', 'GET /v1/health HTTP/1.1\r\nhost: x\r\na: b\rc: d\r\n\r\n', 400],
  ['NUL in a header', 'GET /v1/health HTTP/1.1\r\nhost: x\r\na: b\0c\r\n\r\n', 400],
  [
    'two lengths',
    'POST /v1/credentials HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    400,
  ],
  [
    'too many headers',
    `GET /v1/health HTTP/1.1\r\nhost: x\r\na: ${'b'.repeat(40_000)}\r\n\r\n`,
    431,
  ],
]

for (const [title, bytes, status] of broken) {
  test(`${title} is answered ${status} by a problem document, and the connection ends`, async (t) => {
    const bench = await startTestConnector()
    t.teardown(() => bench.close())

    const text = await raw(t, bench.connector.url, bytes)

    const [head = '', body = ''] = text.split('\r\n\r\n')
    t.match(head, new RegExp(`^HTTP/1.1 ${status} `))
    t.match(head, /content-type: application\/problem\+json/)
    t.match(head, /cache-control: no-store/)
    t.match(JSON.parse(body), { status, reason: 'malformed' })
    t.notMatch(body, /evil|bbb/)
    t.equal((await fetch(new URL('/v1/health', bench.connector.url))).status, 200)
  })
}

test('a URL that is none is a problem document too', async (t) => {
  const bench = await startTestConnector()
  t.teardown(() => bench.close())
  const request = 'GET /v1/%zz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'

  const text = await raw(t, bench.connector.url, request)

  t.match(text, /^HTTP\/1.1 400 /)
  t.match(text, /application\/problem\+json/)
})

for (const [title, blank] of [
  ['headers do', ''],
  ['body does', '\r\n{'],
]) {
  test(`a request whose ${title} not end is ended, and others are served meanwhile`, async (t) => {
    const bench = await startTestConnector({ requestTimeoutMs: 500 })
    t.teardown(() => bench.close())
    const { trainer, connector } = bench
    const head = `POST /v1/credentials HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${trainer.key}\r\n`

    const ended = raw(
      t,
      connector.url,
      `${head}content-type: application/json\r\ncontent-length: 100\r\n${blank}`,
    )
    const health = await fetch(new URL('/v1/health', connector.url))

    t.equal(health.status, 200)
    t.match(await ended, /^HTTP\/1.1 408 /)
    t.same(bench.issuer.grants, [])
  })
}

test('a body that is too long is refused before it is read', async (t) => {
  const bench = await startTestConnector()
  t.teardown(() => bench.close())
  const { trainer, connector } = bench
  const begun = `POST /v1/credentials HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${trainer.key}\r\n`
  const rest =
    'content-type: application/json\r\ncontent-length: 999999999\r\nconnection: close\r\n\r\n'

  const text = await raw(t, connector.url, `${begun}${rest}{"scope":`)

  t.match(text, /^HTTP\/1.1 413 /)
  t.match(text, /application\/problem\+json/)
  t.same(bench.issuer.grants, [])
})

async function jwks(
  t: Test,
): Promise<{ url: URL; serve(...published: unknown[]): void; down(): void }> {
  let body: string | undefined
  const server = createServer((_request, response) => {
    if (body === undefined) response.destroy()
    else response.setHeader('content-type', 'application/json').end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  return {
    url: new URL(`http://127.0.0.1:${port}/keys`),
    serve: (...published) => {
      body = JSON.stringify({ keys: published })
    },
    down: () => {
      body = undefined
    },
  }
}

async function pod(t: Test) {
  const set = await jwks(t)
  const first = { ...(await exportJWK(keys.publicKey)), kid: 'one', alg: 'RS256' }
  set.serve(first)
  const jwt = { issuer: claims.iss, audience: claims.aud, subject: claims.sub, jwksUri: set.url }
  const http = undiciHandler()
  t.teardown(() => http.close())
  const authenticate = await createAuthenticator([{ name: 'pod', jwt }], {
    sources: diskSources(),
    clock: systemClock,
    send: keyFetch(http.handle),
  })
  const sign = (key = keys.privateKey, kid = 'one'): Promise<string> =>
    new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid }).setExpirationTime('5m').sign(key)
  return { set, first, authenticate, sign }
}

test('keys that rotate are fetched, those that are gone are refused', async (t) => {
  const { set, authenticate, sign } = await pod(t)
  t.match(await authenticate(`Bearer ${await sign()}`), { name: 'pod' })
  set.serve({ ...(await exportJWK(others.publicKey)), kid: 'two', alg: 'RS256' })
  const now = Date.now
  t.intercept(Date, 'now', { value: () => now() + 31_000 })

  t.match(await authenticate(`Bearer ${await sign(others.privateKey, 'two')}`), { name: 'pod' })
  await t.rejects(authenticate(`Bearer ${await sign()}`), { code: 'invalid_client' })
})

test('while the key set is away, its keys are used; without keys the connector says so', async (t) => {
  const { set, authenticate, sign } = await pod(t)
  t.match(await authenticate(`Bearer ${await sign()}`), { name: 'pod' })
  set.down()
  t.match(await authenticate(`Bearer ${await sign()}`), { name: 'pod' })

  const other = await pod(t)
  other.set.down()
  await t.rejects(other.authenticate(`Bearer ${await other.sign()}`), {
    code: 'temporarily_unavailable',
    message: /identity_unavailable/,
  })
})

test('a token that chooses its own algorithm or key is refused', async (t) => {
  const { authenticate } = await pod(t)
  const pem = new TextEncoder().encode(await exportSPKI(keys.publicKey))
  const own = await exportJWK(others.publicKey)
  const sign = (header: object, key: Parameters<SignJWT['sign']>[0] = others.privateKey) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: 'RS256', ...header })
      .setExpirationTime('5m')
      .sign(key)
  const proofs = {
    'none, with claims': new UnsecuredJWT(claims).setExpirationTime('5m').encode(),
    'the public key as a shared secret': await sign({ alg: 'HS256', kid: 'one' }, pem),
    'a key in the header': await sign({ jwk: own }),
    'a key set of its own': await sign({ jku: 'https://evil.example/keys', kid: 'one' }),
    'a path for a key': await sign({ kid: '../../dev/null' }),
    'another key under a known name': await sign({ kid: 'one' }),
  }
  for (const [title, proof] of Object.entries(proofs)) {
    await t.rejects(authenticate(`Bearer ${proof}`), { code: 'invalid_client' }, title)
  }
})

/** What a parser may do with anything: give a value, or refuse in the words of the wire. */
function refusesWell(t: Test, parse: (text: string) => unknown, text: fc.Arbitrary<string>): void {
  t.comment(`seed ${seed}`)
  const property = fc.property(text, (value) => {
    try {
      parse(value)
    } catch (error) {
      if (!(error instanceof ConnectorError) || error.status >= 500) throw error
      if (value.length > 8 && error.message.includes(value))
        throw new Error('it echoes', { cause: error })
    }
  })
  t.doesNotThrow(() => fc.assert(property, { seed, numRuns: 2000 }))
}

const nasty = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc
    .array(
      fc.constantFrom(
        'az://',
        'abfss://',
        'c',
        '@acct',
        '.dfs.core.windows.net',
        '/',
        '..',
        '%2e',
        '%2F',
        '\\',
        '\0',
        '?',
        '#',
        'é',
        'repository:',
        ':pull',
        ',push',
        '/.default',
        'https://',
      ),
      { maxLength: 12 },
    )
    .map((parts) => parts.join('')),
)

test('whatever is written for a path, a resource or a target is refused well', (t) => {
  refusesWell(t, (text) => canonicalScope(scopeOfUrl(text, ['read'])), nasty)
  refusesWell(t, containerOf, nasty)
  refusesWell(t, (text) => tokenTarget('team.azurecr.io', text), nasty)
  refusesWell(t, (text) => tokenTarget(text, undefined), nasty)
  t.end()
})

test('whatever a path is spelt like, what comes out of it has no dots and no escapes', (t) => {
  const property = fc.property(nasty, (text) => {
    const url = `abfss://data@acct.dfs.core.windows.net/${text}`
    try {
      const { prefix = '' } = canonicalScope(scopeOfUrl(url, ['read']))
      return (
        !/(^|\/)\.{0,2}(\/|$)/.test(prefix === '' ? 'x' : prefix) &&
        !/%[0-9a-f]{2}|[\\\0]/i.test(prefix)
      )
    } catch (error) {
      return error instanceof ConnectorError
    }
  })
  t.comment(`seed ${seed}`)
  t.doesNotThrow(() => fc.assert(property, { seed, numRuns: 5000 }))
  t.end()
})

test('any JSON for a request is parsed or refused, never more', (t) => {
  const scope = fc.record(
    {
      account: fc.string(),
      service: fc.constantFrom('blob', 'dfs', 'file'),
      container: fc.string(),
      prefix: fc.string(),
      permissions: fc.array(fc.constantFrom('read', 'list', 'own')),
      __proto__: fc.anything(),
    },
    { requiredKeys: [] },
  )
  const body = fc.oneof(fc.anything(), fc.record({ scope }, { requiredKeys: [] }))
  const property = fc.property(body, (value) => {
    const result = credentialRequest.safeParse(value)
    if (!result.success) return true
    try {
      canonicalScope(result.data.scope)
      return true
    } catch (error) {
      return error instanceof ConnectorError && error.status < 500
    }
  })
  t.comment(`seed ${seed}`)
  t.doesNotThrow(() => fc.assert(property, { seed, numRuns: 3000 }))
  t.end()
})

test('any proof is refused as unknown, and any session of ZenML’s as none', async (t) => {
  const { authenticate } = await pod(t)
  const sessions = new ZenmlSessions(systemClock)
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fc.base64String(), { maxLength: 5 }).map((parts) => parts.join('.')),
    fc.json().map((each) => `${Buffer.from(each).toString('base64url')}.e30.x`),
  )
  const property = fc.asyncProperty(text, async (proof) => {
    if (sessions.read(`Bearer abfsz.${proof}`) !== undefined) return false
    const error = await authenticate(`Bearer ${proof}`).catch((reason: unknown) => reason)
    return error instanceof ConnectorError && error.status === 401
  })
  t.comment(`seed ${seed}`)
  await t.resolves(fc.assert(property, { seed, numRuns: 1000 }))
})
