import fc from 'fast-check'
import t from 'tap'
import { parse, stringify } from 'yaml'
import { directoryOfPrefix } from '../../src/connector/mediation.ts'
import { decide, type PolicyRule } from '../../src/connector/policy.ts'
import { AzureClient } from '../support/azure-client.ts'
import { runAbfs, whyNoCli } from '../support/cli.ts'
import { type SandboxConnector, startSandboxConnector } from '../support/sandbox-connector.ts'

/* A prefix of a flat account: single blobs are signed, lists are made by the connector. */

let bench: SandboxConnector
let azure: AzureClient

t.before(async () => {
  bench = await startSandboxConnector(t, {
    account: { name: 'plain' },
    engine: 'abfs',
    editYaml: (yaml) => {
      const config = parse(yaml)
      const [rule] = config.policy
      const permissions = ['read', 'list', 'create', 'write', 'delete']
      const own = { ...rule, container: 'data', prefix: 'teams/blue', permissions }
      config.policy = [{ ...own, credentials: ['sas'], onUnscopable: 'sign' }]
      return stringify(config)
    },
  })
  azure = new AzureClient(bench.sandbox)
})

t.teardown(() => azure?.close())

async function post(path: string, body: object) {
  const response = await fetch(new URL(path, bench.client['ABFS_CONNECTOR_URL']), {
    method: 'POST',
    headers: { authorization: `Bearer ${bench.key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.includes('json') === true
  const answer: Record<string, unknown> = isJson ? JSON.parse(text) : {}
  return { status: response.status, text, answer }
}

function sign(...names: string[]) {
  const permissions = ['read', 'create', 'write', 'delete']
  const operations = names.map((name) => ({ name, permissions }))
  return post('/v1/sign', { account: 'plain', container: 'data', operations })
}

function list(prefix: string, more: object = {}) {
  return post('/v1/list', { account: 'plain', container: 'data', prefix, ...more })
}

function urlOf(name: string, query: string): string {
  return `${bench.sandbox.blobEndpoint.href}/data/${name}?${query}`
}

async function put(name: string, query: string): Promise<number> {
  const headers = { 'x-ms-blob-type': 'BlockBlob', 'x-ms-version': '2023-11-03' }
  return (await azure.send('PUT', urlOf(name, query), { headers, body: 'text' })).status
}

t.test('a list tells no index tags to a caller whom no rule grants them', async (t) => {
  const { status, answer } = await list('teams/blue/', { include: ['metadata', 'tags'] })

  t.equal(status, 403)
  t.match(answer, { code: 'access_denied', detail: /is not granted tag on container 'data'/ })
  t.match(bench.audit.records.at(-1), { action: 'blobs.list', decision: 'denied' })
  t.equal((await list('teams/blue/', { include: ['metadata'] })).status, 200)
})

t.test(
  'each blob gets a signature of its own, for five minutes, good for nothing else',
  async (t) => {
    const { status, answer } = await sign('teams/blue/a', 'teams/blue/b')
    t.equal(status, 200)
    const life = Number(answer['expiresInMs'])
    t.ok(life > 290_000 && life <= 300_000, `lives for ${life} ms`)
    const [first, second] = answer['signatures'] as { name: string; query: string }[]
    const query = first?.query ?? ''
    t.match(query, /(^|&)sr=b(&|$)/)
    t.equal(await put('teams/blue/a', query), 201)
    t.equal(await put('teams/blue/b', second?.query ?? ''), 201)
    for (const other of ['teams/blue/b', 'teams/blue/a/x', 'teams/blue', 'teams/blue-2/a', 'a']) {
      t.equal(await put(other, query), 403, other)
    }
    const container = `${bench.sandbox.blobEndpoint.href}/data?restype=container&comp=list&${query}`
    t.equal((await azure.send('GET', container)).status, 403, 'no list')
    const record = bench.audit.records.at(-1)
    t.match(record, {
      action: 'blobs.sign',
      reach: 'blob',
      blobs: ['teams/blue/a', 'teams/blue/b'],
    })
    t.notMatch(JSON.stringify(record), /sig=/)
  },
)

t.test('what lies elsewhere is neither signed nor listed, in any spelling', async (t) => {
  const spellings = [
    'teams/blue-2/a',
    'teams/bluea',
    'teams/red/a',
    'teams',
    'teams/blue/../red/a',
    'teams/blue/./a',
    'teams/blue//a',
    'teams/blue/%2e%2e/red',
    'teams/blue%2Fa',
    'teams\\blue\\a',
    'teams/blue/a.',
    'teams/blue/e\u0301',
    'teams/blue/a\u0000',
    '/teams/blue/a',
    'Teams/blue/a',
    ' teams/blue/a',
  ]
  for (const name of spellings) {
    t.match(await sign(name), { status: /^4(00|22)$/ }, `sign ${JSON.stringify(name)}`)
    t.match(await list(`${name}/`), { status: /^4(00|22)$/ }, `list ${JSON.stringify(name)}`)
  }
  t.match(await list('teams/blue'), { status: 422, answer: { reason: 'path_outside_root' } })
  t.match(await list(''), { status: 422 })
  const mixed = await sign('teams/blue/a', 'teams/red/a')
  t.match(mixed, { status: 422, answer: { reason: 'path_outside_root' } }, 'one refuses all')
})

t.test('a list is the service’s own, below the prefix alone, page by page', async (t) => {
  const token = await azure.token('https://storage.azure.com')
  for (const name of ['teams/blue/x&<y>', 'teams/blue/sub/z', 'teams/blue-2/secret', 'top']) {
    const headers = { 'x-ms-blob-type': 'BlockBlob', 'x-ms-version': '2023-11-03' }
    const url = `${bench.sandbox.blobEndpoint.href}/data/${encodeURIComponent(name).replaceAll('%2F', '/')}`
    t.equal((await azure.send('PUT', url, { token, headers, body: 'x' })).status, 201)
  }
  const names: string[] = []
  let marker = ''
  do {
    const { status, text } = await list('teams/blue/', { delimiter: '/', maxresults: 1, marker })
    t.equal(status, 200)
    names.push(...[...text.matchAll(/<Name>([^<]*)<\/Name>/g)].map(([, name]) => name ?? ''))
    marker = /<NextMarker>([^<]+)</.exec(text)?.[1] ?? ''
  } while (marker !== '' && names.length < 20)
  t.ok(names.includes('teams/blue/x&amp;&lt;y&gt;') && names.includes('teams/blue/sub/'))
  t.notOk(names.some((name) => name.includes('secret') || name === 'top'))
})

t.test('a list begins at a name, whatever that is, and stays below its prefix', async (t) => {
  const signed = await sign('teams/blue/list/a', 'teams/blue/list/b', 'teams/blue/list/b/c')
  for (const { name, query } of signed.answer['signatures'] as { name: string; query: string }[])
    t.equal(await put(name, query), 201)
  const from = async (startFrom: string) => {
    const { status, text } = await list('teams/blue/list/', { startFrom })
    t.equal(status, 200, startFrom)
    return [...text.matchAll(/<Name>([^<]*)<\/Name>/g)].map(([, name]) => name?.slice(16))
  }
  t.same(await from('teams/blue/list/b'), ['b', 'b/c'])
  t.same(await from('teams/blue/list/a\u{1F600}&x'), ['b', 'b/c'])
  t.same(await from('teams/blue-2/'), ['a', 'b', 'b/c'])
  t.same(await from('../../'), ['a', 'b', 'b/c'])
  t.same(await from('zoo'), [])
  t.equal((await list('teams/blue/list/', { startFrom: 'x'.repeat(1025) })).status, 400)
})

t.test('no rule without leave is mediated, and no credential comes for the prefix', async (t) => {
  const asked = await post('/v1/credentials', {
    scope: {
      account: 'plain',
      service: 'blob',
      container: 'data',
      prefix: 'teams/blue',
      permissions: ['read'],
    },
  })
  t.match(asked, { status: 422, answer: { reason: 'scope_unenforceable', hint: /v1\/sign/ } })
  const rule: PolicyRule = {
    caller: 'c',
    account: 'plain',
    container: 'data',
    prefix: 'own',
    permissions: ['read'],
    credentials: ['sas'],
    maxTtlMs: 60_000,
    enforceBearerTtl: false,
  }
  const scope = {
    account: 'plain',
    service: 'blob',
    container: 'data',
    prefix: 'own/a',
    permissions: ['read'],
  } as const
  const policy = { accounts: [{ name: 'plain', hierarchicalNamespace: false }], rules: [rule] }
  const outcome = decide(policy, { name: 'c' }, { scope, kind: 'sas', mediated: true })
  t.match(outcome, { decision: 'denial', reason: 'scope_unenforceable' })
})

t.test('what a list’s prefix stays in is its directory, whatever stands there', (t) => {
  const seed = Number(process.env['ABFS_TEST_SEED'] ?? Date.now() % 2 ** 31)
  t.comment(`seed ${seed}`)
  const part = fc.oneof(
    fc.constantFrom('..', '.', '%2F', '', 'a', 'b.', 'é', 'e\u0301', '\\', '\u0000'),
    fc.string({ maxLength: 4 }),
  )
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
      const prefix = parts.join('/')
      let directory: string | undefined
      try {
        directory = directoryOfPrefix(prefix)
      } catch {
        return true
      }
      const whole = directory === undefined ? prefix : prefix.slice(directory.length + 1)
      return !whole.includes('/') && !/(^|\/)\.{1,2}(\/|$)|\\|\/\//.test(prefix)
    }),
    { seed, numRuns: 3000 },
  )
  t.pass()
  t.end()
})

for (const session of ['0', '1']) {
  const how = session === '1' ? 'in sessions' : 'with its key'
  t.test(`the command line works below the prefix ${how}`, { skip: whyNoCli() }, async (t) => {
    const more = { ABFS_PREFIX: 'teams/blue', ABFS_HNS: 'false', ABFS_CONNECTOR_SESSION: session }
    const env = { ...bench.client, ...more }
    const abfs = (argv: readonly string[], input = '') => runAbfs(argv, { env, input })
    const place = 'abfs://data/teams/blue/cli'
    const from = bench.audit.records.length
    t.equal((await abfs(['cp', '-', `${place}/one`], 'hello')).code, 0)
    t.equal((await abfs(['cp', `${place}/one`, `${place}/two`])).code, 0, 'a copy signs both ends')
    t.equal((await abfs(['cat', `${place}/two`])).stdout, 'hello')
    t.match((await abfs(['ls', place])).stdout, /one[\s\S]*two/)
    t.equal((await abfs(['mv', `${place}/two`, `${place}/three`])).code, 0)
    t.equal((await abfs(['rm', '-r', place])).code, 0)
    t.notMatch((await abfs(['ls', 'abfs://data/teams/blue'])).stdout, /cli/)
    for (const other of ['abfs://data/teams/blue-2', 'abfs://data/teams', 'abfs://data']) {
      t.equal((await abfs(['ls', other])).code, 4, other)
    }
    t.equal((await abfs(['cat', 'abfs://data/teams/blue-2/secret'])).code, 4)
    const given = bench.audit.records.slice(from).filter(({ action }) => /^blobs/.test(action))
    t.ok(given.some(({ action }) => action === 'blobs.sign'))
    t.ok(given.some(({ action }) => action === 'blobs.list'))
    t.equal(
      given.every((each) => (each.session !== undefined) === (session === '1')),
      true,
    )
  })
}
