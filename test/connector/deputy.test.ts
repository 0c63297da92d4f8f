import fc from 'fast-check'
import t from 'tap'
import { generateCallerKey } from '../../src/connector/authenticate.ts'
import { parseConnectorConfig } from '../../src/connector/config.ts'
import { decide, type Policy, type PolicyRule } from '../../src/connector/policy.ts'
import { decideToken, type TokenRule } from '../../src/connector/token-policy.ts'
import type { TokenTarget } from '../../src/connector/token-target.ts'
import type { Permission, Scope } from '../../src/credential/credential.ts'
import { DpopClient } from '../support/dpop-client.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { startTestConnector } from '../support/test-connector.ts'

/* No connector lends its identity to what another one grants, nor a token to another resource. */

const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31)
const permissions: readonly Permission[] = ['read', 'list', 'write', 'delete']
const name = fc.constantFrom('one', 'two', 'three')
const prefix = fc.constantFrom(undefined, 'a', 'a/b', 'ab')
const rule: fc.Arbitrary<PolicyRule> = fc.record({
  connector: name,
  caller: name,
  account: fc.constant('acct'),
  container: fc.constantFrom('data', 'other', '*'),
  prefix,
  permissions: fc.subarray([...permissions], { minLength: 1 }),
  credentials: fc.constantFrom(['sas'] as const, ['bearer'] as const, ['sas', 'bearer'] as const),
  maxTtlMs: fc.constant(1000),
  enforceBearerTtl: fc.boolean(),
})
const scope: fc.Arbitrary<Scope> = fc.record({
  account: fc.constant('acct'),
  service: fc.constant('blob' as const),
  container: fc.constantFrom('data', 'other'),
  prefix,
  permissions: fc.subarray([...permissions], { minLength: 1 }),
})

/** Whether one rule alone allows it; by strings, where policy goes by segments. */
function allows(given: PolicyRule, caller: string, asked: Scope): boolean {
  const root = given.prefix === undefined ? '' : `${given.prefix}/`
  return (
    given.caller === caller &&
    (given.container === '*' || given.container === asked.container) &&
    `${asked.prefix ?? ''}/`.startsWith(root) &&
    asked.permissions.every((each) => given.permissions.includes(each))
  )
}

t.test('what is granted comes from one rule of the caller, and of its connector', async (t) => {
  let granted = 0
  const property = fc.property(
    fc.array(rule, { maxLength: 8 }),
    name,
    scope,
    fc.option(name, { nil: undefined }),
    (rules, caller, asked, connector) => {
      const accounts = [{ name: 'acct', hierarchicalNamespace: true }]
      const policy: Policy = { accounts, rules }
      const outcome = decide(policy, { name: caller }, { scope: asked, connector })
      if (outcome.decision === 'denial') return true
      granted += 1
      const from = rules.filter((each) => each.connector === outcome.connector)
      const isOfItsConnector = connector === undefined || outcome.connector === connector
      return isOfItsConnector && from.some((each) => allows(each, caller, asked))
    },
  )
  t.doesNotThrow(() => fc.assert(property, { seed, numRuns: 2000 }), `FUZZ_SEED=${seed}`)
  t.ok(granted > 50, `${granted} of 2000 were granted, FUZZ_SEED=${seed}`)
})

t.test('a session of one connector gets nothing that another one grants', async (t) => {
  const caller = generateCallerKey()
  const config = parseConnectorConfig(
    `
listen: { port: 0 }
callers:
  - { name: trainer, keySha256: ${caller.keySha256} }
connectors:
  - name: red
    auth: { method: service-principal, tenantId: t, clientId: c, clientSecretEnv: S }
    resources: [{ type: blob-container, id: 'abfss://red@acct.dfs.core.windows.net', permissions: [read, list] }]
  - name: blue
    auth: { method: service-principal, tenantId: t, clientId: d, clientSecretEnv: S }
    resources: [{ type: blob-container, id: 'abfss://blue@acct.dfs.core.windows.net', permissions: [read, list] }]
policies:
  - { name: red, caller: trainer, connector: red, permissions: [read] }
  - { name: blue, caller: trainer, connector: blue, permissions: [read] }
`,
    { file: 'test.yaml' },
  )
  const clock = new FakeClock(1_800_000_000_000)
  const bench = await startTestConnector({ config, clock })
  t.teardown(() => bench.close())
  const client = await DpopClient.make(() => clock.nowMs())
  const at = (path: string): URL => new URL(path, bench.connector.url)
  const bearer = `Bearer ${caller.key}`
  const on = (container: string) => ({
    account: 'acct',
    service: 'blob',
    container,
    permissions: ['read'],
  })
  const open = (connector: string, container: string) =>
    client.send('POST', at('/v1/sessions'), bearer, {
      body: { connector, grants: [on(container)] },
    })

  await open('red', 'red')
  t.equal((await open('red', 'blue')).status, 403, 'what is blue is not granted by red')
  const { status, json, text } = await open('red', 'red')
  t.equal(status, 201, text)
  const path = at(`/v1/sessions/${json.sessionId}/credentials`)
  const ask = (container: string) =>
    client.send('POST', path, `DPoP ${json.accessToken}`, {
      body: { needs: [{ scope: on(container) }] },
    })
  t.equal((await ask('blue')).status, 403)
  t.equal((await ask('red')).status, 200)
  const plain = await fetch(at('/v1/credentials'), {
    method: 'POST',
    headers: { authorization: bearer, 'content-type': 'application/json' },
    body: JSON.stringify({ scope: on('blue') }),
  })
  t.equal(plain.status, 200, await plain.text())

  const [red, blue] = bench.issuer.grants
  t.equal(bench.issuer.grants.length, 2, 'refusals asked no identity')
  t.equal(red?.scope.container, 'red')
  t.equal(blue?.scope.container, 'blue')
  t.not(red?.connector, blue?.connector, 'each with an identity of its own')
})

t.test('a rule for one type of resource gives no token of another', async (t) => {
  const caller = { name: 'trainer' }
  const rules: TokenRule[] = [
    { caller: 'trainer', resource: 'azure-generic', audiences: ['https://vault.azure.net'] },
    { caller: 'trainer', resource: 'kubernetes-cluster', clusters: ['group/one'] },
    {
      caller: 'trainer',
      resource: 'docker-registry',
      registry: 'one.azurecr.io',
      repositories: ['app'],
      actions: ['pull'],
    },
  ]
  const targets: TokenTarget[] = [
    { resource: 'azure-generic', audience: 'https://vault.azure.net' },
    { resource: 'kubernetes-cluster', cluster: 'group/one' },
    {
      resource: 'docker-registry',
      registry: 'one.azurecr.io',
      repositories: [{ name: 'app', actions: ['pull'] }],
    },
  ]
  for (const [row, given] of rules.entries()) {
    for (const [column, target] of targets.entries()) {
      const { decision } = decideToken([given], caller, target)
      t.equal(decision, row === column ? 'grant' : 'denial', `${given.resource} ${target.resource}`)
    }
  }
})
