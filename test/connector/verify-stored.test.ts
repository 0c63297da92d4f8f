import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { connectorYaml } from '../../src/cli/sandbox/connector-yaml.ts'
import { generateCallerKey } from '../../src/connector/authenticate.ts'
import { parseConnectorConfig } from '../../src/connector/config.ts'
import { openConnector } from '../../src/connector/open-connector.ts'
import { diskSources } from '../../src/connector/sources.ts'
import { type Sandbox, startSandbox } from '../../src/sandbox/sandbox.ts'
import { runAbfs, whyNoCli } from '../support/cli.ts'

/* POST /v1/connectors/{id}:verify: registered connectors that sign in at a local Azure. */

const admin = generateCallerKey()
const plain = generateCallerKey()

interface Report {
  readonly status: number
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: the tests look at whatever stands there
  readonly json: any
  /** Statuses by the name of the check; of the last resource where several have it. */
  readonly statuses: Readonly<Record<string, string>>
}

interface Bench {
  readonly sandbox: Sandbox
  readonly url: URL
  readonly auditFile: string
  verify(name: string, body?: object, key?: string): Promise<Report>
}

let bench: Bench

t.before(async () => {
  bench = await start()
})

async function start(): Promise<Bench> {
  const sandbox = await startSandbox({
    account: { name: 'lake', hierarchical: true },
    containers: ['zone', 'other'],
    engine: 'abfs',
    azure: { registries: [{ name: 'team5' }], clusters: [{ group: 'ml', name: 'train' }] },
  })
  t.teardown(() => sandbox.close())
  const place = (name: string): string => join(sandbox.runDirectory, name)
  await writeFile(place('secret'), sandbox.clientSecret, { mode: 0o600 })
  await writeFile(place('wrong'), 'WRONG-SECRET-4711', { mode: 0o600 })
  await writeFile(place('admin.key'), admin.key, { mode: 0o600 })
  const auditFile = place('audit.log')
  const { tenantId, clientId } = sandbox
  const auth = (file: string): string =>
    `auth: { method: service-principal, tenantId: '${tenantId}', clientId: '${clientId}', clientSecretFile: '${place(file)}', authorityHost: '${sandbox.authorityHost.href}', disableInstanceDiscovery: true }`
  const zone =
    '{ type: blob-container, id: abfss://zone@lake.dfs.core.windows.net/teams/blue, permissions: [read, list, create, write, delete], hierarchicalNamespace: true }'
  const connectors = `
connectors:
  - name: good
    ${auth('secret')}
    resources: [${zone}]
  - name: tokens
    ${auth('secret')}
    resources:
      - { type: docker-registry, id: team5.azurecr.io, repositories: [app] }
      - { type: kubernetes-cluster, id: ml/train }
      - { type: azure-generic, id: 'https://management.azure.com' }
  - name: roleless
    ${auth('secret')}
    resources: [${zone}]
  - name: wrong
    ${auth('wrong')}
    resources: [${zone}]
  - name: unreachable
    ${auth('secret')}
    resources: [{ type: blob-container, id: abfss://xyz@gone.dfs.core.windows.net, permissions: [read, list] }]
  - name: machine
    auth: { method: managed-identity }
    resources: [${zone}]
  - name: machine-user
    auth: { method: managed-identity, clientId: '${sandbox.userAssignedClientId}' }
    resources: [${zone}]
allowImplicitIdentityFor: [machine, machine-user]
`
  const yaml = connectorYaml(sandbox, {
    keySha256: plain.keySha256,
    secretFile: place('secret'),
    auditFile,
  })
    .replace(
      /callers:\n/,
      `callers:\n  - { name: operator, admin: true, keySha256: ${admin.keySha256} }\n`,
    )
    .replace(/accounts:\n/, 'accounts:\n  - { name: gone, blobEndpoint: "https://127.0.0.1:9" }\n')
  const config = parseConnectorConfig(yaml + connectors, { file: 'connector.yaml' })
  process.env['AZURE_POD_IDENTITY_AUTHORITY_HOST'] = sandbox.imdsEndpoint.origin
  t.teardown(() => delete process.env['AZURE_POD_IDENTITY_AUTHORITY_HOST'])
  const connector = await openConnector({ config, sources: diskSources() })
  t.teardown(() => connector.close())
  const verify: Bench['verify'] = async (name, body = {}, key = admin.key) => {
    const response = await fetch(new URL(`/v1/connectors/${name}:verify`, connector.url), {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    const text = await response.text()
    const json = JSON.parse(text)
    const checks: { name: string; status: string }[] = json.checks ?? []
    const statuses = Object.fromEntries(checks.map((each) => [each.name, each.status]))
    return { status: response.status, text, json, statuses }
  }
  return { sandbox, url: connector.url, auditFile, verify }
}

function noSecret(t: Test, { text }: Report): void {
  t.notMatch(text, /sig=|eyJ|abfs_|SECRET/, 'no credential is told')
  t.notOk(text.includes(bench.sandbox.clientSecret))
}

t.test('a connector that works passes, and says who it is', async (t) => {
  const report = await bench.verify('good', { write: true })
  noSecret(t, report)
  t.equal(report.status, 200, report.text)
  t.equal(report.json.passed, true, report.text)
  t.match(report.json, {
    connector: 'good',
    uncheckedResources: 0,
    identity: {
      source: 'service-principal',
      tenantId: bench.sandbox.tenantId,
      clientId: bench.sandbox.clientId,
      objectId: /^[0-9a-f-]{36}$/,
    },
  })
  t.same(report.statuses, {
    'config-well-formed': 'passed',
    'identity-acquired': 'passed',
    'udk-issued': 'passed',
    'credential-issued': 'passed',
    'hns-detected': 'passed',
    'list-root': 'passed',
    'read-write': 'passed',
    cleanup: 'passed',
    'scope-enforced-parent': 'passed',
    'scope-enforced-sibling': 'passed',
    'clock-skew': 'passed',
  })
  t.match((await bench.verify('good')).statuses, { 'read-write': 'skipped', cleanup: 'skipped' })
})

t.test('registries, clusters and audiences are tried too', async (t) => {
  const report = await bench.verify('tokens')
  noSecret(t, report)
  t.match(
    report.statuses,
    {
      'acr-exchange': 'passed',
      'acr-pull': 'passed',
      'scope-enforced-parent': 'passed',
      'scope-enforced-sibling': 'passed',
      'aks-token': 'passed',
      'aks-reachable': 'passed',
      'credential-issued': 'passed',
    },
    report.text,
  )
  const one = await bench.verify('tokens', { resource: 'ml/train' })
  t.equal(one.json.uncheckedResources, 2)
  const none = await bench.verify('tokens', { resource: 'ml/other' })
  t.match(none.statuses, { 'config-well-formed': 'failed' })
})

t.test('a wrong secret fails the identity, and nothing behind it is said to work', async (t) => {
  const report = await bench.verify('wrong')
  noSecret(t, report)
  t.equal(report.json.passed, false)
  t.match(report.statuses, {
    'identity-acquired': 'failed',
    'udk-issued': 'skipped',
    'credential-issued': 'skipped',
    'list-root': 'skipped',
    'scope-enforced-parent': 'skipped',
  })
  t.match(report.text, /AADSTS\d+/)
})

t.test('an account that cannot be reached fails the key', async (t) => {
  const report = await bench.verify('unreachable')
  noSecret(t, report)
  t.match(report.statuses, {
    'identity-acquired': 'passed',
    'udk-issued': 'failed',
    'credential-issued': 'skipped',
  })
  t.match(report.text, /storage_unavailable/)
})

t.test('a role that is missing fails the key, with the command that grants it', async (t) => {
  const roles = bench.sandbox.storageControl?.roles
  const before = roles?.assignments ?? []
  t.ok(before.length > 0, 'the sandbox checks roles')
  roles?.replace([])
  t.teardown(() => roles?.replace(before))
  const report = await bench.verify('roleless')
  noSecret(t, report)
  t.match(report.statuses, { 'identity-acquired': 'passed', 'udk-issued': 'failed' })
  t.match(report.text, /delegator_missing.*az role assignment create/)
})

t.test('a role for one container is found to be too little for a list', async (t) => {
  const roles = bench.sandbox.storageControl?.roles
  const before = roles?.assignments ?? []
  roles?.replace(before.filter(({ role }) => role === 'Storage Blob Delegator'))
  t.teardown(() => roles?.replace(before))
  const report = await bench.verify('good')
  t.match(report.statuses, { 'udk-issued': 'passed', 'list-root': 'failed' })
})

t.test('managed identities of the machine sign in where the operator names them', async (t) => {
  const { systemAssignedClientId, userAssignedClientId } = bench.sandbox
  const system = await bench.verify('machine')
  t.match(system.json.identity, { source: 'managed-identity', clientId: systemAssignedClientId })
  t.match(system.statuses, { 'identity-acquired': 'passed', 'credential-issued': 'passed' })
  const user = await bench.verify('machine-user')
  t.match(user.json.identity, { source: 'managed-identity', clientId: userAssignedClientId })
  t.match(user.statuses, { 'identity-acquired': 'passed', 'credential-issued': 'passed' })
})

t.test('administrators alone may ask, what is not there is 404, and it is recorded', async (t) => {
  t.match(await bench.verify('good', {}, plain.key), {
    status: 403,
    json: { reason: 'permission_not_granted' },
  })
  t.equal((await bench.verify('nobody')).status, 404)
  t.equal((await bench.verify('good', { url: 'https://evil.example' })).status, 400)
  const lines = (await readFile(bench.auditFile, 'utf8')).trim().split('\n')
  const records = lines.map((line) => JSON.parse(line))
  const verified = records.filter(({ action }) => action === 'connectors.verify')
  t.match(verified.at(0), { decision: 'granted', caller: 'operator', subject: /^connector\/good@/ })
  t.ok(verified.some(({ subject }) => /wrong@\d+ verified: failed/.test(subject ?? '')))
})

t.test(
  'the command line shows it and ends with 1 when a check failed',
  { skip: whyNoCli() },
  async (t) => {
    const env = {
      ABFS_CONNECTOR_URL: bench.url.href,
      ABFS_CONNECTOR_KEY_FILE: join(bench.sandbox.runDirectory, 'admin.key'),
    }
    const good = await runAbfs(['connector', 'verify', '--connector', 'good'], { env })
    t.match(good.stdout.toString(), /scope-enforced-sibling +passed/, good.stderr.toString())
    t.equal(good.code, 0)
    const wrong = await runAbfs(['connector', 'verify', '--connector', 'wrong', '--json'], { env })
    t.equal(wrong.code, 1)
    t.match(JSON.parse(wrong.stdout.toString()), { passed: false, connector: 'wrong' })
  },
)
