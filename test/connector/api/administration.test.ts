import t from 'tap'
import { generateCallerKey } from '../../../src/connector/authenticate.ts'
import {
  type ConnectorConfig,
  parseConnectorConfig,
  policyOf,
} from '../../../src/connector/config.ts'
import { declaredRecords } from '../../../src/connector/registry/open-registry.ts'
import { Registry } from '../../../src/connector/registry/registry.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { type TempState, tempState } from '../../support/temp-state.ts'
import { startTestConnector, type TestConnector } from '../../support/test-connector.ts'

const admin = generateCallerKey()
const plain = generateCallerKey()
const secret = 'SEEDED-SECRET-4711'

function config(): ConnectorConfig {
  return parseConnectorConfig(
    `
listen: { port: 0 }
connectors:
  - name: declared
    auth: { method: service-principal, tenantId: t, clientId: c, clientSecretEnv: S }
    resources: [{ type: blob-container, id: 'abfss://logs@acct.dfs.core.windows.net', permissions: [read, list] }]
policies:
  - { name: declared-plain, caller: plain, connector: declared, permissions: [read] }
callers:
  - { name: operator, admin: true, keySha256: ${admin.keySha256} }
  - { name: plain, keySha256: ${plain.keySha256} }
`,
    { file: 'test.yaml' },
  )
}

const body = {
  name: 'prod',
  auth: { method: 'service-principal', tenantId: 'contoso', clientId: 'app', clientSecret: secret },
  resources: [
    {
      type: 'blob-container',
      id: 'abfss://data@acct.dfs.core.windows.net',
      permissions: ['read', 'list', 'write'],
      maxTtlSeconds: 1800,
    },
  ],
}

interface Answer {
  readonly status: number
  readonly etag: string | null
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: the tests look at whatever stands there
  readonly json: any
}

type Ask = (method: string, path: string, body?: unknown, headers?: object) => Promise<Answer>

function asker({ connector }: TestConnector, key: string): Ask {
  return async (method, path, sent, headers = {}) => {
    const response = await fetch(new URL(path, connector.url), {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(sent === undefined ? {} : { body: JSON.stringify(sent) }),
    })
    const text = await response.text()
    const json = text === '' ? undefined : JSON.parse(text)
    return { status: response.status, etag: response.headers.get('etag'), text, json }
  }
}

const scope = (container: string, permissions: string[]) => ({
  scope: { account: 'acct', service: 'blob', container, permissions },
})

t.test('with a state', async (t) => {
  const clock = new FakeClock(1_800_000_000_000)
  const temp = await tempState(clock)
  t.teardown(() => temp.remove())
  const bench = await start(temp, clock)
  t.teardown(() => bench.close())
  const ask = asker(bench, admin.key)
  const askPlain = asker(bench, plain.key)

  t.test('a connector is registered, shown, changed and removed, by its etag', async (t) => {
    const added = await ask('POST', '/v1/connectors', body)
    t.equal(added.status, 201, added.text)
    t.match(added.json, { name: 'prod', revision: 1, declared: false })
    t.equal(added.etag, added.json.etag)
    t.notMatch(added.text, secret)
    t.equal((await ask('POST', '/v1/connectors', body)).status, 409)

    const shown = await ask('GET', '/v1/connectors/prod')
    t.same(shown.json, added.json)
    const byId = await ask('GET', `/v1/connectors/${added.json.id}`)
    t.same(byId.json, added.json)

    const change = { description: 'new' }
    const stale = { 'if-match': `"${added.json.id}.9"` }
    t.equal((await ask('PATCH', '/v1/connectors/prod', change, stale)).status, 412)
    const other = { 'if-match': '"00000000-0000-4000-8000-000000000000.1"' }
    t.equal((await ask('PATCH', '/v1/connectors/prod', change, other)).status, 412)
    const good = { 'if-match': added.json.etag }
    const changed = await ask('PATCH', '/v1/connectors/prod', change, good)
    t.match(changed.json, { description: 'new', revision: 2, auth: { clientId: 'app' } })
    t.equal((await ask('PATCH', '/v1/connectors/prod', change, good)).status, 412)
    t.same(await temp.state.connectors.secrets(added.json.id), { clientSecret: secret })

    const list = await ask('GET', '/v1/connectors')
    t.same(
      list.json.connectors.map((each: { name: string }) => each.name),
      ['declared', 'prod'],
    )
    t.equal((await ask('DELETE', '/v1/connectors/prod', undefined, good)).status, 412)
    t.equal((await ask('DELETE', '/v1/connectors/prod')).status, 204)
    t.equal((await ask('GET', '/v1/connectors/prod')).status, 404)
  })

  t.test('what would send a secret of the server elsewhere is not accepted', async (t) => {
    for (const auth of [
      {
        method: 'service-principal',
        tenantId: 't',
        clientId: 'c',
        clientSecretFile: '/etc/shadow',
      },
      { ...body.auth, authorityHost: 'https://evil.example' },
      { method: 'workload-identity', federatedTokenFile: '/etc/shadow' },
      { method: 'access-token', tokenFile: '/etc/shadow', audience: 'a', expiresAt: 'x' },
    ]) {
      const answer = await ask('POST', '/v1/connectors', { ...body, auth })
      t.match(answer, { status: 400, json: { reason: 'malformed' } }, JSON.stringify(auth))
    }
    for (const id of [
      'abfss://data@acct.dfs.core.windows.net/a/../b',
      'az://data',
      'abfss://a b@x',
    ]) {
      const resources = [{ ...body.resources[0], id }]
      t.equal((await ask('POST', '/v1/connectors', { ...body, resources })).status, 400, id)
    }
  })

  t.test('a policy gives a caller a part of a connector, and takes it back', async (t) => {
    t.equal((await askPlain('POST', '/v1/credentials', scope('data', ['read']))).status, 403)
    await ask('POST', '/v1/connectors', body)
    const policy = {
      name: 'plain-data',
      caller: 'plain',
      connector: 'prod',
      permissions: ['read', 'list'],
      maxTtlSeconds: 600,
    }
    t.equal((await ask('POST', '/v1/policies', policy)).status, 201)
    const got = await askPlain('POST', '/v1/credentials', scope('data', ['read']))
    t.equal(got.status, 200, got.text)
    t.equal((await askPlain('POST', '/v1/credentials', scope('data', ['write']))).status, 403)
    t.equal((await askPlain('POST', '/v1/credentials', scope('logs', ['read']))).status, 200)
    t.equal((await askPlain('POST', '/v1/credentials', scope('logs', ['list']))).status, 403)

    const { id } = (await ask('GET', '/v1/connectors/prod')).json
    t.match(bench.audit.records.filter(({ action }) => action === 'credentials.issue').at(1), {
      connector: id,
      decision: 'granted',
    })
    const question = { caller: 'plain', request: scope('data', ['read']) }
    const tested = await ask('POST', '/v1/policies:test', question)
    t.match(tested.json, { decision: 'grant', connector: id, maxTtlSeconds: 600, kind: 'sas' })
    const denied = { caller: 'plain', request: scope('data', ['write']) }
    t.match((await ask('POST', '/v1/policies:test', denied)).json, {
      decision: 'denial',
      reason: 'permission_not_granted',
    })
    t.equal((await ask('DELETE', '/v1/policies/plain-data')).status, 204)
    t.equal((await askPlain('POST', '/v1/credentials', scope('data', ['read']))).status, 403)
  })

  t.test('what the file declares cannot be changed or taken over', async (t) => {
    t.equal((await ask('PATCH', '/v1/connectors/declared', { description: 'x' })).status, 409)
    t.equal((await ask('DELETE', '/v1/connectors/declared')).status, 409)
    t.equal((await ask('POST', '/v1/connectors', { ...body, name: 'declared' })).status, 409)
    t.equal((await ask('DELETE', '/v1/policies/declared-plain')).status, 409)
  })

  t.test('a key is shown once, works, ends, is rotated with an overlap and revoked', async (t) => {
    const made = await ask('POST', '/v1/keys', { caller: 'plain', expiresInSeconds: 3600 })
    t.equal(made.status, 201, made.text)
    const { key, name } = made.json
    const list = await ask('GET', '/v1/keys')
    t.match(list.json.keys, [{ name, caller: 'plain', admin: false }])
    t.notMatch(list.text, key.slice(19))
    const works = async (held: string): Promise<boolean> => {
      const { status } = await asker(bench, held)(
        'POST',
        '/v1/credentials',
        scope('logs', ['read']),
      )
      t.ok(status === 200 || status === 401, `HTTP ${status}`)
      return status === 200
    }
    t.equal(await works(key), true)
    t.equal(await works(key), true, 'again, from memory')
    t.equal(await works(`${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`), false)
    t.equal((await asker(bench, key)('GET', '/v1/keys')).status, 403)

    const rotated = await ask('POST', `/v1/keys/${name}:rotate`, { overlapSeconds: 60 })
    t.equal(rotated.status, 201, rotated.text)
    t.same([await works(key), await works(rotated.json.key)], [true, true])
    await clock.advance(61_000)
    t.same([await works(key), await works(rotated.json.key)], [false, true])
    t.equal((await ask('DELETE', `/v1/keys/${rotated.json.name}`)).status, 204)
    t.equal(await works(rotated.json.key), false, 'at once')
    t.equal((await ask('DELETE', `/v1/keys/${rotated.json.name}`)).status, 404)
  })

  t.test('callers who are no administrators see and change nothing of this', async (t) => {
    for (const [method, path, sent] of [
      ['GET', '/v1/connectors'],
      ['GET', '/v1/connectors/declared'],
      ['POST', '/v1/connectors', { ...body, name: 'mine' }],
      ['PATCH', '/v1/connectors/prod', { description: 'x' }],
      ['DELETE', '/v1/connectors/prod'],
      ['GET', '/v1/policies'],
      ['POST', '/v1/policies', { name: 'p', caller: 'plain', connector: 'prod' }],
      ['POST', '/v1/policies:test', { caller: 'plain', request: scope('data', ['read']) }],
      ['DELETE', '/v1/policies/p'],
      ['GET', '/v1/keys'],
      ['POST', '/v1/keys', { caller: 'operator', admin: true }],
      ['GET', '/v1/audit'],
    ] as const) {
      const answer = await askPlain(method, path, sent)
      t.match(
        answer,
        { status: 403, json: { reason: 'permission_not_granted' } },
        `${method} ${path}`,
      )
    }
    t.equal((await ask('GET', '/v1/connectors/mine')).status, 404)
  })

  t.test('what is refused is recorded with its subject, and repeats nothing else', async (t) => {
    const { key } = (await ask('POST', '/v1/keys', { caller: 'plain' })).json
    const refused: [string, string, unknown, string | undefined][] = [
      ['PATCH', '/v1/connectors/declared', { description: 'x' }, 'connector/declared'],
      ['POST', '/v1/connectors', { ...body, name: 'declared' }, 'connector/declared'],
      ['DELETE', '/v1/connectors/nobody', undefined, 'connector/nobody'],
      ['POST', '/v1/connectors/nobody:verify', {}, 'connector/nobody'],
      ['DELETE', '/v1/policies/declared-plain', undefined, 'policy/declared-plain'],
      ['DELETE', '/v1/keys/none', undefined, 'key/none'],
      ['DELETE', `/v1/keys/${key}`, undefined, undefined],
      ['POST', '/v1/connectors', { ...body, name: `${secret} {}` }, undefined],
    ]
    for (const [method, path, sent, subject] of refused) {
      const { status, text } = await ask(method, path, sent)
      t.ok(status >= 400, text)
      const record = bench.audit.records.at(-1)
      t.equal(record?.decision, 'denied', path)
      t.equal(record?.subject, subject, path)
      t.equal(record?.caller, 'operator')
    }
    const log = JSON.stringify(bench.audit.records)
    t.notOk(log.includes(key), 'no key')
    t.notMatch(log, secret)
  })

  t.test('no answer holds a secret, whatever is asked and however it fails', async (t) => {
    const { key, name } = (await ask('POST', '/v1/keys', { caller: 'plain' })).json
    await ask('POST', '/v1/connectors', { ...body, name: 'searched' })
    const texts: string[] = []
    for (const [method, path, sent] of [
      ['GET', '/v1/connectors'],
      ['GET', '/v1/connectors/searched'],
      ['POST', '/v1/connectors', { ...body, name: 'searched' }],
      ['POST', '/v1/connectors', { ...body, name: 'b', extra: secret }],
      ['POST', '/v1/connectors', { ...body, name: secret.repeat(9) }],
      ['PATCH', '/v1/connectors/searched', { auth: { ...body.auth, clientSecret: 7, x: secret } }],
      ['PATCH', '/v1/connectors/searched', { auth: body.auth }],
      ['POST', '/v1/connectors/searched:verify', {}],
      ['POST', '/v1/connectors/searched:verify', { resource: 'none' }],
      ['GET', '/v1/policies'],
      ['GET', '/v1/keys'],
      ['DELETE', `/v1/keys/${name}`],
      ['GET', '/v1/audit?limit=1000'],
      ['DELETE', '/v1/connectors/searched'],
    ] as const) {
      const { text, status } = await ask(method, path, sent)
      t.ok(status < 500, `${method} ${path}: ${status}`)
      texts.push(text)
    }
    const all = texts.join('\n')
    t.notMatch(all, secret)
    t.notOk(all.includes(key), 'no key')
    t.notMatch(all, /\$argon2id\$/, 'nor its hash')
  })
})

t.test('without a state', async (t) => {
  const bench = await startTestConnector({ config: config() })
  t.teardown(() => bench.close())
  const ask = asker(bench, admin.key)
  const got = await asker(bench, plain.key)('POST', '/v1/credentials', scope('logs', ['read']))
  t.equal(got.status, 200, 'the one file is enough')
  t.match((await ask('GET', '/v1/connectors')).json.connectors, [{ name: 'declared' }])
  t.match(await ask('POST', '/v1/connectors', body), { status: 409, json: { reason: 'conflict' } })
  t.equal((await ask('POST', '/v1/keys', { caller: 'plain' })).status, 409)
})

async function start({ state }: TempState, clock: FakeClock): Promise<TestConnector> {
  const declared = declaredRecords(config(), policyOf(config()))
  const registry = new Registry(declared, state, clock)
  return startTestConnector({ config: config(), state, registry, clock })
}
