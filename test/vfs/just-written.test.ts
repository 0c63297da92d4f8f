/** What this mount has written itself it need not ask for. */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import t from 'tap'
import { MiB } from '../../src/byte-range.ts'
import { ChunkCache } from '../../src/transfer/chunk-cache.ts'
import { MemoryBudget } from '../../src/transfer/memory-budget.ts'
import { caller, listingTtlMs, VfsMount } from '../support/vfs-mount.ts'

t.test('a small file that was written is read, looked at and dated without asking', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.mkdir('d')
  await mount.save('d/f', 'content')
  const ino = await mount.ino('d/f')
  mount.requests()

  t.equal(await mount.load('d/f'), 'content')
  t.equal((await mount.stat('d/f')).sizeBytes, 7)
  t.strictSame(mount.requests(), [])

  await mount.vfs.setattr(ino, { mtimeNs: 5n }, caller)
  t.strictSame(mount.requests(), ['setMetadata'], 'the change is stored, and nothing is asked')

  t.equal(await mount.load('d/f'), 'content', 'under the etag that the change made, too')
  t.equal((await mount.stat('d/f')).mtimeNs, 5n)
  t.strictSame(mount.requests(), [])
})

t.test('what others write in its place shows as with any listing', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.mkdir('d')
  await mount.save('d/f', 'ours')
  await mount.storeElsewhere('d/f', 'theirs')

  await mount.clock.advance(listingTtlMs - 1)
  t.equal(await mount.load('d/f'), 'ours', 'the listing is believed for its lifetime')
  await mount.clock.advance(2)
  t.equal(await mount.load('d/f'), 'theirs')
})

t.test(
  'where no listing is believed the version is asked for, and its bytes only when it is another',
  async (t) => {
    const mount = await VfsMount.make(t)
    await mount.save('f', 'ours')
    await mount.clock.advance(listingTtlMs + 1)
    mount.requests()

    t.equal(await mount.load('f'), 'ours')
    t.notOk(mount.requests().includes('get'))

    await mount.storeElsewhere('f', 'theirs')
    await mount.clock.advance(listingTtlMs + 1)
    t.equal(await mount.load('f'), 'theirs')
    t.ok(mount.requests().includes('get'))
  },
)

t.test('who opens it for writing gets what others have written, at once', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.mkdir('d')
  await mount.save('d/f', 'ours')
  await mount.storeElsewhere('d/f', 'theirs')

  const handle = await mount.open('d/f', constants.O_RDWR)
  t.equal((await mount.read(handle)).toString(), 'theirs')
  await mount.write(handle, 0, 'T')
  await mount.close(handle)

  t.equal(await mount.stored('d/f'), 'Theirs')
})

t.test('each version that is stored is read as what it is', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.mkdir('d')
  for (const text of ['one', 'other', '', 'last one']) {
    await mount.save('d/f', text)
    t.equal(await mount.load('d/f'), text)
    t.equal(await mount.stored('d/f'), text)
  }
})

t.test(
  'a file that was written beside another and renamed over it is read without asking',
  async (t) => {
    const mount = await VfsMount.make(t)
    await mount.mkdir('d')
    await mount.save('d/f', 'before')
    await mount.save('d/f.lock', 'after')
    await mount.load('d/f')
    await mount.rename('d/f.lock', 'd/f')
    mount.requests()

    t.equal(await mount.load('d/f'), 'after')
    t.strictSame(mount.requests(), [])
    t.equal(await mount.stored('d/f'), 'after')
  },
)

t.test('the pages of a file stay the kernel’s when it is renamed', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.mkdir('d')
  await mount.save('d/a', 'content')
  const ino = await mount.ino('d/a')
  await mount.rename('d/a', 'd/b')

  const opened = await mount.vfs.open(ino, constants.O_RDONLY, caller)

  t.equal(opened.keepCache, true)
  await mount.vfs.release(opened.handle, caller)
})

t.test('what is renamed in a version that others wrote is not taken for ours', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.mkdir('d')
  await mount.save('d/a', 'ours')
  const ino = await mount.ino('d/a')
  await mount.storeElsewhere('d/a', 'theirs')
  await mount.rename('d/a', 'd/b')

  await t.rejects(mount.vfs.open(ino, constants.O_RDONLY, caller), { code: 'ESTALE' })
  const opened = await mount.vfs.open(await mount.ino('d/b'), constants.O_RDONLY, caller)
  t.equal(opened.keepCache, false)
  t.equal((await mount.read(opened.handle)).toString(), 'theirs')
  await mount.vfs.release(opened.handle, caller)
})

t.test('long files are not kept, and none where memory is short', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.mkdir('d')
  const long = randomBytes(MiB + 1)
  await mount.save('d/long', long)
  mount.requests()
  await mount.load('d/long')
  t.ok(mount.requests().includes('get'))

  const memory = new MemoryBudget({ maxBytes: 100 })
  const short = await VfsMount.make(t, { chunkCache: new ChunkCache({ memory }) })
  await short.mkdir('d')
  const held = memory.tryClaim(95)
  await short.save('d/f', 'content')
  held?.release()
  short.requests()
  t.equal(await short.load('d/f'), 'content')
  t.ok(short.requests().includes('get'))
  t.equal(memory.heldBytes, 7, 'what is kept is counted')
})
