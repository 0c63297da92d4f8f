import t from 'tap'
import { parse, stringify } from 'yaml'
import { createTokenCredential } from '../src/create-token-credential.ts'
import { blobServiceOf } from './support/sandbox-clients.ts'
import { startSandboxConnector } from './support/sandbox-connector.ts'

const vault = 'https://vault.azure.net'

t.test('a client of Azure’s SDK gets its tokens from a connector', async (t) => {
  const azure = await startSandboxConnector(t, {
    editYaml: (yaml) => {
      const config = parse(yaml)
      const [{ name: caller }] = config.callers
      config.tokens = [{ caller, resource: 'azure-generic', audiences: [vault] }]
      config.policy[0].container = 'data'
      return stringify(config)
    },
  })
  const credential = await createTokenCredential({
    container: 'data',
    permissions: ['read', 'list', 'create', 'write', 'delete'],
    environment: azure.client,
  })
  t.teardown(() => credential.close())
  const container = blobServiceOf(azure.sandbox, credential).getContainerClient('data')
  const blob = container.getBlockBlobClient('by-sdk')

  await blob.upload('one', 3)
  t.equal(String(await blob.downloadToBuffer()), 'one')
  const first = await credential.getToken('https://storage.azure.com/.default')
  t.ok(first.expiresOnTimestamp > Date.now())
  const issued = (): number =>
    azure.audit.records.filter(({ action }) => action === 'credentials.issue').length
  const before = issued()
  t.match(await credential.getToken(['https://storage.azure.com/.default']), { token: /^ey/ })
  t.equal(issued(), before, 'it is kept in memory')

  await credential.getToken('https://storage.azure.com/.default', {
    claims: '{"access_token":{"nbf":{"essential":true}}}',
  })
  t.equal(issued(), before + 1, 'claims are asked for anew')

  const other = await credential.getToken(`${vault}/.default`)
  t.not(other.token, first.token)
  t.match(azure.audit.records.at(-1), { target: { audience: vault }, decision: 'granted' })
  await t.rejects(credential.getToken('https://graph.microsoft.com/.default'), { code: 'EACCES' })
  await t.rejects(credential.getToken('openid'), { code: 'EINVAL', message: /\/.default/ })
  await t.rejects(credential.getToken([`${vault}/.default`, 'x/.default']), { code: 'EINVAL' })
  const aborted = AbortSignal.abort()
  await t.rejects(
    credential.getToken('https://graph.microsoft.com/.default', { abortSignal: aborted }),
  )
})

t.test('a rule that gives no bearer gives no token', async (t) => {
  const azure = await startSandboxConnector(t, {
    editYaml: (yaml) => {
      const config = parse(yaml)
      config.policy[0].credentials = ['sas']
      return stringify(config)
    },
  })
  const credential = await createTokenCredential({ container: 'data', environment: azure.client })
  t.teardown(() => credential.close())
  await t.rejects(credential.getToken('https://storage.azure.com/.default'), {
    code: 'EACCES',
    message: /bearer|kind/,
  })
})
