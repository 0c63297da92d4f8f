import { decodeJwt } from 'jose'
import { test } from 'tap'
import { TokenExchange } from '../../src/agent/token-exchange.ts'
import { systemClock } from '../../src/clock.ts'
import { generateCallerKey } from '../../src/connector/authenticate.ts'
import { parseConnectorConfig } from '../../src/connector/config.ts'
import { openIssuer } from '../../src/connector/open-issuer.ts'
import { startConnector } from '../../src/connector/server.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { FakeIssuer } from '../support/fake-issuer.ts'
import { MemoryAudit } from '../support/memory-audit.ts'
import { sandboxIdentity } from '../support/sandbox-identity.ts'
import { startTestConnector, type TestConnector, testConfig } from '../support/test-connector.ts'

const trainer = generateCallerKey()
const aks = '6dae42f8-4368-4678-94ff-3960e28e3630/.default'
const tokens = `
tokens:
  - { caller: trainer, resource: azure-generic, audiences: ['https://vault.azure.net'] }
  - { caller: trainer, resource: azure-generic, audiences: ['https://short.example'], maxTtlSeconds: 60 }
  - { caller: trainer, resource: kubernetes-cluster, clusters: [ml/train] }
  - { caller: trainer, resource: docker-registry, registry: team5.azurecr.io, repositories: [app] }`
const accessToken = 'urn:ietf:params:oauth:token-type:access_token'
const form = {
  grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
  subject_token: trainer.key,
  subject_token_type: accessToken,
  scope: 'https://vault.azure.net/.default',
}

function start(): Promise<TestConnector> {
  return startTestConnector({ config: testConfig(trainer, tokens) })
}

async function post(
  bench: TestConnector,
  body: URLSearchParams | string,
  headers: Record<string, string> = {},
) {
  const response = await fetch(new URL('/v1/token', bench.connector.url), {
    method: 'POST',
    body,
    headers: { authorization: `Bearer ${trainer.key}`, ...headers },
  })
  const answer: Record<string, unknown> = JSON.parse(await response.text())
  return { status: response.status, headers: response.headers, answer }
}

test('a token is answered in the words of RFC 8693, stored nowhere and written down', async (t) => {
  const bench = await start()
  t.teardown(() => bench.close())

  const { status, headers, answer } = await post(bench, new URLSearchParams(form))

  t.equal(status, 200)
  t.equal(headers.get('cache-control'), 'no-store')
  t.match(answer, {
    access_token: 'resource-token-1',
    issued_token_type: accessToken,
    token_type: 'Bearer',
  })
  const lifeSeconds = Number(answer['expires_in'])
  t.equal(lifeSeconds > 3590 && lifeSeconds <= 3600, true)
  const [record] = bench.audit.records
  t.match(record, {
    action: 'tokens.issue',
    decision: 'granted',
    caller: 'trainer',
    target: { resource: 'azure-generic', audience: 'https://vault.azure.net' },
    reach: 'identity',
    fingerprint: /^[0-9a-f]{8}$/,
  })
  t.notMatch(JSON.stringify(record), /resource-token|abfs_/)
})

test('what does not fit the exchange is refused, and no token is asked for', async (t) => {
  const bench = await start()
  t.teardown(() => bench.close())
  const twice = new URLSearchParams(form)
  twice.append('scope', 'https://graph.microsoft.com/.default')
  const rows: [string, URLSearchParams | string, number, string][] = [
    ['another grant', new URLSearchParams({ ...form, grant_type: 'password' }), 400, 'malformed'],
    ['an actor', new URLSearchParams({ ...form, actor_token: 'x' }), 400, 'malformed'],
    ['somebody else', new URLSearchParams({ ...form, subject_token: 'x' }), 400, 'malformed'],
    ['a field twice', twice, 400, 'malformed'],
    ['an empty form', new URLSearchParams(), 400, 'malformed'],
    ['no resource', new URLSearchParams({ ...form, scope: 'openid' }), 400, 'path_invalid'],
    [
      'another type of token',
      new URLSearchParams({
        ...form,
        requested_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      }),
      422,
      'unsupported_auth_for_resource',
    ],
    [
      'an audience that no rule lists',
      new URLSearchParams({ ...form, scope: 'https://graph.microsoft.com/.default' }),
      403,
      'audience_not_allowed',
    ],
    [
      'a cluster that no rule names',
      new URLSearchParams({ ...form, audience: 'ml/other', scope: aks }),
      403,
      'permission_not_granted',
    ],
  ]
  for (const [title, body, status, reason] of rows) {
    const given = await post(bench, body)
    t.match(given, { status, answer: { reason, auditId: /^[0-9a-f-]{36}$/ } }, title)
    t.notMatch(JSON.stringify(given.answer), trainer.key)
    t.match(bench.audit.records.at(-1), { action: 'tokens.issue', decision: 'denied', reason })
  }
  t.same(bench.issuer.tokenGrants, [])
})

test('bodies other than a small form are refused', async (t) => {
  const bench = await start()
  t.teardown(() => bench.close())
  const long = new URLSearchParams({ ...form, scope: 'x'.repeat(20_000) })
  const json = { 'content-type': 'application/json' }

  t.equal((await post(bench, JSON.stringify(form), json)).status, 415)
  t.equal((await post(bench, long)).status, 413)
  const unknown = await post(bench, new URLSearchParams(form), { authorization: 'Bearer x' })
  t.match(unknown, { status: 401, answer: { reason: 'caller_unknown' } })
  t.equal((await post(bench, new URLSearchParams(form), { origin: 'https://a' })).status, 403)
})

test('a form is no request for storage credentials', async (t) => {
  const bench = await start()
  t.teardown(() => bench.close())
  const response = await fetch(new URL('/v1/credentials', bench.connector.url), {
    method: 'POST',
    body: new URLSearchParams(form),
    headers: { authorization: `Bearer ${trainer.key}` },
  })

  t.equal(response.status, 415)
})

test('a token that lives longer than its rule allows does not leave', async (t) => {
  const bench = await start()
  t.teardown(() => bench.close())
  const body = new URLSearchParams({ ...form, scope: 'https://short.example/.default' })

  t.match(await post(bench, body), { status: 403, answer: { reason: 'ttl_exceeds_policy' } })
})

test('no token leaves without its audit line', async (t) => {
  const bench = await start()
  t.teardown(() => bench.close())
  bench.audit.failure = new Error('disk full')

  const given = await post(bench, new URLSearchParams(form))

  t.match(given, { status: 500, answer: { reason: 'audit_unavailable' } })
  t.notMatch(JSON.stringify(given.answer), /resource-token/)
})

test('an issuer for storage alone says so', async (t) => {
  const issuer = new FakeIssuer(systemClock)
  const bench = await startTestConnector({
    config: testConfig(trainer, tokens),
    issuer: { issue: (grant, options) => issuer.issue(grant, options) },
  })
  t.teardown(() => bench.close())

  t.match(await post(bench, new URLSearchParams(form)), {
    status: 422,
    answer: { reason: 'unsupported_auth_for_resource' },
  })
})

test('an identity of Entra, through the agent’s own exchange', async (t) => {
  const sandbox = await startSandbox()
  t.teardown(() => sandbox.close())
  const config = parseConnectorConfig(
    `
listen: { port: 0 }
${await sandboxIdentity(sandbox)}
accounts: [{ name: '${sandbox.account}', blobEndpoint: '${sandbox.blobEndpoint.href}' }]
callers: [{ name: trainer, keySha256: ${trainer.keySha256} }]
policy: []
${tokens}`,
    { file: 'test.yaml' },
  )
  const audit = new MemoryAudit()
  const connector = await startConnector({ config, issuer: await openIssuer(config), audit })
  t.teardown(() => connector.close())
  const http = undiciHandler()
  t.teardown(() => http.close())
  const exchange = new TokenExchange({
    endpoint: connector.url,
    callerProof: async () => `${trainer.key}\n`,
    http: http.handle,
    clock: systemClock,
  })

  t.test('gets a token whose audience is the one asked for', async (t) => {
    const vault = await exchange.get({ scope: 'https://vault.azure.net/.default' })
    const cluster = await exchange.get({ audience: 'ml/train', scope: aks })

    t.equal(decodeJwt(vault.token).aud, 'https://vault.azure.net')
    t.equal(decodeJwt(cluster.token).aud, '6dae42f8-4368-4678-94ff-3960e28e3630')
    const endsAtMs = (decodeJwt(vault.token).exp ?? 0) * 1000
    t.equal(Math.abs(vault.expiresAtMs - endsAtMs) < 5000, true, 'the end told is its own')
  })

  t.test('is refused in words that say what to do', async (t) => {
    await t.rejects(exchange.get({ scope: 'https://graph.microsoft.com/.default' }), {
      code: 'EACCES',
      serviceCode: 'audience_not_allowed',
      message: /tokens/,
    })
    await t.rejects(exchange.get({ audience: 'api://AzureADTokenExchange', type: 'assertion' }), {
      code: 'EACCES',
      serviceCode: 'unsupported_auth_for_resource',
    })
  })
  t.end()
})
