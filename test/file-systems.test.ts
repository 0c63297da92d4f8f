import t from 'tap'
import { MemoryBlobStore } from '../src/blob/memory-store.ts'
import { type CreateFileSystemOptions, createFileSystem } from '../src/create-file-system.ts'
import { FileSystems, fromConnectionString, fromUrl } from '../src/file-systems.ts'
import { AzureBlobFileSystem } from '../src/filesystem/azure-blob-file-system.ts'
import { startSandbox } from '../src/sandbox/sandbox.ts'
import { ChunkCache } from '../src/transfer/chunk-cache.ts'
import { CountingStore } from './support/counting-store.ts'
import { memoryFileSystem } from './support/file-system.ts'

const sandbox = await startSandbox({ containers: ['box'] })
t.teardown(() => sandbox.close())
const { account, accountKey, blobEndpoint, caFile } = sandbox
const environment = { ABFS_ACCOUNT: 'other', ABFS_BLOB_ENDPOINT: 'https://127.0.0.1:1/other' }
const connection = `AccountName=${account};AccountKey=${accountKey};BlobEndpoint=${blobEndpoint.href}`

t.test('a connection string gives its account, whatever the environment says', async (t) => {
  await using fs = await fromConnectionString(connection, { caFile, environment })

  await fs.writeText('box/f', 'text')

  t.equal(fs.account, account)
  t.equal(await fs.readText(`${blobEndpoint.href}/box/f`), 'text')
})

t.test('what is no connection string is refused without repeating it', async (t) => {
  const refused = await fromConnectionString('hunter2', { caFile, environment }).catch((e) => e)

  t.match(refused, { code: 'EINVAL' })
  t.notMatch(refused.message, 'hunter2')
})

t.test('a URL gives the account that it names', async (t) => {
  const url = 'abfs://box@mine.dfs.core.windows.net/f'

  await using fs = await fromUrl(url, { caFile, environment })

  t.equal(fs.account, 'mine')
  t.equal(fs.nameOf(url), 'box/f')
})

t.test('who asks for the same account in the same way gets the same file system', async (t) => {
  await using all = new FileSystems()
  const mine = 'abfs://box@mine.dfs.core.windows.net'

  const first = await all.get(`${mine}/a`, { environment })

  t.equal(await all.get('https://mine.blob.core.windows.net/other', { environment }), first)
  t.not(await all.get('abfs://box@other.dfs.core.windows.net/a', { environment }), first)
  t.not(await all.get(mine, { environment, concurrency: 2 }), first)
  t.not(await all.get(mine, { environment: { ...environment } }), first)
})

t.test('a protocol of the program’s own is added, and replaced only when told', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/dir/f', 'text')
  await using all = new FileSystems()
  all.register('lake', async () => fs)

  t.equal(await (await all.open('lake://box/dir/f')).readAll().then(String), 'text')
  t.ok(all.protocols.includes('lake'))
  t.throws(() => all.register('lake', async () => fs), { code: 'EEXIST' })
  t.throws(() => all.register('abfs', async () => fs), { code: 'EEXIST' })
  t.throws(() => all.register('No Scheme', async () => fs), TypeError)
  all.register('lake', async () => fs, { clobber: true })
  await t.rejects(all.get('sea://box/f'), { code: 'EINVAL', message: /lake/ })
})

t.test('a URL is opened in every mode, as a file is', async (t) => {
  const { fs } = await memoryFileSystem()
  await using all = new FileSystems()
  all.register('lake', async () => fs)
  const writer = await all.open('lake://box/f', 'x', { file: { metadata: { kind: 'new' } } })
  await writer.write('One')
  await writer.close()
  const appended = await all.open('lake://box/f', 'a')
  await appended.write(' two')
  await appended.close()
  const edited = await all.open('lake://box/f', 'r+')
  await edited.writeAt(0, 'one')
  await edited.close()

  await using reader = await all.open('lake://box/f', 'r', { file: { cacheType: 'none' } })
  t.equal(String(await reader.readAll()), 'one two')
  t.same(await fs.getMetadata('box/f'), { kind: 'new' })
  await t.rejects(all.open('lake://box/f', 'x'), { code: 'EEXIST' })
  const copies: object = { cacheStorage: t.testdir() }
  await t.rejects(all.open('simplecache::lake://box/f', 'r', copies), {
    code: 'ENOTSUP',
    message: /resolve/,
  })
})

t.test('after close every call is EBADF, and what failed to open is no failure', async (t) => {
  const { fs } = await memoryFileSystem()
  let closed = 0
  const close = async () => {
    closed += 1
  }
  const closing: AzureBlobFileSystem = Object.assign(Object.create(fs), { close })
  const all = new FileSystems()
  all.register('lake', async () => closing)
  all.register('sea', () => Promise.reject(new Error('no sea')))
  await all.get('lake://box')
  const failing = all.get('sea://box')
  const isClosed = all.close()
  await t.rejects(failing, { message: 'no sea' })
  await isClosed
  await all.close()

  t.equal(closed, 1)
  const calls: readonly Promise<unknown>[] = [
    all.get('lake://box'),
    all.resolve('lake://box/f'),
    all.open('lake://box/f'),
    all.filesystem('lake://box'),
    all.urlToFs('lake://box'),
  ]
  for (const work of calls) {
    await t.rejects(work, { code: 'EBADF', message: /make another FileSystems/ })
  }
  t.throws(() => all.register('pond', async () => fs), { code: 'EBADF' })
})

t.test('an empty URL is no way to ask for the environment’s account', async (t) => {
  await using all = new FileSystems()
  for (const url of ['', ' ']) {
    const asks: readonly (() => Promise<unknown>)[] = [
      () => fromUrl(url, { environment }),
      () => createFileSystem({ url, environment }),
      () => all.get(url, { environment }),
      () => all.resolve(url, { environment }),
    ]
    for (const ask of asks) {
      await t.rejects(ask(), { code: 'EINVAL', path: 'url', message: /abfs:\/\/container\/path/ })
    }
  }
  // A container without an account is asked for on purpose.
  await using fs = await fromUrl('abfs://box/f', { caFile, environment })
  t.equal(fs.account, 'other')
})

t.test('a loader that fails is asked again', async (t) => {
  const { fs } = await memoryFileSystem()
  await using all = new FileSystems()
  const answers = [Promise.reject(new Error('not yet')), Promise.resolve(fs)]
  all.register('lake', () => answers.shift() ?? Promise.resolve(fs))

  await t.rejects(all.get('lake://box'), { message: 'not yet' })

  t.equal(await all.get('lake://box'), fs)
})

t.test('simplecache:: and filecache:: read through copies on the local disk', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/a::b', 'one')
  await using all = new FileSystems()
  all.register('lake', async () => fs)
  const cacheStorage = t.testdir()

  const simple = await all.resolve('simplecache::lake://box/a::b', { cacheStorage })
  const checked = await all.resolve('filecache::lake://box/a::b', {
    cacheStorage,
    cacheExpiryMs: 0,
  })

  t.equal(simple.path, 'box/a::b')
  t.equal(await simple.cache?.readText(simple.path), 'one')
  await fs.writeText('box/a::b', 'two')
  t.equal(await simple.cache?.readText(simple.path), 'one')
  t.equal(await checked.cache?.readText(checked.path), 'two')
  t.equal((await all.resolve('lake://box/a::b')).cache, undefined)
  await t.rejects(all.resolve('simplecache::lake://box/a'), {
    code: 'EINVAL',
    path: 'cacheStorage',
  })
  await t.rejects(all.resolve('zip::lake://box/a', { cacheStorage }), { code: 'EINVAL' })
})

t.test('blockcache:: keeps blocks on the local disk, for later processes', async (t) => {
  const store = new CountingStore(new MemoryBlobStore())
  await store.createContainer('box')
  await store.put({ container: 'box', name: 'f' }, Buffer.alloc(300_000, 'x'))
  const loader = async ({ diskCache }: CreateFileSystemOptions) =>
    new AzureBlobFileSystem({ store, chunkCache: new ChunkCache({ disk: diskCache }) })
  const cacheStorage = t.testdir()
  for (const gets of [1, 0]) {
    store.take()
    await using all = new FileSystems()
    all.registerFilesystem('lake', loader)
    const { fs, path } = await all.urlToFs('blockcache::lake://box/f', { cacheStorage })
    t.equal((await fs.catFile(path)).length, 300_000)
    t.equal(store.requests.filter(({ verb }) => verb === 'get').length, gets)
    t.ok(all.availableProtocols().includes('lake'))
    t.equal(await all.filesystem('lake://box'), await all.get('lake://box'))
  }
  await using all = new FileSystems()
  await t.rejects(all.resolve('blockcache::abfs://box/f'), { code: 'EINVAL' })
})
