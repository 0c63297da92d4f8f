import type { TokenCredential } from '@azure/core-auth'
import t from 'tap'
import { request } from 'undici'
import { type Sandbox, startSandbox } from '../../src/sandbox/sandbox.ts'
import { tokensFrom } from '../support/identity-process.ts'
import { blobServiceOf } from '../support/sandbox-clients.ts'

let sandbox: Sandbox

t.before(async () => {
  sandbox = await startSandbox({ containers: ['data'] })
})

t.teardown(() => sandbox?.close())

async function credentialFor(scope: string): Promise<TokenCredential> {
  const credential = 'new identity.EnvironmentCredential(offline)'
  const [outcome] = await tokensFrom(sandbox, [{ credential, scope }])
  const token = { token: outcome?.token ?? '', expiresOnTimestamp: Date.now() + 3_600_000 }
  return { getToken: async () => token }
}

t.test('the blob service takes tokens for storage and for its own account', async (t) => {
  const scopes = [
    'https://storage.azure.com/.default',
    'https://storage.azure.com//.default',
    `https://${sandbox.account}.blob.core.windows.net/.default`,
  ]
  for (const scope of scopes) {
    const container = blobServiceOf(sandbox, await credentialFor(scope)).getContainerClient('data')

    await container.getBlockBlobClient('hello').upload('hello', 5)

    t.equal((await container.getBlobClient('hello').downloadToBuffer()).toString(), 'hello')
  }
})

t.test('the blob service refuses tokens for anything else', async (t) => {
  const scopes = [
    'https://other.blob.core.windows.net/.default',
    `https://${sandbox.account}.dfs.core.windows.net/.default`,
    'https://management.azure.com/.default',
  ]
  for (const scope of scopes) {
    const container = blobServiceOf(sandbox, await credentialFor(scope)).getContainerClient('data')

    await t.rejects(container.getProperties(), {
      name: 'RestError',
      message: /AuthorizationFailure|403|authenticate/,
    })
  }
})

t.test('a client that does not know the certificate authority does not connect', async (t) => {
  for (const url of [sandbox.blobEndpoint, sandbox.authorityHost]) {
    await t.rejects(request(url), {
      code: /UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT_IN_CHAIN/,
    })
  }
})

t.test('blobs in a directory are there in the next sandbox', async (t) => {
  const directory = t.testdir()
  const first = await startSandbox({ directory, containers: ['kept'] })
  await blobServiceOf(first).getContainerClient('kept').getBlockBlobClient('a').upload('1', 1)
  await first.close()

  const second = await startSandbox({ directory, containers: ['kept'] })
  t.teardown(() => second.close())

  const kept = blobServiceOf(second).getContainerClient('kept').getBlobClient('a')
  t.equal((await kept.downloadToBuffer()).toString(), '1')
})

t.test('the account may have another name and a key of the caller', async (t) => {
  const key = Buffer.alloc(64, 7).toString('base64')
  const own = await startSandbox({ account: { name: 'mine', key }, containers: ['own'] })
  t.teardown(() => own.close())

  t.equal(own.accountKey, key)
  t.equal(own.blobEndpoint.pathname, '/mine')
  t.equal(await blobServiceOf(own).getContainerClient('own').exists(), true)
})

t.test('a name that Azure refuses is refused', async (t) => {
  await t.rejects(startSandbox({ account: { name: 'Not-A-Name' } }), {
    name: 'RangeError',
    message: /expected 3 to 24 lower-case letters and digits/,
  })
  await t.rejects(startSandbox({ containers: ['Bad_Name'] }), { message: /'Bad_Name'/ })
})

t.test('the blob service ended from outside is reported', async (t) => {
  const own = await startSandbox()
  t.teardown(() => own.close())

  process.kill(own.blobServicePid, 'SIGKILL')

  await t.rejects(own.failed, { message: /Azurite ended \(signal SIGKILL\)/ })
})
