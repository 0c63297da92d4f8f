import { test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { generateCallerKey } from '../../src/connector/authenticate.ts'
import { ConnectorClient } from '../../src/connector/client.ts'
import { parseConnectorConfig } from '../../src/connector/config.ts'
import { openIssuer } from '../../src/connector/open-issuer.ts'
import { startConnector } from '../../src/connector/server.ts'
import { type VerifyOptions, verifyConnector } from '../../src/connector/verify.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { MemoryAudit } from '../support/memory-audit.ts'
import { sandboxIdentity } from '../support/sandbox-identity.ts'

type Statuses = Record<string, string>

test('the report of a connector', async (t) => {
  const sandbox = await startSandbox({
    account: { name: 'lake', hierarchical: true },
    containers: ['zone', 'other'],
  })
  t.teardown(() => sandbox.close())
  const caller = generateCallerKey()
  const config = parseConnectorConfig(
    `
listen: { port: 0 }
${await sandboxIdentity(sandbox)}
accounts: [{ name: lake, blobEndpoint: '${sandbox.blobEndpoint.href}', hierarchicalNamespace: true }]
callers: [{ name: trainer, keySha256: ${caller.keySha256} }]
policy:
  - { caller: trainer, account: lake, container: zone, prefix: teams/blue, permissions: [read, list, create, write, delete] }
  - { caller: trainer, account: lake, container: other, permissions: [read, list], credentials: [sas, bearer] }
`,
    { file: 'test.yaml' },
  )
  const issuer = await openIssuer(config)
  const connector = await startConnector({ config, issuer, audit: new MemoryAudit() })
  t.teardown(() => connector.close())
  const http = undiciHandler({ ca: sandbox.caPem })
  t.teardown(() => http.close())
  const clientOf = (kind: 'sas' | 'bearer'): ConnectorClient =>
    new ConnectorClient({
      endpoint: connector.url,
      callerProof: async () => caller.key,
      http: http.handle,
      clock: systemClock,
      kind,
    })
  const blue: VerifyOptions['scope'] = {
    account: 'lake',
    service: 'blob',
    container: 'zone',
    prefix: 'teams/blue',
    permissions: ['read', 'list', 'create', 'write', 'delete'],
  }
  const other: VerifyOptions['scope'] = {
    account: 'lake',
    service: 'blob',
    container: 'other',
    permissions: ['read', 'list'],
  }
  const statuses = async (change: Partial<VerifyOptions>): Promise<Statuses> => {
    const results = await verifyConnector({
      connector: connector.url,
      provider: clientOf('sas'),
      blobEndpoint: sandbox.blobEndpoint,
      scope: blue,
      http: http.handle,
      clock: systemClock,
      nonce: 'abc123',
      ...change,
    })
    t.notMatch(JSON.stringify(results), /sig=|abfs_|eyJ/, 'no credential is told')
    return Object.fromEntries(results.map(({ name, status }) => [name, status]))
  }
  const good: Statuses = {
    'identity-acquired': 'passed',
    'policy-allows': 'passed',
    'credential-issued': 'passed',
    // A directory's signature may not ask.
    'hns-detected': 'skipped',
    'list-root': 'passed',
    'read-write': 'passed',
    cleanup: 'passed',
    'scope-enforced-parent': 'passed',
    'scope-enforced-sibling': 'passed',
    'clock-skew': 'passed',
  }

  t.test('passes for a prefix, and leaves nothing behind', async (t) => {
    t.same(await statuses({}), good)
    // Written, read and deleted anew: nothing of the first run is in the way.
    t.same(await statuses({}), good)
  })

  t.test('passes for a container, and does not write where that was not asked for', async (t) => {
    t.same(await statuses({ scope: other }), {
      ...good,
      'hns-detected': 'passed',
      'read-write': 'skipped',
      cleanup: 'skipped',
    })
  })

  t.test('says which step failed when policy refuses', async (t) => {
    t.same(await statuses({ scope: { ...blue, prefix: 'teams/red' } }), {
      'identity-acquired': 'passed',
      'policy-allows': 'failed',
      'credential-issued': 'skipped',
      'hns-detected': 'skipped',
      'list-root': 'skipped',
      'read-write': 'skipped',
      cleanup: 'skipped',
      'scope-enforced-parent': 'skipped',
      'scope-enforced-sibling': 'skipped',
      'clock-skew': 'skipped',
    })
  })

  t.test('finds a credential that reaches further than was asked', async (t) => {
    const client = clientOf('sas')
    const provider = { getCredential: () => client.getCredential(other) }
    const scope = { ...other, prefix: 'teams/blue' }

    t.match(await statuses({ provider, scope }), {
      'scope-enforced-parent': 'failed',
      'scope-enforced-sibling': 'failed',
    })
  })

  t.test('does not say of a bearer that it is limited', async (t) => {
    t.match(await statuses({ provider: clientOf('bearer'), scope: other }), {
      'list-root': 'passed',
      'scope-enforced-parent': 'skipped',
      'scope-enforced-sibling': 'skipped',
    })
  })

  t.test('finds a clock that is wrong, a flat account and a blob that stays', async (t) => {
    const changed =
      (change: (headers: Record<string, string>) => void): VerifyOptions['http'] =>
      async (request) => {
        const response = await http.handle(request)
        const headers = { ...response.headers }
        if (request.url.href.startsWith(sandbox.blobEndpoint.href)) change(headers)
        return { ...response, headers }
      }
    const late = changed((headers) => {
      headers['date'] = new Date(systemClock.nowMs() - 90_000).toUTCString()
    })
    t.match(await statuses({ http: late }), { 'clock-skew': 'failed' })
    const flat = changed((headers) => {
      headers['x-ms-is-hns-enabled'] = 'false'
    })
    t.match(await statuses({ http: flat }), { 'hns-detected': 'failed' })
    const stuck: VerifyOptions['http'] = async (request) => {
      const response = await http.handle(request)
      return request.method === 'DELETE' ? { ...response, status: 403 } : response
    }
    t.match(await statuses({ http: stuck }), { 'read-write': 'passed', cleanup: 'failed' })
  })

  t.test('names an identity that cannot sign in and a connector that is not there', async (t) => {
    const gone = await statuses({ connector: new URL('http://127.0.0.1:9/') })

    t.equal(gone['identity-acquired'], 'failed')
  })
  t.end()
})
