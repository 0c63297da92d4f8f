import { randomBytes } from 'node:crypto'
import { constants, readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { KiB } from '../../src/byte-range.ts'
import { FileSystemError } from '../../src/errors.ts'
import type { HandleId } from '../../src/vfs/operations.ts'
import { type MountOptions, VfsMount } from '../support/vfs-mount.ts'

// The spool's disk takes so many bytes and no more: what it does not take goes to Azure by way of memory.

const blockBytes = 64 * KiB
/** What the kernel writes at a time, here. */
const pieceBytes = 16 * KiB

class SmallDisk {
  readonly #room: number
  readonly #code: string
  #bytes = Buffer.alloc(0)

  constructor(room: number, code = 'ENOSPC') {
    this.#room = room
    this.#code = code
  }

  async read(into: Uint8Array, offset: number, length: number, position: number) {
    if (position >= this.#bytes.length) return { bytesRead: 0 }
    const bytesRead = this.#bytes.copy(into, offset, position, position + length)
    return { bytesRead }
  }

  /** As a disk does: part of it, then the error. */
  async write(from: Uint8Array, offset: number, length: number, position: number) {
    const end = Math.min(position + length, this.#room)
    if (end <= position) throw Object.assign(new Error(this.#code), { code: this.#code })
    if (end > this.#bytes.length) {
      this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(end - this.#bytes.length)])
    }
    this.#bytes.set(from.subarray(offset, offset + end - position), position)
    return { bytesWritten: end - position }
  }

  async truncate(sizeBytes: number): Promise<void> {
    this.#bytes = Buffer.from(this.#bytes.subarray(0, sizeBytes))
  }

  async close(): Promise<void> {}
}

function fullAt(t: Test, room: number, options: MountOptions & { code?: string } = {}) {
  const { code, ...more } = options
  return VfsMount.make(t, {
    blockBytes,
    spoolMemoryBytes: 32 * KiB,
    spoolOverflowBytes: 8 * blockBytes,
    openSpoolFile: async () => new SmallDisk(room, code),
    ...more,
  })
}

async function writeAll(mount: VfsMount, handle: HandleId, data: Buffer): Promise<void> {
  for (let at = 0; at < data.length; at += pieceBytes) {
    await mount.write(handle, at, data.subarray(at, at + pieceBytes))
  }
}

async function bytesOf(mount: VfsMount, name: string): Promise<Buffer> {
  return Buffer.from((await mount.account.get({ container: 'box', name })).data)
}

const sequential = randomBytes(40 * blockBytes + 777)

for (const code of ['ENOSPC', 'EDQUOT', 'EIO', 'EROFS']) {
  for (const room of [0, 3 * blockBytes + 5000]) {
    t.test(
      `a file is written in sequence past a disk that says ${code} after ${room}`,
      async (t) => {
        const mount = await fullAt(t, room, { code })
        const handle = await mount.create('large')

        await writeAll(mount, handle, sequential)
        await mount.close(handle)

        t.ok((await bytesOf(mount, 'large')).equals(sequential))
        t.ok(Buffer.from(await mount.read(await mount.open('large'))).equals(sequential))
      },
    )
  }
}

t.test('a spool directory that cannot be opened is no reason to refuse a write', async (t) => {
  const openSpoolFile = async () => {
    throw Object.assign(new Error('EACCES'), { code: 'EACCES' })
  }
  const mount = await fullAt(t, 0, { openSpoolFile })
  const handle = await mount.create('large')

  await writeAll(mount, handle, sequential)
  await mount.vfs.fsync(handle, false, { ...context })
  t.ok((await bytesOf(mount, 'large')).equals(sequential))
  await mount.write(handle, 5, 'after fsync every part may be changed')
  await mount.close(handle)

  t.equal((await bytesOf(mount, 'large')).toString('latin1', 5, 16), 'after fsync')
})

const context = { signal: new AbortController().signal, uid: 0, gid: 0, pid: 1 }

t.test('writes in any order go on while memory holds them, and all is stored', async (t) => {
  const mount = await fullAt(t, blockBytes)
  const data = randomBytes(7 * blockBytes)
  const handle = await mount.create('shuffled')

  const pieces = Array.from({ length: data.length / pieceBytes }, (_, index) => (index * 11) % 28)
  for (const piece of pieces) {
    const at = piece * pieceBytes
    await mount.write(handle, at, data.subarray(at, at + pieceBytes))
    const back = await mount.read(handle, at, at + pieceBytes)
    t.ok(back.equals(data.subarray(at, at + pieceBytes)), `piece ${piece} is read back`)
  }
  await mount.close(handle)

  t.ok((await bytesOf(mount, 'shuffled')).equals(data))
})

t.test(
  'a change of what only Azure has is refused, and the file is stored without it',
  async (t) => {
    const mount = await fullAt(t, 0)
    const handle = await mount.create('large')
    await writeAll(mount, handle, sequential)

    await t.rejects(mount.write(handle, 100, 'no'), { code: 'ENOSPC', message: /uploaded already/ })
    await t.rejects(mount.read(handle, 0, 100), { code: 'ENOSPC' })
    const end = sequential.length
    await mount.write(handle, end, 'the end is not so')
    await mount.close(handle)

    const stored = await bytesOf(mount, 'large')
    t.ok(stored.subarray(0, end).equals(sequential))
    t.equal(stored.toString('latin1', end), 'the end is not so')
  },
)

t.test('a block that is written over as a whole is sent again', async (t) => {
  const mount = await fullAt(t, 0)
  const handle = await mount.create('large')
  await writeAll(mount, handle, sequential)
  const other = randomBytes(2 * blockBytes)

  // The first block goes piece by piece: its rest is only in Azure.
  await t.rejects(mount.write(handle, blockBytes, other.subarray(0, 1000)), { code: 'ENOSPC' })
  await mount.write(handle, 0, other)
  await mount.close(handle)

  const stored = await bytesOf(mount, 'large')
  t.ok(stored.equals(Buffer.concat([other, sequential.subarray(other.length)])))
})

t.test('a commit that fails leaves what was uploaded for the next', async (t) => {
  const mount = await fullAt(t, 0)
  const handle = await mount.create('large')
  await writeAll(mount, handle, sequential)
  mount.before('commitBlocks', () => {
    throw new FileSystemError('EIO', 'blob.commitBlocks', { retryable: true })
  })
  await t.rejects(mount.vfs.fsync(handle, false, context), { code: 'EIO' })
  t.equal(await mount.stored('large'), undefined)

  mount.before('commitBlocks', () => undefined)
  await mount.close(handle)

  t.ok((await bytesOf(mount, 'large')).equals(sequential))
})

t.test('a file that is renamed while it is written is stored first, whole', async (t) => {
  const mount = await fullAt(t, 0)
  const handle = await mount.create('large.tmp')
  await writeAll(mount, handle, sequential)

  await mount.rename('large.tmp', 'large')
  await mount.write(handle, sequential.length, '!')
  await mount.close(handle)

  t.ok((await bytesOf(mount, 'large')).equals(Buffer.concat([sequential, Buffer.from('!')])))
  t.strictSame(await mount.list(''), ['large'])
})

t.test('a large stored file is edited past a full disk', async (t) => {
  const mount = await fullAt(t, 0)
  await mount.account.put({ container: 'box', name: 'stored' }, sequential)
  const handle = await mount.open('stored', constants.O_RDWR)
  const expected = Buffer.from(sequential)
  for (const at of [7, 20 * blockBytes - 3, sequential.length - 1]) {
    await mount.write(handle, at, 'edit')
    expected.set(Buffer.from('edit').subarray(0, sequential.length - at), at)
  }
  await mount.close(handle)

  t.ok((await bytesOf(mount, 'stored')).subarray(0, sequential.length).equals(expected))
})

for (const onConflict of ['error', 'rename', 'ours'] as const) {
  t.test(`a conflict tells what only Azure had and is lost (${onConflict})`, async (t) => {
    const mount = await fullAt(t, 0, { onConflict })
    const handle = await mount.create('large')
    await writeAll(mount, handle, sequential)
    await mount.storeElsewhere('large', 'theirs')

    await t.rejects(mount.close(handle), { code: 'ESTALE' })

    const [unsaved, ...others] = mount.vfs.unsaved
    t.strictSame(others, [])
    const lost = /without (\d+) bytes \(0-\d+.*they are lost, zeros stand in their place/
    t.match(unsaved?.error.message, lost)
    const lostBytes = Number(lost.exec(unsaved?.error.message ?? '')?.[1])
    const kept = readFileSync(unsaved?.place ?? '')
    t.equal(kept.length, sequential.length)
    t.ok(kept.subarray(lostBytes).equals(sequential.subarray(lostBytes)), 'the rest is kept')
    t.strictSame(await mount.list(''), ['large'])
    t.equal(await mount.stored('large'), 'theirs')
  })
}
