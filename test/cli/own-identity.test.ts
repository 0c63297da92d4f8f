import t, { type Test } from 'tap'
import { createFileSystem } from '../../src/create-file-system.ts'
import { createTokenCredential } from '../../src/create-token-credential.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'

/** What the process says: another tenant, somebody else, and an Entra that does not answer. */
const poison = {
  AZURE_TENANT_ID: '00000000-0000-0000-0000-00000000dead',
  AZURE_CLIENT_ID: '00000000-0000-0000-0000-00000000beef',
  AZURE_CLIENT_SECRET: 'secret-of-the-process',
  AZURE_AUTHORITY_HOST: 'https://127.0.0.1:1/',
}

/** The process's variables, until the test ends. */
function setProcess(t: Test, variables: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(variables)) {
    const before = process.env[name]
    process.env[name] = value
    t.teardown(() => {
      if (before === undefined) delete process.env[name]
      else process.env[name] = before
    })
  }
}

t.test('who signs in is whom the environment names that was given', async (t) => {
  const sandbox = await startSandbox({ containers: ['box'] })
  t.teardown(() => sandbox.close())
  const { AZURE_CLIENT_SECRET: secret = '', ...rest } = sandbox.environment()
  setProcess(t, poison)
  const ways = {
    secret: { AZURE_CLIENT_SECRET: secret },
    certificate: { AZURE_CLIENT_CERTIFICATE_PATH: sandbox.clientCertificateFile },
    'federated token': { AZURE_FEDERATED_TOKEN_FILE: sandbox.federatedTokenFile },
    'chosen token': {
      AZURE_CLIENT_SECRET: 'wrong',
      AZURE_FEDERATED_TOKEN_FILE: sandbox.federatedTokenFile,
      AZURE_TOKEN_CREDENTIALS: 'WorkloadIdentityCredential',
    },
  }
  for (const [way, variables] of Object.entries(ways)) {
    await t.test(`by its ${way}`, async (t) => {
      const environment = { ...rest, ...variables }
      await using fs = await createFileSystem({ environment })
      await fs.writeText('box/name', way)
      t.equal(await fs.readText('box/name'), way)
      const credential = await createTokenCredential({ environment })
      t.teardown(() => credential.close())
      t.match(await credential.getToken('https://storage.azure.com/.default'), { token: /^ey/ })
    })
  }
  await t.test('and nobody else where its secret is wrong', async (t) => {
    await using fs = await createFileSystem({
      environment: { ...rest, AZURE_CLIENT_SECRET: 'wrong' },
    })
    await t.rejects(fs.readText('box/name'), { code: 'EACCES' })
  })
  await t.test('and of the process where it says the same', async (t) => {
    setProcess(t, sandbox.environment())
    await using fs = await createFileSystem({ environment: { ...process.env } })
    await fs.writeText('box/name', 'same')
    t.equal(await fs.readText('box/name'), 'same')
  })
})

const ids = { AZURE_TENANT_ID: 'tenant', AZURE_CLIENT_ID: 'client' }
const refused: readonly (readonly [string, Record<string, string>, Record<string, string>])[] = [
  ['AZURE_TENANT_ID', poison, {}],
  ['AZURE_CLIENT_SECRET', { ...poison, ...ids }, ids],
  ['AZURE_FEDERATED_TOKEN_FILE', { AZURE_FEDERATED_TOKEN_FILE: '/var/run/token' }, {}],
  ['IDENTITY_ENDPOINT', { IDENTITY_ENDPOINT: 'http://127.0.0.1:1/' }, {}],
  ['MSI_SECRET', {}, { MSI_SECRET: 'secret-of-the-program' }],
  [
    'AZURE_TENANT_ID',
    {},
    { ...ids, AZURE_CLIENT_CERTIFICATE_PATH: 'c.pem', AZURE_CLIENT_CERTIFICATE_PASSWORD: 'secret' },
  ],
  [
    'AZURE_TENANT_ID',
    {},
    { ...ids, AZURE_CLIENT_SECRET: 'secret', AZURE_TOKEN_CREDENTIALS: 'dev' },
  ],
]

for (const [path, own, given] of refused) {
  const names = `${Object.keys(given).join(' ') || 'nothing'} beside ${Object.keys(own).join(' ') || 'nothing'}`
  t.test(`an environment of ${names} names nobody`, async (t) => {
    setProcess(t, own)
    const environment = { ABFS_ACCOUNT: 'mine', ...given }
    const error = await createFileSystem({ environment }).catch((thrown: unknown) => thrown)
    t.match(error, { code: 'EINVAL', path, message: /give a credential/ })
    t.notMatch(String(error), /secret-of|c\.pem/)
  })
}

t.test('a credential that is given needs no identity of the environment', async (t) => {
  setProcess(t, poison)
  const credential = {
    getCredential: async () => {
      throw new Error('asked')
    },
  }
  await using fs = await createFileSystem({ environment: { ABFS_ACCOUNT: 'mine' }, credential })
  t.match(fs.toJSON(), { account: 'mine', credential: 'given' })
})
