import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import t from 'tap'
import { KiB } from '../../src/byte-range.ts'
import { FileSystemError } from '../../src/errors.ts'
import type { HandleId } from '../../src/vfs/operations.ts'
import { caller, type Teardown, VfsMount } from '../support/vfs-mount.ts'

const path = { container: 'box', name: 'f' }
const blockBytes = 64 * KiB

async function mountOf(t: Teardown): Promise<VfsMount> {
  const mount = await VfsMount.make(t, { blockBytes })
  mount.before('stageBlockFrom', () => {
    throw new FileSystemError('ENOTSUP', 'blob.stageBlockFrom')
  })
  return mount
}

async function truncate(mount: VfsMount, handle: HandleId, sizeBytes: number): Promise<void> {
  await mount.vfs.setattr(await mount.ino('f'), { handle, sizeBytes }, caller)
}

function sent(mount: VfsMount): number[] {
  const staged = mount.counting.requests.filter(({ verb }) => verb === 'stageBlock')
  return staged.map(({ sentBytes = 0 }) => sentBytes)
}

async function stored(mount: VfsMount): Promise<Buffer> {
  return Buffer.from((await mount.account.get(path)).data)
}

t.test('of a file of zeros one block is sent, and one of another size for its end', async (t) => {
  const mount = await mountOf(t)
  const handle = await mount.create('f')
  await truncate(mount, handle, 100 * blockBytes + 1)
  await mount.close(handle)

  t.strictSame(sent(mount), [blockBytes, 1])
  t.ok((await stored(mount)).equals(Buffer.alloc(100 * blockBytes + 1)))
  const { blocks } = await mount.account.getBlocks(path)
  t.equal(blocks.length, 101)
  t.equal(new Set(blocks.map(({ id }) => id)).size, 2)
})

t.test('an edit among zeros sends the block that it is in, and the others stay', async (t) => {
  const mount = await mountOf(t)
  const handle = await mount.create('f')
  await truncate(mount, handle, 10 * blockBytes)
  await mount.vfs.fsync(handle, false, caller)
  const before = (await mount.account.getBlocks(path)).blocks
  mount.counting.take()

  await mount.write(handle, 4 * blockBytes + 7, 'here')
  await mount.vfs.fsync(handle, false, caller)
  t.strictSame(sent(mount), [blockBytes])
  await mount.write(handle, 6 * blockBytes, 'there')
  await mount.close(handle)

  const expected = Buffer.alloc(10 * blockBytes)
  expected.write('here', 4 * blockBytes + 7)
  expected.write('there', 6 * blockBytes)
  t.ok((await stored(mount)).equals(expected))
  const after = (await mount.account.getBlocks(path)).blocks
  const kept = after.filter(({ id }) => id === before[0]?.id)
  t.equal(kept.length, 8)
})

t.test('zeros that were punched are sent once, zeros that were written as often', async (t) => {
  const mount = await mountOf(t)
  const bytes = randomBytes(10 * blockBytes)
  await mount.save('f', bytes)
  const handle = await mount.open('f', constants.O_RDWR)
  mount.counting.take()
  const range = { start: blockBytes, end: 9 * blockBytes }
  await mount.vfs.fallocate(handle, { range, zero: true, keepSize: true }, caller)
  await mount.write(handle, 4 * blockBytes, Buffer.alloc(blockBytes))
  await mount.close(handle)

  t.strictSame(sent(mount), [blockBytes, blockBytes])
  t.ok((await stored(mount)).equals(bytes.fill(0, range.start, range.end)))
})

t.test('after a failure zeros are sent anew: their block may be gone', async (t) => {
  const mount = await mountOf(t)
  const handle = await mount.create('f')
  await truncate(mount, handle, 4 * blockBytes)
  const failure = new FileSystemError('EIO', 'blob.commitBlocks', { retryable: true })
  mount.before('commitBlocks', () => Promise.reject(failure))
  await t.rejects(mount.vfs.fsync(handle, false, caller), { code: 'EIO' })
  t.strictSame(sent(mount), [blockBytes])
  mount.before('commitBlocks', () => undefined)

  await mount.write(handle, 0, 'data')
  await mount.close(handle)

  t.strictSame(sent(mount), [blockBytes, blockBytes, blockBytes])
  const expected = Buffer.alloc(4 * blockBytes)
  expected.write('data', 0)
  t.ok((await stored(mount)).equals(expected))
})
