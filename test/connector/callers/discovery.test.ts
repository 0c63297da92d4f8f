import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { JWTHeaderParameters } from 'jose'
import t, { type Test } from 'tap'
import { discoveredKeySet, keySetUrl } from '../../../src/connector/callers/discovery.ts'
import { type KeyFetch, keyFetch } from '../../../src/connector/callers/key-fetch.ts'
import { parseConnectorConfig } from '../../../src/connector/config.ts'
import { undiciHandler } from '../../../src/http/undici-handler.ts'
import { startSandbox } from '../../../src/sandbox/sandbox.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const issuer = 'https://issuer.example/cluster/'
const jwksUri = 'https://keys.example/set'

/** Answers as an issuer would, and remembers what it was asked. */
function scripted(body: string | (() => Response)): { send: KeyFetch; asked: string[] } {
  const asked: string[] = []
  const send = async (url: string): Promise<Response> => {
    asked.push(url)
    return typeof body === 'string' ? new Response(body) : body()
  }
  return { send, asked }
}

const document = (changes: object = {}): string =>
  JSON.stringify({ issuer, jwks_uri: jwksUri, ...changes })

t.test('the issuer says where its keys are', async (t) => {
  const { send, asked } = scripted(document())
  t.equal((await keySetUrl(issuer, send)).href, jwksUri)
  t.same(asked, [`${issuer}.well-known/openid-configuration`])
})

t.test('what it says must be its own, and safe to follow', async (t) => {
  const refused: [string, string | (() => Response)][] = [
    ['another issuer', document({ issuer: 'https://issuer.example/cluster' })],
    ['no https', document({ jwks_uri: 'http://keys.example/set' })],
    ['the metadata of a node', document({ jwks_uri: 'https://169.254.169.254/keys' })],
    ['an address of IPv6', document({ jwks_uri: 'https://[::1]/keys' })],
    ['this machine', document({ jwks_uri: 'https://localhost/keys' })],
    ['a service beside it', document({ jwks_uri: 'https://vault/keys' })],
    ['a user in the URL', document({ jwks_uri: 'https://a:b@keys.example/set' })],
    ['no URL', document({ jwks_uri: 'keys' })],
    ['no keys', JSON.stringify({ issuer })],
    ['no JSON', '<html>'],
    ['too much', document({ more: 'x'.repeat(70_000) })],
    ['not found', () => new Response(document(), { status: 404 })],
  ]
  for (const [what, body] of refused) {
    await t.rejects(keySetUrl(issuer, scripted(body).send), Error, what)
  }
  const own = 'https://10.0.0.1/keys'
  const { send } = scripted(document({ issuer: 'https://10.0.0.1', jwks_uri: own }))
  t.equal((await keySetUrl('https://10.0.0.1', send)).href, own, 'the issuer itself is trusted')
})

t.test(
  'an issuer that does not answer is asked again after a pause, not for each token',
  async (t) => {
    const clock = new FakeClock(0)
    const { send, asked } = scripted(() => new Response('', { status: 503 }))
    const keys = discoveredKeySet(issuer, clock, send)
    const header: JWTHeaderParameters = { alg: 'ES256', kid: 'one' }
    const token = { payload: '', signature: '' }
    const look = (): Promise<unknown> => Promise.resolve(keys(header, token))
    for (let n = 0; n < 3; n += 1) await t.rejects(look(), { message: /503/ })
    t.equal(asked.length, 1)
    await clock.advance(5000)
    await t.rejects(look(), { message: /503/ })
    t.equal(asked.length, 2)
  },
)

t.test('a configuration may leave the key set to an issuer of https alone', async (t) => {
  const yaml = (jwt: string): string => `
identity: { kind: service-principal, tenantId: t, clientId: c, clientSecretEnv: S }
accounts: [{ name: acct }]
callers: [{ name: pod, jwt: { ${jwt}, audience: abfs, subject: me } }]
policy: []
`
  const parse = (jwt: string) => parseConnectorConfig(yaml(jwt), { file: 'test.yaml' })
  t.match(parse(`issuer: '${issuer}'`).callers, [{ name: 'pod', jwt: { issuer } }])
  t.throws(() => parse('issuer: http://issuer.example'), { message: /is no https URL/ })
  t.throws(() => parse(`issuer: '${issuer}', jwksUri: '${jwksUri}', jwksFile: /k`), {
    message: /jwksUri or jwksFile, or neither/,
  })
})

t.test(
  'an issuer of a private authority is trusted by caFile, and redirects nowhere',
  async (t) => {
    const sandbox = await startSandbox()
    t.teardown(() => sandbox.close())
    const at = `${sandbox.authorityHost.href}${sandbox.tenantId}/v2.0`
    const told = await fetchWith(t, sandbox.caPem, `${at}/.well-known/openid-configuration`)
    t.equal(told.status, 200)
    const { jwks_uri: keys } = Object(await told.json())
    t.match(await (await fetchWith(t, sandbox.caPem, keys)).json(), { keys: [{ kty: 'RSA' }] })
    await t.rejects(fetchWith(t, undefined, keys), { message: /certificate|self.signed|issuer/i })

    const server = createServer((request, response) => {
      if (request.url === '/long') response.end('x'.repeat(600 * 1024))
      else response.writeHead(302, { location: keys }).end()
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    const { port } = server.address() as AddressInfo
    const moved = await fetchWith(t, sandbox.caPem, `http://127.0.0.1:${port}/`)
    t.equal(moved.status, 302, 'a redirect is not followed')
    await t.rejects(fetchWith(t, undefined, `http://127.0.0.1:${port}/long`), 'nor read for ever')
  },
)

function fetchWith(t: Test, ca: string | undefined, url: string): Promise<Response> {
  const http = undiciHandler({ ca })
  t.teardown(() => http.close())
  return keyFetch(http.handle)(url, {})
}
