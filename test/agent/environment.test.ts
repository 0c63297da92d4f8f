import t from 'tap'
import { agentVariables, childEnvironment, withheldVariables } from '../../src/agent/environment.ts'
import { startTestAgent } from '../support/test-agent.ts'

t.test('a child gets the agent, and no other credential of the environment', async (t) => {
  const { agent } = await startTestAgent(t)
  const variables = agentVariables(agent, { account: 'acct' })
  const others = Object.fromEntries(withheldVariables.map((name) => [name, 'old']))

  const child = childEnvironment({ ...others, HOME: '/h', AZURE_STORAGE_ACCOUNT: 'x' }, variables)

  t.match(child, {
    HOME: '/h',
    IDENTITY_ENDPOINT: `${agent.url.origin}/msi/token`,
    IDENTITY_HEADER: agent.secrets.header,
    AZURE_POD_IDENTITY_AUTHORITY_HOST: `${agent.url.origin}/${agent.secrets.path}`,
    AZURE_STORAGE_ACCOUNT: 'acct',
    AZURE_TOKEN_CREDENTIALS: 'prod',
  })
  t.notOk(Object.values(child).includes('old'))
  const sandbox = { ABFS_SANDBOX_KEY_LAKE: 'key', ABFS_SANDBOX_CONTROL_SECRET: 'word' }
  t.strictSame(childEnvironment({ ...sandbox, A: 'a' }, {}), { A: 'a' })
  for (const name of [
    'AZURE_CLIENT_SECRET',
    'ABFS_CONNECTOR_KEY',
    'ABFS_ENCRYPTION_KEY',
    'ABFS_ENCRYPTION_KEY_FILE',
    'MSI_ENDPOINT',
    'IMDS_ENDPOINT',
  ]) {
    t.notOk(name in child, name)
  }
})

t.test('protocols on request have variables of their own', async (t) => {
  const { agent } = await startTestAgent(t)
  const root = agent.url.origin

  t.match(agentVariables(agent, { account: 'a', cloudShell: true }), {
    MSI_ENDPOINT: `${root}/${agent.secrets.path}/msi`,
  })
  t.match(agentVariables(agent, { account: 'a', azureMl: true }), {
    MSI_ENDPOINT: `${root}/msi/token`,
    MSI_SECRET: agent.secrets.header,
  })
  t.match(agentVariables(agent, { account: 'a', openImds: true }), {
    AZURE_POD_IDENTITY_AUTHORITY_HOST: root,
  })
  const federation = { file: '/f', clientId: 'c', tenantId: 't' }
  t.match(agentVariables(agent, { account: 'a', federation }), {
    AZURE_FEDERATED_TOKEN_FILE: '/f',
    AZURE_CLIENT_ID: 'c',
    AZURE_TENANT_ID: 't',
  })
})

t.test('the agent is exempted from a proxy, beside what is exempted already', (t) => {
  t.match(childEnvironment({ https_proxy: 'http://p:1', NO_PROXY: 'internal' }, {}), {
    NO_PROXY: 'internal,127.0.0.1,localhost',
    no_proxy: 'internal,127.0.0.1,localhost',
  })
  t.notOk('NO_PROXY' in childEnvironment({ HOME: '/h' }, {}))
  t.end()
})
