import t from 'tap'
import { generateCallerKey } from '../../../src/connector/authenticate.ts'
import { parseConnectorConfig } from '../../../src/connector/config.ts'
import { MemoryReplayStore } from '../../../src/connector/session/replay-store.ts'
import { Sessions } from '../../../src/connector/session/sessions.ts'
import { MemorySessionStore } from '../../../src/connector/state/session-store.ts'
import { DpopClient, type ProofChanges } from '../../support/dpop-client.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { tempState } from '../../support/temp-state.ts'
import { startTestConnector } from '../../support/test-connector.ts'

const trainer = generateCallerKey()
const operator = generateCallerKey()
const config = parseConnectorConfig(
  `
listen: { port: 0 }
identity: { kind: service-principal, tenantId: t, clientId: c, clientSecretEnv: S }
accounts: [{ name: acct, hierarchicalNamespace: true }, { name: flat }]
callers:
  - { name: trainer, keySha256: ${trainer.keySha256} }
  - { name: operator, admin: true, keySha256: ${operator.keySha256} }
policy:
  - { caller: trainer, account: acct, container: data, permissions: [read, list] }
  - { caller: trainer, account: flat, container: data, prefix: a, permissions: [read, list], onUnscopable: sign }
tokens:
  - { caller: trainer, resource: azure-generic, audiences: ['https://vault.azure.net', 'https://graph.microsoft.com'] }
  - { caller: trainer, resource: docker-registry, registry: name1.azurecr.io, repositories: ['*'], actions: [pull, push] }
requestsPerMinute: 100000
`,
  { file: 'test.yaml' },
)
const grant = {
  account: 'acct',
  service: 'blob',
  container: 'data',
  prefix: 'a',
  permissions: ['read'],
}
const need = { scope: { ...grant, prefix: 'a/b' } }

for (const kept of ['in memory', 'in a state'] as const) {
  t.test(`sessions ${kept}`, async (t) => {
    const clock = new FakeClock(1_800_000_000_000)
    const temp = kept === 'in a state' ? await tempState(clock) : undefined
    t.teardown(() => temp?.remove())
    const bench = await startTestConnector({ config, clock, state: temp?.state })
    t.teardown(() => bench.close())
    const at = (path: string): URL => new URL(path, bench.connector.url)
    const client = await DpopClient.make(() => clock.nowMs())
    const bearer = `Bearer ${trainer.key}`
    const open = (grants: unknown[] = [grant]) =>
      client.send('POST', at('/v1/sessions'), bearer, { body: { grants } })

    t.test('opens with a proof that has a nonce, and gives within its grants', async (t) => {
      const first = await open()
      t.match(first, { status: 401, json: { reason: 'caller_unknown', detail: /nonce/ } })
      const { status, json, text } = await open()
      t.equal(status, 201, text)
      t.match(json, { expiresInMs: 900_000, sessionExpiresInMs: 86_400_000, grants: [grant] })
      const path = at(`/v1/sessions/${json.sessionId}/credentials`)
      const dpop = `DPoP ${json.accessToken}`
      const given = await client.send('POST', path, dpop, { body: { needs: [need, need] } })
      t.equal(given.status, 200, given.text)
      t.equal(given.json.credentials.length, 2)
      t.match(bench.audit.records.at(-1), { session: json.sessionId, caller: 'trainer' })
      for (const scope of [
        { ...grant, prefix: 'ab' },
        { ...grant, prefix: undefined },
        { ...grant, permissions: ['read', 'list'] },
        { ...grant, service: 'dfs' },
        { ...grant, container: 'other' },
      ]) {
        const answer = await client.send('POST', path, dpop, { body: { needs: [{ scope }] } })
        t.equal(answer.status, 403, JSON.stringify(scope))
      }
    })

    t.test('what policy does not grant opens nothing', async (t) => {
      t.equal((await open([grant, { ...grant, permissions: ['write'] }])).status, 403)
      const { status } = await client.send('POST', at('/v1/sessions'), bearer, {
        body: { connector: 'none', grants: [grant] },
      })
      t.equal(status, 403)
      for (const [tokens, expected] of [
        [[{ scope: 'https://management.azure.com/.default' }], 403],
        [[{ audience: 'name2.azurecr.io', scope: 'repository:app:pull' }], 403],
        [[{ scope: 'none' }], 400],
        [[], 400],
      ] as const) {
        const answer = await client.send('POST', at('/v1/sessions'), bearer, { body: { tokens } })
        t.equal(answer.status, expected, JSON.stringify(tokens))
      }
      const bare = await fetch(at('/v1/sessions'), {
        method: 'POST',
        headers: { authorization: bearer, 'content-type': 'application/json' },
        body: JSON.stringify({ grants: [grant] }),
      })
      t.equal(bare.status, 401, 'a session needs a key')
    })

    t.test('a proof is good once, for its request, its token and its time', async (t) => {
      const { json } = await open()
      const path = at(`/v1/sessions/${json.sessionId}/credentials`)
      const dpop = `DPoP ${json.accessToken}`
      const body = { needs: [need] }
      const proof = await client.proof('POST', path, json.accessToken)
      t.equal((await client.send('POST', path, dpop, { body, proof })).status, 200)
      const again = await client.send('POST', path, dpop, { body, proof })
      t.match(again, { status: 401, json: { detail: /used before/ } })
      const nowSeconds = Math.floor(clock.nowMs() / 1000)
      const bad: [string, ProofChanges][] = [
        ['another method', { htm: 'GET' }],
        ['another path', { htu: at('/v1/sessions').href }],
        ['another host', { htu: path.href.replace('127.0.0.1', 'evil.example') }],
        ['another type', { typ: 'jwt' }],
        ['long ago', { iat: nowSeconds - 61 }],
        ['to come', { iat: nowSeconds + 61 }],
        ['no jti', { jti: '' }],
        ['another token', { ath: 'x' }],
        ['no nonce', { nonce: undefined }],
        ['a nonce of somebody else', { nonce: 'x'.repeat(43) }],
      ]
      for (const [what, changes] of bad) {
        t.equal((await client.send('POST', path, dpop, { body, changes })).status, 401, what)
      }
      const thief = await DpopClient.make(() => clock.nowMs())
      thief.nonce = client.nonce
      t.equal((await thief.send('POST', path, dpop, { body })).status, 401, 'another key')
      for (const garbage of ['', 'a.b.c', 'x'.repeat(9000), proof.slice(0, -4)]) {
        t.equal((await client.send('POST', path, dpop, { body, proof: garbage })).status, 401)
      }
      const bearerToken = await fetch(path, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${json.accessToken}`,
          'content-type': 'application/json',
        },
        body: JSON.stringify(body),
      })
      t.equal(bearerToken.status, 401, 'as a bearer it is worth nothing')
    })

    t.test('its access token asks wherever credentials are given, within its grants', async (t) => {
      const flat = { ...grant, account: 'flat', permissions: ['read', 'list'] }
      const tokens = [
        { scope: 'https://vault.azure.net/.default' },
        { audience: 'name1.azurecr.io', scope: 'repository:app:pull' },
      ]
      const body = { grants: [grant, flat], tokens }
      const { json, text } = await client.send('POST', at('/v1/sessions'), bearer, { body })
      t.ok(json.accessToken, text)
      const dpop = `DPoP ${json.accessToken}`
      const ask = async (path: string, body?: unknown) => {
        const before = client.nonce
        client.nonce = 'old'
        await client.send(body === undefined ? 'GET' : 'POST', at(path), dpop, { body })
        t.equal(client.nonce, before, 'the nonce comes with each answer')
        return client.send(body === undefined ? 'GET' : 'POST', at(path), dpop, { body })
      }
      const credential = (scope: object) => ask('/v1/credentials', { scope })
      t.match(await credential({ ...grant, prefix: 'a/b' }), { status: 200, json: { kind: 'sas' } })
      t.equal((await credential({ ...grant, prefix: 'b' })).status, 403)
      t.equal((await credential({ ...grant, permissions: ['list'] })).status, 403)

      const operations = (name: string, ...permissions: string[]) => [{ name, permissions }]
      const place = { account: 'flat', container: 'data' }
      const sign = (operations: object[]) => ask('/v1/sign', { ...place, operations })
      // The issuer of this test signs nothing: what passed policy and session comes as far as that.
      const passed = { status: 422, json: { reason: 'unsupported_auth_for_resource' } }
      const refused = { status: 403, json: { reason: 'permission_not_granted' } }
      t.match(await sign(operations('a/x', 'read')), passed)
      t.match(await sign(operations('a/x', 'write')), refused)
      t.match(await sign([...operations('a/x', 'read'), ...operations('ab/x', 'read')]), refused)
      t.match(await ask('/v1/list', { ...place, prefix: 'a/' }), passed)
      t.match(await ask('/v1/list', { ...place, prefix: 'ab/' }), refused)

      const exchange = (fields: object, subject = json.accessToken) =>
        client.send('POST', at('/v1/token'), dpop, {
          form: {
            grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
            subject_token: subject,
            subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
            ...fields,
          },
        })
      for (const each of tokens) t.equal((await exchange(each)).status, 200, JSON.stringify(each))
      for (const scope of ['repository:app:pull,push', 'repository:app2:pull']) {
        t.match(await exchange({ audience: 'name1.azurecr.io', scope }), refused, scope)
      }
      t.match(await exchange({ scope: 'https://graph.microsoft.com/.default' }), refused)
      const another = await exchange(tokens[0] ?? {}, trainer.key)
      t.equal(another.status, 400, 'the subject is the session')
      t.match(await ask('/v1/resources?type=azure-generic'), { status: 200 })
    })

    t.test("a session's token opens nothing else", async (t) => {
      const [one, two] = [(await open()).json, (await open()).json]
      const dpop = `DPoP ${one.accessToken}`
      for (const path of ['/v1/sessions', '/v1/connectors', '/v1/keys', '/v1/policies']) {
        const body = { grants: [grant] }
        t.equal((await client.send('POST', at(path), dpop, { body })).status, 401, path)
      }
      t.equal((await client.send('GET', at('/v1/audit'), dpop)).status, 401)
      const other = at(`/v1/sessions/${two.sessionId}/credentials`)
      t.equal((await client.send('POST', other, dpop, { body: { needs: [need] } })).status, 403)
      t.equal((await client.send('DELETE', at(`/v1/sessions/${two.sessionId}`), dpop)).status, 403)
      const refresh = `DPoP ${one.refreshToken}`
      const own = at(`/v1/sessions/${one.sessionId}/credentials`)
      t.equal((await client.send('POST', own, refresh, { body: { needs: [need] } })).status, 401)
      const plain = at('/v1/credentials')
      t.equal((await client.send('POST', plain, refresh, { body: { scope: grant } })).status, 401)
      const path = at(`/v1/sessions/${one.sessionId}/refresh`)
      t.equal((await client.send('POST', path, dpop)).status, 401)
    })

    t.test('refresh rotates both tokens; one used twice ends the session', async (t) => {
      const { json } = await open()
      const path = at(`/v1/sessions/${json.sessionId}/refresh`)
      const credentials = at(`/v1/sessions/${json.sessionId}/credentials`)
      await clock.advance(15 * 60_000)
      t.equal((await open()).status, 401, 'the nonce has ended too')
      const body = { needs: [need] }
      const ended = await client.send('POST', credentials, `DPoP ${json.accessToken}`, { body })
      t.match(ended, { status: 401, json: { detail: /access token has ended/ } })
      const turned = await client.send('POST', path, `DPoP ${json.refreshToken}`)
      t.equal(turned.status, 200, turned.text)
      const fresh = `DPoP ${turned.json.accessToken}`
      t.equal((await client.send('POST', credentials, fresh, { body })).status, 200)
      const thief = await DpopClient.make(() => clock.nowMs())
      thief.nonce = client.nonce
      t.equal((await thief.send('POST', path, `DPoP ${json.refreshToken}`)).status, 401)
      t.equal((await client.send('POST', credentials, fresh, { body })).status, 200, 'no harm done')
      const reused = await client.send('POST', path, `DPoP ${json.refreshToken}`)
      t.match(reused, { status: 401, json: { detail: /used twice/ } })
      t.equal((await client.send('POST', credentials, fresh, { body })).status, 401)
      const last = await client.send('POST', path, `DPoP ${turned.json.refreshToken}`)
      t.equal(last.status, 401)
    })

    t.test('an administrator sees whose a token is, and ends the session', async (t) => {
      const { json } = await open()
      const introspect = async (token: string, key = operator.key) => {
        const response = await fetch(at('/v1/introspect'), {
          method: 'POST',
          headers: {
            authorization: `Bearer ${key}`,
            'content-type': 'application/x-www-form-urlencoded',
          },
          body: new URLSearchParams({ token }),
        })
        return response.json()
      }
      const active = { active: true, sub: 'trainer', sid: json.sessionId, cnf: { jkt: client.jkt } }
      t.match(await introspect(json.accessToken), active)
      t.match(await introspect(json.refreshToken), active)
      t.same(await introspect(`${json.accessToken.slice(0, -2)}__`), { active: false })
      t.match(await introspect(json.accessToken, trainer.key), { reason: 'permission_not_granted' })
      const end = { method: 'DELETE', headers: { authorization: `Bearer ${operator.key}` } }
      t.equal((await fetch(at(`/v1/sessions/${json.sessionId}`), end)).status, 204)
      t.same(await introspect(json.accessToken), { active: false })
      const path = at(`/v1/sessions/${json.sessionId}/credentials`)
      const body = { needs: [need] }
      const dpop = `DPoP ${json.accessToken}`
      t.equal((await client.send('POST', path, dpop, { body })).status, 401)
      t.equal((await fetch(at(`/v1/sessions/${json.sessionId}`), end)).status, 404)
    })
  })
}

t.test(
  'proofs that were seen are remembered within bounds, and never forgotten early',
  async (t) => {
    const clock = new FakeClock(0)
    const store = new MemoryReplayStore(clock, 100)
    for (let n = 0; n < 100; n += 1) t.equal(await store.add(`${n}`, 1000), true)
    t.equal(await store.add('5', 1000), false)
    await t.rejects(store.add('more', 1000), { name: 'ConnectorError', reason: 'throttled' })
    await clock.advance(1000)
    t.equal(await store.add('more', 2000), true)
  },
)

t.test('100,000 sessions without a database take a bounded amount of memory', async (t) => {
  const clock = new FakeClock(1_800_000_000_000)
  const store = new MemorySessionStore<never>()
  const sessions = new Sessions({ store, clock })
  const before = process.memoryUsage().heapUsed
  const body = { caller: 'trainer', jkt: 'x'.repeat(43), grants: [], targets: [] }
  for (let n = 0; n < 100_000; n += 1) await sessions.open(body)
  const perSession = (process.memoryUsage().heapUsed - before) / 100_000
  t.comment(`${Math.round(perSession)} bytes each`)
  t.equal(await store.count(), 100_000)
  t.ok(perSession < 4096, `${perSession} bytes each`)
  await clock.advance(86_400_000)
  t.equal(await sessions.sweep(), 100_000)
})
