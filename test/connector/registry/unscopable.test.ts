import t, { type Test } from 'tap'
import { systemClock } from '../../../src/clock.ts'
import { generateCallerKey } from '../../../src/connector/authenticate.ts'
import { parseConnectorConfig } from '../../../src/connector/config.ts'
import { connectorBody } from '../../../src/connector/model/connector.ts'
import { FakeIssuer } from '../../support/fake-issuer.ts'
import { startTestConnector } from '../../support/test-connector.ts'

const trainer = generateCallerKey()

/** What a connector says of a prefix of a flat account decides what its server answers. */
async function ask(t: Test, onUnscopable: 'deny' | 'sign') {
  const config = parseConnectorConfig(
    `
listen: { port: 0 }
accounts: []
callers: [{ name: trainer, keySha256: ${trainer.keySha256} }]
policy: []
connectors:
  - name: flat
    auth: { method: service-principal, tenantId: t, clientId: c, clientSecretEnv: S }
    resources:
      - { type: blob-container, id: 'abfss://data@acct.dfs.core.windows.net/teams/blue', permissions: [read, list], onUnscopable: ${onUnscopable} }
policies: [{ name: one, caller: trainer, connector: flat }]
`,
    { file: 'test.yaml' },
  )
  const fake = new FakeIssuer(systemClock)
  const signed: string[] = []
  const issuer = Object.assign(fake, {
    signBlobs: async (grants: readonly { scope: { prefix?: string | undefined } }[]) => {
      signed.push(...grants.map(({ scope }) => scope.prefix ?? ''))
      return {
        queries: grants.map(() => 'sig=x'),
        expiresAtMs: Date.now() + 60_000,
        upstreamIds: [],
      }
    },
  })
  const bench = await startTestConnector({ config, issuer })
  t.teardown(() => bench.close())
  const post = async (path: string, body: object) => {
    const response = await fetch(new URL(path, bench.connector.url), {
      method: 'POST',
      headers: { authorization: `Bearer ${trainer.key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return { status: response.status, answer: await response.json() }
  }
  return { post, signed, audit: bench.audit }
}

const sign = (name: string) => ({
  account: 'acct',
  container: 'data',
  operations: [{ name, permissions: ['read'] }],
})
const scope = {
  account: 'acct',
  service: 'blob',
  container: 'data',
  prefix: 'teams/blue',
  permissions: ['read'],
}

t.test('a connector that says sign has its blobs signed, and no directory', async (t) => {
  const { post, signed } = await ask(t, 'sign')
  t.match(await post('/v1/sign', sign('teams/blue/a')), { status: 200 })
  t.same(signed, ['teams/blue/a'])
  t.match(await post('/v1/sign', sign('teams/blue-2/a')), { status: 422 })
  t.match(await post('/v1/credentials', { scope }), {
    status: 422,
    answer: { reason: 'scope_unenforceable', hint: /single blobs/ },
  })
})

t.test('one that says deny, as all do by themselves, signs nothing', async (t) => {
  const { post, signed, audit } = await ask(t, 'deny')
  t.match(await post('/v1/sign', sign('teams/blue/a')), {
    status: 422,
    answer: { reason: 'scope_unenforceable' },
  })
  t.match(await post('/v1/credentials', { scope }), { answer: { reason: 'scope_unenforceable' } })
  t.same(signed, [])
  t.equal(audit.records.at(-1)?.decision, 'denied')
})

t.test('a prefix is not widened to its container by any word', async (t) => {
  const resource = {
    type: 'blob-container',
    id: 'abfss://data@acct.dfs.core.windows.net/teams/blue',
    permissions: ['read'],
    onUnscopable: 'container',
  }
  const auth = { method: 'workload-identity' }
  t.equal(connectorBody.safeParse({ name: 'x', auth, resources: [resource] }).success, false)
  const said = { ...resource, onUnscopable: 'sign' }
  t.equal(connectorBody.safeParse({ name: 'x', auth, resources: [said] }).success, true)
})
