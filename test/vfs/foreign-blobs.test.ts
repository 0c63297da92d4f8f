import { createHash, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { ContainerClient } from '@azure/storage-blob'
import t, { type Test } from 'tap'
import { KiB } from '../../src/byte-range.ts'
import { faultyAccount } from '../support/faulty-account.ts'
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

t.test(
  'append blobs and page blobs are read, and replaced as a whole when they are edited',
  async (t) => {
    const { container, mount } = await prepare(t)
    const log = container.getAppendBlobClient('log')
    await log.create()
    await log.appendBlock('one\ntwo\n', 8)
    const disk = container.getPageBlobClient('disk')
    await disk.create(1024)
    await disk.uploadPages(Buffer.alloc(512, 'p'), 512, 512)
    const drive = await mount()

    t.equal(await drive.load('log'), 'one\ntwo\n')
    const page = await drive.load('disk')
    t.equal(page, `${'\0'.repeat(512)}${'p'.repeat(512)}`)
    await edit(drive, 'log', 8, 'three\n')
    t.equal((await log.downloadToBuffer()).toString(), 'one\ntwo\nthree\n')
    t.equal((await log.getProperties()).blobType, 'BlockBlob')
    await edit(drive, 'disk', 0, 'boot')
    t.equal((await disk.downloadToBuffer()).toString(), `boot${page.slice(4)}`)
  },
)

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
  await t.rejects(drive.load('archived'), { code: 'EACCES', message: /archived.*rehydrate/ })
  await t.rejects(edit(drive, 'archived', 0, 'warm'), { code: 'EACCES' })
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
