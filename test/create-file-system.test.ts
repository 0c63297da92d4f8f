import { inspect } from 'node:util'
import t from 'tap'
import {
  type CreateFileSystemOptions,
  createFileSystem,
  fromJSON,
} from '../src/create-file-system.ts'
import { sasProvider } from '../src/credential/sas-provider.ts'
import { fromStorageOptions } from '../src/storage-options.ts'

const environment = { ABFS_ACCOUNT: 'prod', ABFS_BLOB_ENDPOINT: 'https://127.0.0.1:1/prod' }
const credential = sasProvider(async () => ({ sas: 'sig=x', expiresOn: new Date(8e15) }))

/** As a program without types calls it. */
function connect(options: object): Promise<unknown> {
  const given: CreateFileSystemOptions = { environment, ...options }
  return createFileSystem(given)
}

const refusals: readonly (readonly [object, string, RegExp])[] = [
  [{ acount: 'x' }, 'acount', /no such option; there are account, /],
  [{ account_name: 'x' }, 'account_name', /no such option/],
  [{ blob_endpoint: 'https://x' }, 'blob_endpoint', /it is called blobEndpoint/],
  [{ account: 5 }, 'account', /expected a text, got 5/],
  [{ account: 'No_Such' }, '--account', /name of a storage account/],
  [{ account: 'evil.example/' }, '--account', /name of a storage account/],
  [{ integrity: 'sha' }, 'integrity', /expected 'crc64', 'md5' or 'none', got "sha"/],
  [{ callTimeoutMs: -5 }, 'callTimeoutMs', /milliseconds, more than 0, got -5/],
  [{ requestBudget: 1.5 }, 'requestBudget', /integer of 1 or more, got 1.5/],
  [{ memoryBudgetBytes: 0 }, 'memoryBudgetBytes', /got 0/],
  [{ blockBytes: '8M' }, 'blockBytes', /integer of 1 or more, got "8M"/],
  [{ directoryMode: 'x' }, 'directoryMode', /hierarchical account is known by hns/],
  [{ hns: 'maybe' }, 'hns', /true, false or 'auto'/],
  [{ anonymous: 'yes' }, 'anonymous', /true or false, got "yes"/],
  [{ anonymous: true, credential }, 'anonymous', /without a credential/],
  [{ credential: {} }, 'credential', /a provider as sasProvider\(\) gives.*got a object/],
  [{ url: 's3://bucket/x' }, 'url', /has the scheme 's3'/],
  [
    { customerProvidedKey: new Uint8Array(31) },
    'customerProvidedKey',
    /AES-256 key: a Uint8Array of 32 bytes, .*got 31 bytes/,
  ],
  [{ customerProvidedKey: 'x' }, 'customerProvidedKey', /base64 of them.*got a string/],
  [{ customerProvidedKey: () => 'x' }, 'customerProvidedKey', /the function gave what is no/],
  [
    { customerProvidedKey: new Uint8Array(32), encryptionScope: 'one' },
    'encryptionScope',
    /without a key of the customer's/,
  ],
  [
    { customerProvidedKey: new Uint8Array(32), encryptionKeyFile: 'x' },
    'customerProvidedKey',
    /without encryptionKeyFile/,
  ],
  [
    { customerProvidedKey: new Uint8Array(32), blobEndpoint: 'http://127.0.0.1:1/prod' },
    'customerProvidedKey',
    /over https only/,
  ],
]

for (const [options, path, message] of refusals) {
  t.test(`the option ${JSON.stringify(options)} is refused by its name`, async (t) => {
    await t.rejects(connect(options), { code: 'EINVAL', path, message })
  })
}

t.test('what is no credential is refused without repeating it', async (t) => {
  const refused = await connect({ credential: 'hunter2' }).catch((error: unknown) => error)

  t.match(refused, { code: 'EINVAL', path: 'credential', message: /fromStorageOptions/ })
  t.notMatch(String(refused), 'hunter2')
})

t.test('a key of the customer’s is in no message, and has to be given again', async (t) => {
  const key = Buffer.from('thirty-two bytes that are a key!').toString('base64')
  const refused = await connect({ customerProvidedKey: `${key}x` }).catch((e: unknown) => e)
  t.notMatch(inspect(refused, { depth: 9 }), key)

  await using fs = await createFileSystem({
    credential,
    environment,
    hns: false,
    customerProvidedKey: async () => key,
  })
  const recipe = fs.toJSON()
  t.match(recipe, { customerProvidedKey: 'given' })
  t.notMatch(JSON.stringify(recipe) + inspect(fs, { depth: 9, showHidden: true }), key)
  const again = { credential, environment }
  const path = 'customerProvidedKey'
  await t.rejects(fromJSON(recipe, again), { code: 'EINVAL', path, message: /give it again/ })
  await using same = await fromJSON(recipe, { ...again, customerProvidedKey: key })
  t.match(same.toJSON(), { customerProvidedKey: 'given' })
})

t.test('an account key that is none is refused without repeating it', async (t) => {
  const options = { account_name: 'mine', account_key: 'hunter2!' }
  const refused = await fromStorageOptions(options, { environment }).catch((e: unknown) => e)

  t.match(refused, { code: 'EINVAL', path: 'account key', message: /Base64/ })
  t.notMatch(String(refused), 'hunter2')
})

t.test('the environment’s endpoint is not that of another account', async (t) => {
  await using named = await createFileSystem({ account: 'dev', credential, environment })
  await using own = await createFileSystem({ credential, environment })
  await using said = await createFileSystem({ account: 'prod', credential, environment })

  t.match(named.toJSON(), { blobEndpoint: 'https://dev.blob.core.windows.net/' })
  t.match(own.toJSON(), { account: 'prod', blobEndpoint: 'https://127.0.0.1:1/prod' })
  t.match(said.toJSON(), { account: 'prod', blobEndpoint: 'https://127.0.0.1:1/prod' })
})

t.test('a file system that is closed says so, and asks nobody', async (t) => {
  const fs = await createFileSystem({ credential, environment, hns: false })
  await fs.close()
  await fs.close()

  await t.rejects(fs.readText('box/f'), { code: 'EBADF', message: /closed/ })
  await t.rejects(fs.ls('box'), { code: 'EBADF' })
})

t.test('rates are of the file system, and what is none is refused by name', async (t) => {
  const rateLimits = { requestsPerSecond: 10 }
  const fs = await createFileSystem({ credential, environment, hns: false, rateLimits })
  t.match(fs.toJSON(), { rateLimits })
  await fs.close()

  const wrong = { readBytesPerSecond: 1 }
  await t.rejects(createFileSystem({ credential, environment, hns: false, rateLimits: wrong }), {
    name: 'RangeError',
    message: /readBytesPerSecond: expected a number from 1024 on/,
  })
})
