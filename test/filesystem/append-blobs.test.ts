import { join } from 'node:path'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { KiB, MiB } from '../../src/byte-range.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { azureStore } from '../support/azure-store.ts'
import { CountingStore } from '../support/counting-store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { answer, azureError, hangUp, startFaultServer } from '../support/fault-server.ts'
import { faultyAccount } from '../support/faulty-account.ts'
import { hierarchicalServer } from '../support/hierarchical-server.ts'
import { testBearer } from '../support/scripted-provider.ts'

const blockBytes = 64 * KiB

async function setUp() {
  const memory = new MemoryBlobStore()
  await memory.createContainer('box')
  const store = new CountingStore(memory)
  const fs = new AzureBlobFileSystem({ store, clock: new FakeClock(), blockBytes })
  const typeOf = async (name: string) => (await memory.head({ container: 'box', name })).blobType
  return { fs, store, memory, typeOf }
}

t.test('a new file becomes an append blob when that is asked for, and stays one', async (t) => {
  const { fs, typeOf } = await setUp()
  const log = await fs.open('box/log', 'a', { appendBlob: true, metadata: { k: 'v' } })
  await log.write('one\n')
  await log.close()
  const more = await fs.open('box/log', 'a')
  t.equal(more.size, 4)
  await more.write('two\n')
  t.match(await more.close(), { size: 8, name: 'box/log' })

  t.equal(await typeOf('log'), 'AppendBlob')
  t.equal(await fs.readText('box/log'), 'one\ntwo\n')
  t.strictSame(await fs.getMetadata('box/log'), { k: 'v' })
  const plain = await fs.open('box/plain', 'a')
  await plain.close()
  t.equal(await typeOf('plain'), 'BlockBlob')
})

t.test('an append sends what is new and reads nothing of the blob', async (t) => {
  const { fs, store } = await setUp()
  const made = await fs.open('box/log', 'a', { appendBlob: true })
  await made.write(new Uint8Array(3 * blockBytes + 10).fill(1))
  await made.close()
  store.take()
  const file = await fs.open('box/log', 'a')
  await file.write('tail')
  await file.close()

  const requests = store.take()
  t.equal(requests.filter((request) => request.startsWith('get ')).length, 0)
  t.equal(requests.filter((request) => request.startsWith('appendBlock')).length, 1)
  t.equal(await fs.size('box/log'), 3 * blockBytes + 14)
})

t.test('whole blocks are seen before the end; an abort takes back what was not sent', async (t) => {
  const { fs } = await setUp()
  const file = await fs.open('box/log', 'a', { appendBlob: true })
  await file.write(new Uint8Array(blockBytes + 1))
  t.equal(await fs.size('box/log', { refresh: true }), blockBytes)
  await file.abort()

  t.equal(await fs.size('box/log', { refresh: true }), blockBytes)
})

t.test('two that append lose nothing of each other: the second is told', async (t) => {
  const { fs } = await setUp()
  await (await fs.open('box/log', 'a', { appendBlob: true })).close()
  const [first, second] = [await fs.open('box/log', 'a'), await fs.open('box/log', 'a')]
  await first.write('first')
  await second.write('second')
  await first.close()

  await t.rejects(second.close(), { code: 'ESTALE' })
  t.equal(await fs.readText('box/log'), 'first')
  await t.rejects(fs.open('box/log', 'a', { ifMatch: '"0x0"' }), { code: 'ESTALE' })
})

t.test('r+ adds to an append blob and changes nothing of it', async (t) => {
  const { fs, typeOf } = await setUp()
  const made = await fs.open('box/log', 'a', { appendBlob: true })
  await made.write('head ')
  await made.close()
  const file = await fs.open('box/log', 'r+')
  await t.rejects(file.writeAt(4, 'x'), { code: 'ENOTSUP', message: /only grows/ })
  const added = await fs.open('box/log', 'r+')
  await added.writeAt(7, new Uint8Array(2 * blockBytes).fill(120))
  await added.flush()
  await t.rejects(
    fs.open('box/log', 'r+').then((again) => again.truncate(0)),
    { code: 'ENOTSUP' },
  )
  await added.writeAt(added.size, 'end')
  await added.close()

  const text = await fs.readText('box/log')
  t.equal(text, `head \0\0${'x'.repeat(2 * blockBytes)}end`)
  t.equal(await typeOf('log'), 'AppendBlob')
})

t.test('nothing replaces an append blob, which is said at once; it stays', async (t) => {
  const { fs, store, memory, typeOf } = await setUp()
  const made = await fs.open('box/log', 'a', { appendBlob: true })
  await made.write('old')
  await made.close()
  await fs.writeText('box/text', 'text')
  const { etag } = await memory.head({ container: 'box', name: 'log' })
  const local = join(t.testdir({ file: 'local' }), 'file')
  store.take()

  const why =
    /an append blob is there, and Azure changes no blob's type: remove it first, or append/
  const refusal = {
    code: 'EINVAL',
    serviceCode: 'InvalidBlobType',
    path: 'abfs://box/log',
    message: why,
  }
  await t.rejects(fs.pipeFile('box/log', new Uint8Array(3 * MiB)), refusal)
  await t.rejects(fs.writeText('box/log', 'new'), refusal)
  await t.rejects(fs.touch('box/log'), refusal)
  await t.rejects(fs.open('box/log', 'w'), refusal)
  await t.rejects(fs.putFile(local, 'box/log'), refusal)
  await t.rejects(fs.pipe({ 'box/log': 'new' }), { code: 'EINVAL' })
  await t.rejects(
    fs.update('box/log', () => new Uint8Array(1)),
    refusal,
  )
  t.strictSame(new Set(store.take().map((line) => line.split(' ')[0])), new Set(['head', 'get']))
  const atService = { code: 'EINVAL', serviceCode: 'InvalidBlobType' }
  await t.rejects(fs.cp('box/text', 'box/log'), atService)
  await t.rejects(fs.mv('box/text', 'box/log'), atService)
  await t.rejects(fs.put(local, 'box/log'), atService)
  await t.rejects(fs.pipeFile('box/log', 'x', { mode: 'create' }), { code: 'EEXIST' })
  await t.rejects(fs.open('box/log', 'x'), { code: 'EEXIST' })
  t.equal(await fs.readText('box/text'), 'text', 'also what was to be moved')
  t.match(await memory.head({ container: 'box', name: 'log' }), { etag, blobType: 'AppendBlob' })

  await fs.rm('box/log')
  await fs.writeText('box/log', 'new')
  t.equal(await typeOf('log'), 'BlockBlob')
})

t.test('a listing that is out of date refuses nothing', async (t) => {
  const { fs, memory } = await setUp()
  await (await fs.open('box/log', 'a', { appendBlob: true })).close()
  await fs.ls('box')
  await memory.delete({ container: 'box', name: 'log' })
  await memory.put({ container: 'box', name: 'log' }, new Uint8Array(1))

  await fs.writeText('box/log', 'new')
  t.equal(await fs.readText('box/log'), 'new')
})

t.test('a page blob is read, copied and removed, and neither written nor edited', async (t) => {
  const { box, fs } = await faultyAccount(t)
  const disk = box.getPageBlobClient('disk')
  await disk.create(512)
  await disk.uploadPages(Buffer.alloc(512, 'p'), 0, 512)
  const { etag } = await disk.getProperties()

  const refusal = { code: 'EINVAL', message: /a page blob is there, .* take another name/ }
  await t.rejects(fs.writeText('box/disk', 'new'), refusal)
  for (const mode of ['w', 'a', 'r+'] as const) {
    await t.rejects(fs.openAs('box/disk', mode), refusal, mode)
  }
  t.equal((await disk.getProperties()).etag, etag)
  await fs.cp('box/disk', 'box/copy')
  t.equal((await box.getPageBlobClient('copy').getProperties()).blobType, 'PageBlob')
  await fs.rm('box/disk')
  await fs.writeText('box/disk', 'new')
  t.equal(await fs.readText('box/disk'), 'new')
})

t.test('on a hierarchical account an append blob is replaced, by a rename', async (t) => {
  const { store, hierarchyOf } = await hierarchicalServer(t)
  await store.createContainer('box')
  const fs = new AzureBlobFileSystem({ store, hierarchyOf, blockBytes })
  const long = new Uint8Array(3 * MiB).fill(120)
  for (const [name, data] of [
    ['small', new Uint8Array(5)],
    ['long', long],
    ['empty', new Uint8Array()],
  ] as const) {
    await (await fs.open(`box/${name}`, 'a', { appendBlob: true })).close()
    await fs.pipeFile(`box/${name}`, data, { metadata: { k: 'v' } })
    t.strictSame(await fs.getMetadata(`box/${name}`), { k: 'v' })
    t.equal(Buffer.compare(await fs.readBytes(`box/${name}`), data), 0)
    t.equal((await store.head({ container: 'box', name })).blobType, 'BlockBlob')
  }
  for (const name of ['copied', 'moved']) {
    await (await fs.open(`box/${name}`, 'a', { appendBlob: true })).close()
  }
  await fs.cp('box/small', 'box/copied')
  await fs.mv('box/copied', 'box/moved')
  t.strictSame(await fs.readBytes('box/moved'), new Uint8Array(5))
  t.strictSame(await fs.getMetadata('box/moved'), { k: 'v' })
  const names = (await fs.ls('box')).map(({ name }) => name)
  t.strictSame(names, ['box/empty', 'box/long', 'box/moved', 'box/small'])
  const old = { container: 'box', name: 'guarded' }
  await store.put(old, new Uint8Array(), { appendable: true })
  await t.rejects(store.put(old, new Uint8Array(1), { ifMatch: '"0x1"' }), { code: 'ESTALE' })
  t.equal((await store.head(old)).blobType, 'AppendBlob')
})

t.test('an append whose answer was lost is known by its bytes', async (t) => {
  const path = { container: 'con', name: 'log' }
  const stale = azureError(412, 'AppendPositionConditionNotMet')
  const found = (body: string) =>
    answer(206, body, { etag: '"0x2"', 'content-range': `bytes 4-${3 + body.length}/20` })
  const store = async (...steps: Parameters<typeof startFaultServer>[1][]) => {
    const server = await startFaultServer(t, ...steps)
    const provider = { getCredential: async () => testBearer('token', 1) }
    const clock = { nowMs: () => 0, sleep: async () => {} }
    const made = azureStore({
      account: 'acc',
      endpoint: new URL('/acc', server.url),
      provider,
      clock,
    })
    t.teardown(made.close)
    return made.store
  }
  const append = { position: 4 }

  const own = await store(hangUp, stale, found('mine'))
  t.match(await own.appendBlock(path, Buffer.from('mine'), append), {
    etag: '"0x2"',
    sizeBytes: 20,
  })
  const other = await store(hangUp, stale, found('your'))
  await t.rejects(other.appendBlock(path, Buffer.from('mine'), append), { code: 'ESTALE' })
  const atOnce = await store(stale, found('mine'))
  await t.rejects(atOnce.appendBlock(path, Buffer.from('mine'), append), { code: 'ESTALE' })
})
