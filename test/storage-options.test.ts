import { randomBytes } from 'node:crypto'
import t from 'tap'
import { MiB } from '../src/byte-range.ts'
import { createFileSystem, fromJSON } from '../src/create-file-system.ts'
import { startSandbox } from '../src/sandbox/sandbox.ts'
import { fromStorageOptions, type StorageOptions } from '../src/storage-options.ts'

const sandbox = await startSandbox({ containers: ['box'] })
t.teardown(() => sandbox.close())
const { account, accountKey, blobEndpoint, caFile } = sandbox
// What the environment says must not matter.
const environment = {
  AZURE_STORAGE_ACCOUNT_NAME: 'other',
  AZURE_STORAGE_ACCOUNT_KEY: 'b3RoZXI=',
  ABFS_BLOB_ENDPOINT: 'https://127.0.0.1:1/other',
}
const more = { caFile, environment }
const where = { account_name: account, account_host: blobEndpoint.href }
const connection = `DefaultEndpointsProtocol=https;AccountName=${account};AccountKey=${accountKey};BlobEndpoint=${blobEndpoint.href};`

const ways: readonly (readonly [string, StorageOptions])[] = [
  ['account_key', { ...where, account_key: accountKey }],
  ['a key as credential', { ...where, credential: accountKey }],
  ['connection_string', { connection_string: connection }],
]

for (const [title, options] of ways) {
  t.test(`adlfs's options sign in by ${title}`, async (t) => {
    await using fs = await fromStorageOptions(options, more)

    await fs.writeText('box/f', title)

    t.equal(await fs.readText('box/f'), title)
    t.notMatch(JSON.stringify(fs), accountKey)
  })
}

t.test('a name with a typing error is refused, one without meaning here is not', async (t) => {
  const refused = fromStorageOptions({ ...where, acount_key: accountKey }, more)
  await t.rejects(refused, { code: 'EINVAL', path: 'acount_key', message: /account_key/ })
  const others = { asynchronous: true, socket_timeout: 5, skip_instance_cache: true, max_paths: 9 }
  await using fs = await fromStorageOptions({ ...where, account_key: accountKey, ...others }, more)

  t.ok(await fs.exists('box'))
})

t.test('a key as Azure’s Python library has it encrypts what is written', async (t) => {
  const keyValue = randomBytes(32).toString('base64')
  const signed = { ...where, account_key: accountKey }
  const refused = fromStorageOptions({ ...signed, cpk: { key_value: 'short' } }, more)
  await t.rejects(refused, { code: 'EINVAL', path: 'cpk', message: /32 bytes/ })
  await using fs = await fromStorageOptions({ ...signed, cpk: { key_value: keyValue } }, more)

  t.match(fs.toJSON(), { customerProvidedKey: 'given' })
  t.notMatch(JSON.stringify(fs), keyValue)
})

t.test('anon sends no credential, which a private container refuses', async (t) => {
  // As adlfs has it, `anon` beats a key beside it.
  await using fs = await fromStorageOptions({ ...where, anon: true, account_key: accountKey }, more)

  await t.rejects(fs.ls('box'), { code: /EACCES|ENOENT/ })
  const recipe = JSON.parse(JSON.stringify(fs))
  t.equal(recipe.anonymous, true)
  t.notHas(recipe, { credential: 'given' })
  await using again = await fromJSON(recipe, { environment: {} })
  await t.rejects(again.ls('box'), { code: /EACCES|ENOENT/ })
})

t.test(
  'anonymous sends no credential, whoever the environment signs in as, nor does its JSON',
  async (t) => {
    await using fs = await createFileSystem({
      account,
      blobEndpoint: blobEndpoint.href,
      ...more,
      anonymous: true,
    })
    await t.rejects(fs.ls('box'), { code: /EACCES|ENOENT/ })

    t.match(fs.toJSON(), { anonymous: true })
    await using again = await fromJSON(JSON.parse(JSON.stringify(fs)), { environment: {} })
    await t.rejects(again.ls('box'), { code: /EACCES|ENOENT/ })
  },
)

t.test('the budgets of a process have names of their own', async (t) => {
  const budgets = { request_budget: 3, memory_budget: 64 * MiB, max_concurrency: 8 }
  await using fs = await fromStorageOptions({ ...where, anon: true, ...budgets }, more)

  t.match(fs.toJSON(), { requestBudget: 3, memoryBudgetBytes: 64 * MiB, concurrency: 8 })
  const bad = { ...where, anon: true, memory_budget: -1 }
  await t.rejects(fromStorageOptions(bad, more), { code: 'EINVAL', path: 'memoryBudgetBytes' })
})

t.test('options that lack something are refused', async (t) => {
  await t.rejects(fromStorageOptions({ client_id: 'x' }, more), { code: 'EINVAL' })
  await t.rejects(fromStorageOptions({ account_key: accountKey }, more), { code: 'EINVAL' })
})

t.test('a file system is made again from its JSON, with no secret in it', async (t) => {
  await using first = await fromStorageOptions(
    { ...where, account_key: accountKey, blocksize: 4096 },
    more,
  )
  await first.writeText('box/g', 'content')
  const json = JSON.parse(JSON.stringify(first))

  t.match(json, { account, caFile, blockBytes: 4096, credential: 'given' })
  t.notMatch(JSON.stringify(json), accountKey)
  await t.rejects(fromJSON(json, { environment }), { code: 'EINVAL' })
  const credential = {
    getCredential: async () => {
      throw new Error('asked')
    },
  }
  await using second = await fromJSON(json, { environment, credential })
  await t.rejects(second.readText('box/g'), { code: 'EACCES' })
})

t.test('a file system of the environment says where it is', async (t) => {
  await using fs = await createFileSystem({ environment: { ABFS_ACCOUNT: 'mine' } })

  t.match(fs.toJSON(), { account: 'mine', blobEndpoint: 'https://mine.blob.core.windows.net/' })
})
