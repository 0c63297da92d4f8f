import { inspect } from 'node:util'
import t from 'tap'
import { authorize } from '../../src/credential/authorize.ts'
import { bearerCredential, type Scope, sasCredential } from '../../src/credential/credential.ts'
import { FileSystemError } from '../../src/errors.ts'
import type { HttpHandler, HttpRequest, HttpResponse } from '../../src/http/handler.ts'
import { ScriptedProvider } from '../support/scripted-provider.ts'

const request: HttpRequest = {
  method: 'GET',
  url: new URL('https://acc.blob.example/c/a?comp=x'),
  headers: { 'x-ms-version': '1' },
  operation: 'blob.get',
  path: 'abfs://c/a',
}

function scopeOf({ url }: HttpRequest): Scope {
  const [, container] = url.pathname.split('/')
  return { account: 'acc', service: 'blob', container, permissions: ['read'] }
}

function response(status: number, code?: string): HttpResponse {
  const headers = code === undefined ? {} : { 'x-ms-error-code': code }
  return { status, headers, body: new Uint8Array(0) }
}

/** A service that gives `answers` in turn, behind `authorize`. */
function authorized(...answers: readonly HttpResponse[]) {
  const provider = new ScriptedProvider()
  const sent: HttpRequest[] = []
  const service: HttpHandler = async (call) => {
    sent.push(call)
    return answers[sent.length - 1] ?? response(200)
  }
  return { provider, sent, handler: authorize({ provider, scopeOf })(service) }
}

/** Bearers that count up. */
function countingBearers(provider: ScriptedProvider): void {
  provider.answer = () => bearerCredential(`token-${provider.calls.length}`, 1)
}

t.test('a bearer travels in the header, beside the others', async (t) => {
  const { provider, sent, handler } = authorized()
  countingBearers(provider)

  await handler(request)

  t.match(sent, [{ headers: { authorization: 'Bearer token-1', 'x-ms-version': '1' } }])
  t.equal(sent[0]?.url.href, request.url.href)
  t.match(provider.calls, [{ scope: { container: 'c' }, options: { refresh: false } }])
})

t.test('a SAS travels in the query, behind what is there', async (t) => {
  const { provider, sent, handler } = authorized()
  provider.answer = () => sasCredential('sv=1&sig=a%2Bb', 1)

  await handler(request)
  await handler({ ...request, url: new URL('https://acc.blob.example/c/a') })

  t.equal(sent[0]?.url.href, 'https://acc.blob.example/c/a?comp=x&sv=1&sig=a%2Bb')
  t.equal(sent[1]?.url.href, 'https://acc.blob.example/c/a?sv=1&sig=a%2Bb')
  t.equal(request.url.search, '?comp=x')
})

t.test('the source of a copy carries the SAS of its own scope', async (t) => {
  const { provider, sent, handler } = authorized()
  provider.answer = ({ container }) => sasCredential(`sig=${container}`, 1)
  const source = 'https://acc.blob.example/other/b'

  await handler({ ...request, method: 'PUT', headers: { 'x-ms-copy-source': source } })

  t.equal(sent[0]?.url.search, '?comp=x&sig=c')
  t.equal(sent[0]?.headers['x-ms-copy-source'], `${source}?sig=other`)
})

t.test('the source of a rename has its own signature', async (t) => {
  const { provider, sent, handler } = authorized()
  provider.answer = ({ container }) => sasCredential(`sig=${container}`, 1)

  await handler({ ...request, method: 'PUT', headers: { 'x-ms-rename-source': '/other/a%20b' } })

  t.equal(sent[0]?.url.search, '?comp=x&sig=c')
  t.equal(sent[0]?.headers['x-ms-rename-source'], '/other/a%20b?sig=other')
})

t.test('the source of a copy stays as it is beside a bearer', async (t) => {
  const { provider, sent, handler } = authorized()
  countingBearers(provider)
  const source = 'https://acc.blob.example/other/b'

  await handler({ ...request, method: 'PUT', headers: { 'x-ms-copy-source': source } })

  t.equal(sent[0]?.headers['x-ms-copy-source'], source)
  t.equal(provider.calls.length, 1)
})

t.test('a credential that is refused is refreshed once and the request replayed', async (t) => {
  for (const refusal of [
    response(401),
    response(403, 'AuthenticationFailed'),
    response(403, 'InvalidAuthenticationInfo'),
  ]) {
    const { provider, sent, handler } = authorized(refusal, response(206))
    countingBearers(provider)

    t.equal((await handler(request)).status, 206)
    t.same(
      sent.map(({ headers }) => headers['authorization']),
      ['Bearer token-1', 'Bearer token-2'],
    )
    t.same(
      provider.calls.map(({ options }) => options.refresh),
      [false, true],
    )
  }
})

t.test('a second refusal is returned', async (t) => {
  const { provider, sent, handler } = authorized(response(401), response(401), response(200))
  countingBearers(provider)

  t.equal((await handler(request)).status, 401)
  t.equal(sent.length, 2)
})

t.test('a credential that may not do this is not refreshed', async (t) => {
  for (const code of [
    'AuthorizationPermissionMismatch',
    'AuthorizationFailure',
    'InsufficientAccountPermissions',
    undefined,
  ]) {
    const { provider, sent, handler } = authorized(response(403, code))
    countingBearers(provider)

    t.equal((await handler(request)).status, 403)
    t.equal(sent.length, 1)
  }
})

t.test('a refused scope rejects with EACCES, the path and the cause', async (t) => {
  const { provider, sent, handler } = authorized()
  const cause = new FileSystemError('EACCES', 'connector.credentials', { detail: 'policy says no' })
  provider.answer = () => cause

  const error = await handler(request).catch((e) => e)

  t.match(error, { code: 'EACCES', syscall: 'blob.get', path: 'abfs://c/a', cause })
  t.match(error.message, 'policy says no')
  t.equal(sent.length, 0)
})

t.test('an issuer that cannot be reached keeps its code', async (t) => {
  const { provider, handler } = authorized()
  provider.answer = () => new FileSystemError('EIO', 'connector.credentials', { retryable: true })

  await t.rejects(handler(request), { code: 'EIO', retryable: true, path: 'abfs://c/a' })
})

t.test('any other failure of the provider is a refusal', async (t) => {
  const { provider, handler } = authorized()
  provider.answer = () => new Error('access_denied')

  await t.rejects(handler(request), { code: 'EACCES', message: /access_denied/ })
})

t.test('an abort while the credential is fetched rejects with the reason', async (t) => {
  const { provider, handler } = authorized()
  const reason = new Error('enough')
  provider.answer = () => reason

  await t.rejects(handler({ ...request, signal: AbortSignal.abort(reason) }), reason)
})

t.test('no credential goes over plain http beyond this machine', async (t) => {
  const { provider, sent, handler } = authorized()
  countingBearers(provider)

  for (const origin of [
    'http://acc.blob.example',
    'http://10.0.0.1',
    'http://localhost.evil.example',
  ]) {
    await t.rejects(handler({ ...request, url: new URL('/c/a', origin) }), { code: 'EACCES' })
  }
  t.equal(sent.length, 0)
  t.equal(provider.calls.length, 0)
  for (const origin of ['http://127.0.0.1:1', 'http://localhost:1', 'http://[::1]:1']) {
    await handler({ ...request, url: new URL('/c/a', origin) })
  }
  t.equal(sent.length, 3)
})

t.test('a failure shows nothing of the credential', async (t) => {
  const provider = new ScriptedProvider()
  provider.answer = () => sasCredential('sig=secret', 1)
  const refuse: HttpHandler = (call) =>
    Promise.reject(new FileSystemError('EIO', call.operation, { path: call.path ?? '' }))
  const handler = authorize({ provider, scopeOf })(refuse)

  const error = await handler(request).catch((e) => e)

  t.notMatch(inspect(error, { depth: 9, showHidden: true }), 'secret')
})

t.test('a 403 is answered by a refresh only when another credential can help', async (t) => {
  const detailed = (detail: string): HttpResponse => ({
    ...response(403, 'AuthenticationFailed'),
    body: Buffer.from(
      `<Error><Message>including the signature</Message><AuthenticationErrorDetail>${detail}</AuthenticationErrorDetail></Error>`,
    ),
  })
  const rows: [string, boolean][] = [
    ['Signature not valid in the specified time frame', true],
    ['Signature did not match. String to sign used was', true],
    ['Lifetime validation failed. The token is expired.', true],
    ['Audience validation failed. Audience did not match.', false],
    ['Issuer validation failed. Issuer did not match.', false],
    ['Only https is accepted', false],
  ]
  for (const [detail, refreshed] of rows) {
    const { provider, handler } = authorized(detailed(detail), response(200))
    countingBearers(provider)

    t.equal((await handler(request)).status, refreshed ? 200 : 403, detail)
    t.equal(provider.calls.length, refreshed ? 2 : 1, detail)
  }
  for (const code of ['AuthorizationPermissionMismatch', 'AuthorizationFailure']) {
    const { provider, handler } = authorized(response(403, code), response(200))
    countingBearers(provider)

    t.equal((await handler(request)).status, 403, code)
    t.equal(provider.calls.length, 1, code)
  }
})

t.test('a credential in memory is put on at once, the same way', async (t) => {
  const { provider, sent, handler } = authorized()
  const held = [bearerCredential('held', 1), sasCredential('sig=1', 1), sasCredential('sig=2', 1)]
  Object.assign(provider, { peek: () => held[sent.length] })

  for (let i = 0; i < 3; i++) await handler(request)

  t.same(provider.calls, [])
  t.same(
    sent.map(({ headers, url }) => [headers, url.href]),
    [
      [{ 'x-ms-version': '1', authorization: 'Bearer held' }, request.url.href],
      [{ 'x-ms-version': '1' }, `${request.url.href}&sig=1`],
      [{ 'x-ms-version': '1' }, `${request.url.href}&sig=2`],
    ],
  )
  t.same(request.headers, { 'x-ms-version': '1' }, 'the caller’s own headers are as they were')
})

t.test('a credential in memory that is refused is asked for anew', async (t) => {
  const { provider, sent, handler } = authorized(response(401))
  countingBearers(provider)
  Object.assign(provider, { peek: () => bearerCredential('held', 1) })

  t.equal((await handler(request)).status, 200)

  t.match(sent, [
    { headers: { authorization: 'Bearer held' } },
    { headers: { authorization: 'Bearer token-1' } },
  ])
  t.match(provider.calls, [{ options: { refresh: true } }])
})
