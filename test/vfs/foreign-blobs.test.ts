import { createHash, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { ContainerClient } from '@azure/storage-blob'
import t, { type Test } from 'tap'
import { KiB } from '../../src/byte-range.ts'
import { Namespace } from '../../src/namespace/namespace.ts'
import { type FaultEvent, faultChannel } from '../../src/telemetry.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { faultyAccount } from '../support/faulty-account.ts'
import { hierarchicalServer } from '../support/hierarchical-server.ts'
import { caller, VfsMount } from '../support/vfs-mount.ts'

// Blobs that other programs made, by Microsoft's own client, as the drive shows them.

async function prepare(t: Test): Promise<{
  readonly container: ContainerClient
  readonly mount: () => Promise<VfsMount>
}> {
  const { box: container, store: account } = await faultyAccount(t)
  return { container, mount: () => VfsMount.make(t, { account }) }
}

async function edit(mount: VfsMount, path: string, at: number, text: string): Promise<void> {
  const handle = await mount.open(path, constants.O_RDWR)
  try {
    await mount.write(handle, at, text)
    await mount.vfs.flush(handle, caller)
  } finally {
    await mount.vfs.release(handle, caller)
  }
}

const { O_WRONLY } = constants

/** Blobs of the two types that Azure changes into no other, a page in the second. */
async function makeOddBlobs(container: ContainerClient) {
  const log = container.getAppendBlobClient('log')
  await log.create()
  await log.appendBlock('one\ntwo\n', 8)
  const disk = container.getPageBlobClient('disk')
  await disk.create(1024)
  await disk.uploadPages(Buffer.alloc(512, 'p'), 512, 512)
  return { log, disk }
}

const diskContent = `${'\0'.repeat(512)}${'p'.repeat(512)}`

function faultsOf(t: Test): FaultEvent[] {
  const faults: FaultEvent[] = []
  const note = (fault: unknown) => faults.push(fault as FaultEvent)
  faultChannel.subscribe(note)
  t.teardown(() => faultChannel.unsubscribe(note))
  return faults
}

t.test(
  'append blobs and page blobs are read, and refused to whoever would replace or edit them',
  async (t) => {
    const { container, mount } = await prepare(t)
    const { log, disk } = await makeOddBlobs(container)
    await container.getBlockBlobClient('text').upload('text', 4)
    const drive = await mount()
    const faults = faultsOf(t)
    const etags = async () => [(await log.getProperties()).etag, (await disk.getProperties()).etag]
    const before = await etags()
    const unborn = await drive.create('unborn')
    await drive.write(unborn, 0, 'new')

    const refused = { code: 'EPERM', serviceCode: 'InvalidBlobType' }
    for (const name of ['log', 'disk']) {
      const ino = await drive.ino(name)
      const { O_RDONLY, O_RDWR, O_TRUNC, O_APPEND } = constants
      drive.requests()
      for (const flags of [O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_WRONLY | O_APPEND]) {
        await t.rejects(drive.open(name, flags), refused, `${name} ${flags}`)
      }
      await t.rejects(drive.create(name, O_WRONLY | O_TRUNC), refused, `${name} created anew`)
      await t.rejects(drive.vfs.setattr(ino, { sizeBytes: 0 }, caller), refused)
      await t.rejects(drive.rename('text', name), refused)
      await t.rejects(drive.rename('unborn', name), refused)
      await t.rejects(drive.rename(name, 'text'), refused)
      t.ok(drive.requests().every((verb) => ['head', 'listPage'].includes(verb)))
    }
    await t.rejects(drive.rename('log', 'disk'), refused)
    t.match(faults[0], {
      operation: 'open',
      path: 'abfs://box/log',
      error: { message: /an append blob is there, .* changes no blob's type: remove it first/ },
    })
    t.match(faults.at(-1), { operation: 'rename', error: { message: /a page blob is there/ } })

    await drive.close(unborn)
    t.strictSame(await etags(), before)
    t.equal(await drive.load('log'), 'one\ntwo\n')
    t.equal(await drive.load('disk'), diskContent)
    t.equal(await drive.load('text'), 'text')
    t.equal(await drive.load('unborn'), 'new')
  },
)

t.test('append blobs and page blobs get attributes and names, and go', async (t) => {
  const { container, mount } = await prepare(t)
  const { log, disk } = await makeOddBlobs(container)
  const drive = await mount()

  for (const { name } of [log, disk]) {
    const ino = await drive.ino(name)
    await drive.vfs.setattr(ino, { mode: 0o600, mtimeNs: 5_000_000_000n }, caller)
    t.match(await drive.stat(name), { mode: constants.S_IFREG | 0o600, mtimeNs: 5_000_000_000n })
    await drive.rename(name, `moved-${name}`)
    await drive.save(name, 'in its place')
  }
  t.equal(await drive.load('moved-log'), 'one\ntwo\n')
  t.equal(await drive.load('moved-disk'), diskContent)
  const movedLog = container.getAppendBlobClient('moved-log')
  await movedLog.appendBlock('three\n', 6)
  t.equal((await container.getPageBlobClient('moved-disk').getProperties()).blobType, 'PageBlob')

  await container.getAppendBlobClient('other').create()
  await drive.rename('moved-log', 'other')
  t.equal(await drive.load('other'), 'one\ntwo\nthree\n', 'one of its type is replaced')
  for (const name of ['other', 'moved-disk']) {
    await drive.unlink(name)
    await drive.save(name, 'a new file')
    t.equal((await container.getBlobClient(name).getProperties()).blobType, 'BlockBlob')
  }
})

t.test('what a listing said of the type is asked again before anything is refused', async (t) => {
  const { container, mount } = await prepare(t)
  const { log } = await makeOddBlobs(container)
  await container.getBlockBlobClient('text').upload('text', 4)
  const drive = await mount()
  t.strictSame(await drive.list(''), ['disk', 'log', 'text'])
  await log.delete()
  await container.getBlockBlobClient('log').upload('block', 5)

  await drive.rename('text', 'log')
  t.equal(await drive.load('log'), 'text')
})

t.test('on a hierarchical account an edit replaces append blobs, by a rename', async (t) => {
  const { store, hierarchyOf } = await hierarchicalServer(t)
  await store.createContainer('box')
  const path = (name: string) => ({ container: 'box', name })
  const long = randomBytes(200 * KiB)
  for (const name of ['small', 'long', 'under']) {
    await store.put(path(name), new Uint8Array(), { appendable: true })
    const content = name === 'long' ? long : Buffer.from('one\n')
    await store.appendBlock(path(name), content, { position: 0 })
  }
  const clock = new FakeClock()
  const namespace = new Namespace({ store, hierarchyOf, clock })
  const options = { account: store, namespace, clock, blockBytes: 64 * KiB }
  const drive = await VfsMount.make(t, options)

  await edit(drive, 'small', 4, 'two\n')
  await edit(drive, 'long', 100_000, 'edited')
  await drive.save('text', 'text')
  await drive.rename('text', 'under')

  long.write('edited', 100_000)
  t.equal(await drive.load('small'), 'one\ntwo\n')
  t.ok(long.equals((await store.get(path('long'))).data))
  t.equal(await drive.load('under'), 'text')
  for (const name of ['small', 'long', 'under']) {
    t.equal((await store.head(path(name))).blobType, 'BlockBlob', name)
  }
  t.strictSame(await drive.list(''), ['long', 'small', 'under'], 'nothing is left beside them')
})

t.test('a conflict with a blob of another type keeps both, whoever is to win', async (t) => {
  const { box: container, store: account } = await faultyAccount(t)
  const drive = await VfsMount.make(t, { account, onConflict: 'ours' })
  await drive.save('file', 'first')
  const handle = await drive.open('file', O_WRONLY)
  await drive.write(handle, 0, 'mine!')
  await container.getBlobClient('file').delete()
  const theirs = container.getAppendBlobClient('file')
  await theirs.create()
  await theirs.appendBlock('theirs', 6)

  await t.rejects(drive.close(handle), { code: 'ESTALE', message: /is kept in/ })
  t.equal((await theirs.downloadToBuffer()).toString(), 'theirs')
  t.equal(drive.vfs.unsaved.length, 1)
})

t.test('a blob that says it is compressed has its bytes as they are stored', async (t) => {
  const { container, mount } = await prepare(t)
  const body = gzipSync('text that is compressed')
  const headers = { blobContentEncoding: 'gzip', blobContentType: 'text/plain' }
  const blob = container.getBlockBlobClient('page.txt')
  await blob.upload(body, body.length, { blobHTTPHeaders: headers })
  const drive = await mount()

  const handle = await drive.open('page.txt')
  const bytes = await drive.read(handle)
  t.equal(gunzipSync(bytes).toString(), 'text that is compressed')
  t.equal((await drive.stat('page.txt')).sizeBytes, body.length)
  await drive.close(handle)
  await edit(drive, 'page.txt', body.length, 'trailing')
  t.equal((await blob.getProperties()).contentEncoding, 'gzip', 'which is kept')
})

t.test('what somebody has leased is read, and neither changed nor removed', async (t) => {
  const { container, mount } = await prepare(t)
  const blob = container.getBlockBlobClient('leased')
  await blob.upload('theirs', 6)
  await blob.getBlobLeaseClient().acquireLease(-1)
  const drive = await mount()

  t.equal(await drive.load('leased'), 'theirs')
  await t.rejects(edit(drive, 'leased', 0, 'ours'), { code: 'EBUSY' })
  await t.rejects(drive.unlink('leased'), { code: 'EBUSY' })
  await t.rejects(drive.rename('leased', 'ours'), { code: 'EBUSY' })
  const mode = { mode: 0o600 }
  const ino = await drive.ino('leased')
  await t.rejects(drive.vfs.setattr(ino, mode, caller), { code: 'EBUSY' })
  t.equal((await blob.downloadToBuffer()).toString(), 'theirs')
})

t.test('what is archived is seen, and not read or edited', async (t) => {
  const { container, mount } = await prepare(t)
  const blob = container.getBlockBlobClient('archived')
  await blob.upload('cold', 4, { tier: 'Archive' })
  const drive = await mount()

  t.equal((await drive.stat('archived')).sizeBytes, 4)
  await t.rejects(drive.load('archived'), {
    code: 'EREMOTEIO',
    errno: -121,
    message: /archived.*rehydrate/,
  })
  await t.rejects(edit(drive, 'archived', 0, 'warm'), { code: 'EREMOTEIO' })
  await drive.unlink('archived')
  t.strictSame(await drive.list(''), [])
})

const nameable = [
  'trailing.',
  '50% off#1?.txt',
  'ünïcödé 漢字 🚀',
  'a+b&c=d;e,f',
  'quote\'and"double',
  ' leading and trailing ',
  '...',
  'C:drive',
]

t.test('names that look odd are shown, read, edited and moved as they are', async (t) => {
  const { container, mount } = await prepare(t)
  for (const name of nameable) await container.getBlockBlobClient(name).upload('x', 1)
  const drive = await mount()

  t.strictSame(await drive.list(''), [...nameable].sort())
  for (const name of nameable) {
    t.equal(await drive.load(name), 'x', name)
    await edit(drive, name, 1, 'y')
    t.equal((await container.getBlobClient(name).downloadToBuffer()).toString(), 'xy', name)
    await drive.rename(name, `moved ${name}`)
  }
  t.strictSame(await drive.list(''), nameable.map((name) => `moved ${name}`).sort())
})

t.test('names that cannot be paths hide nothing else', async (t) => {
  const { container, mount } = await prepare(t)
  for (const name of ['a//b', '/rooted', 'd//e', 'd/ok', 'plain']) {
    await container.getBlockBlobClient(name).upload('x', 1)
  }
  const drive = await mount()

  t.strictSame(await drive.list(''), ['a', 'd', 'plain'])
  t.strictSame(await drive.list('d'), ['ok'])
  t.strictSame(await drive.list('a'), [], 'what lies below an empty name is not reached')
  await drive.unlink('d/ok')
  for (const name of ['a', 'd']) {
    await t.rejects(drive.vfs.rmdir(...(await drive.split(name)), caller), { code: 'ENOTEMPTY' })
  }
  t.ok(await container.getBlobClient('a//b').exists(), 'and stays')
})

t.test('markers of both kinds, and a file beside a directory of its name', async (t) => {
  const { container, mount } = await prepare(t)
  const folder = { metadata: { hdi_isfolder: 'true' } }
  await container.getBlockBlobClient('both').upload('', 0, folder)
  await container.getBlockBlobClient('both/').upload('', 0)
  await container.getBlockBlobClient('slash/').upload('', 0)
  await container.getBlockBlobClient('twin').upload('file', 4)
  await container.getBlockBlobClient('twin/inner').upload('x', 1)
  const drive = await mount()

  t.strictSame(await drive.list(''), ['both', 'slash', 'twin'])
  const { S_IFDIR, S_IFMT } = constants
  for (const name of ['both', 'slash', 'twin']) {
    t.equal((await drive.stat(name)).mode & S_IFMT, S_IFDIR, `${name} is a directory`)
  }
  const remove = async (path: string) => drive.vfs.rmdir(...(await drive.split(path)), caller)
  await t.rejects(remove('twin'), { code: 'ENOTEMPTY' })
  await drive.unlink('twin/inner')
  for (const name of ['both', 'slash', 'twin']) await remove(name)
  const left: string[] = []
  for await (const { name } of container.listBlobsFlat()) left.push(name)
  t.strictSame(left, ['twin'], 'the file that the directory hid')
})

t.test('blocks of any sizes are edited without being fetched', async (t) => {
  const { container, mount } = await prepare(t)
  const blob = container.getBlockBlobClient('odd')
  const sizes = [1, 4097, 300_001, 7, 9_000_000, 64 * KiB, 3]
  const bytes = randomBytes(sizes.reduce((sum, size) => sum + size, 0))
  const ids: string[] = []
  let at = 0
  for (const [index, size] of sizes.entries()) {
    const id = Buffer.from(`block-${index}`).toString('base64')
    await blob.stageBlock(id, bytes.subarray(at, at + size), size)
    ids.push(id)
    at += size
  }
  await blob.commitBlockList(ids)
  const drive = await mount()

  for (const offset of [0, 4098, 5_000_000, bytes.length - 2]) {
    await edit(drive, 'odd', offset, 'eD')
    bytes.set(Buffer.from('eD'), offset)
  }

  const hash = (data: Buffer) => createHash('sha256').update(data).digest('hex')
  t.equal(hash(await blob.downloadToBuffer()), hash(bytes))
})

t.test('snapshots outlive edits, and go when the file is removed', async (t) => {
  const { container, mount } = await prepare(t)
  const blob = container.getBlockBlobClient('kept')
  await blob.upload('one', 3)
  const { snapshot = '' } = await blob.createSnapshot()
  const drive = await mount()

  t.strictSame(await drive.list(''), ['kept'], 'a snapshot is no file')
  await edit(drive, 'kept', 0, 'two')
  t.equal((await blob.withSnapshot(snapshot).downloadToBuffer()).toString(), 'one')
  t.equal((await blob.downloadToBuffer()).toString(), 'two')
  await drive.unlink('kept')
  t.notOk(await blob.withSnapshot(snapshot).exists())
})

t.test(
  'blocks that somebody has staged and not committed are no file, and no obstacle',
  async (t) => {
    const { container, mount } = await prepare(t)
    const blob = container.getBlockBlobClient('half')
    await blob.stageBlock(Buffer.from('1').toString('base64'), 'part', 4)
    const drive = await mount()

    t.strictSame(await drive.list(''), [])
    await t.rejects(drive.open('half', O_WRONLY), { code: 'ENOENT' })
    await drive.save('half', 'whole')
    t.equal((await blob.downloadToBuffer()).toString(), 'whole')
  },
)

t.test(
  'blocks that dead writers left are in the way of no file that is written whole',
  async (t) => {
    const settings = { maxStagedBlocks: 20 }
    const { box: container, store: account } = await faultyAccount(t, { settings })
    const drive = await VfsMount.make(t, { account, blockBytes: 64 * KiB })
    const content = randomBytes(300 * KiB)
    for (const name of ['old', 'new']) {
      const blob = container.getBlockBlobClient(name)
      if (name === 'old') await blob.upload('before', 6, { tags: { a: 'b' } })
      for (let index = 0; index < 20; index++) {
        await blob.stageBlock(Buffer.alloc(16, `dead${index}`).toString('base64'), 'x', 1)
      }
      await drive.save(name, content)
      t.ok(content.equals(await blob.downloadToBuffer()), name)
      const { blobItems = [] } = (await container.listBlobsFlat().byPage().next()).value.segment
      t.equal(blobItems.length, name === 'old' ? 1 : 2, 'nobody is in conflict')
    }
  },
)
