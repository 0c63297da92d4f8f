import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import type { BlobContent, GetOptions } from '../../src/blob/store.ts'
import { KiB } from '../../src/byte-range.ts'
import { collect } from '../../src/filesystem/walk.ts'
import type { BlobPath } from '../../src/path.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { memoryFileSystem } from '../support/file-system.ts'

const text = (data: Uint8Array) => Buffer.from(data).toString()
const size = 300 * KiB
const filled = (letter: string, bytes = size) => Buffer.alloc(bytes, letter)

/** A difference of so many bytes is nothing to print. */
function isSame(data: Uint8Array | Error | undefined, wanted: Buffer): boolean {
  return data instanceof Uint8Array && Buffer.from(data).equals(wanted)
}

/** Runs `before` ahead of each read that comes to the service, with its number from 0 on. */
class InterruptedStore extends MemoryBlobStore {
  reads = 0
  before: (read: number) => Promise<void> = async () => undefined

  override async get(path: BlobPath, options?: GetOptions): Promise<BlobContent> {
    await this.before(this.reads++)
    return super.get(path, options)
  }
}

async function interrupted() {
  const store = new InterruptedStore({ account: 'acct', clock: new FakeClock() })
  const { fs } = await memoryFileSystem({ store })
  await fs.pipeFile('box/f', filled('a'))
  const path = { container: 'box', name: 'f' }
  /** Replaces the file before the second request of each of the first `times` attempts. */
  const replace = (times: number, bytes = size) => {
    let replaced = 0
    store.reads = 0
    store.before = async (read) => {
      if (read === 0 || replaced === times) return
      replaced++
      await store.put(path, filled('bcdefg'.charAt(replaced - 1), bytes))
    }
  }
  return { fs, store, path, replace }
}

t.test(
  'a whole read of a file that is replaced is ESTALE, and with restart the new version',
  async (t) => {
    const { fs, replace } = await interrupted()

    replace(1)
    await t.rejects(fs.readBytes('box/f'), { code: 'ESTALE' })
    replace(1, size + 5)
    t.ok(isSame(await fs.readBytes('box/f', { consistency: 'restart' }), filled('b', size + 5)))
    replace(1)
    t.equal(await fs.readText('box/f', { consistency: 'restart' }), text(filled('b')))
    replace(1)
    const found = await fs.cat('box/f*', { consistency: 'restart' })
    t.ok(isSame(found.get('box/f'), filled('b')))
  },
)

t.test(
  'ranges of a file that is replaced between them are ESTALE, and with restart of the new version',
  async (t) => {
    const { fs, store, path } = await interrupted()
    const ranges = Array.from({ length: 6 }, (_, n) => {
      return { path: 'box/f', start: n * 50_000, end: n * 50_000 + 1 }
    })
    const replaceLate = async () => {
      store.before = async () => undefined
      await fs.pipeFile('box/f', filled('a'))
      store.reads = 0
      store.before = async (read) => {
        if (read === 4) await store.put(path, filled('b'))
      }
    }
    await replaceLate()
    await t.rejects(fs.catRanges(ranges), { code: 'ESTALE' })
    await replaceLate()
    const parts = await fs.catRanges(ranges, { consistency: 'restart' })
    t.equal(parts.map(text).join(''), 'bbbbbb')
  },
)

t.test('a read is not begun anew for ever', async (t) => {
  const { fs, store, path } = await interrupted()
  let writes = 0
  store.before = async () => {
    await store.put(path, filled(String(writes++ % 10)))
  }

  await t.rejects(fs.readBytes('box/f', { consistency: 'restart' }), { code: 'ESTALE' })
  t.ok(writes > 5 && writes < 40, `${writes} requests`)
})

t.test('a file that is deleted meanwhile is ENOENT with restart', async (t) => {
  const { fs, store, path } = await interrupted()
  const reader = await fs.open('box/f', 'r', { consistency: 'restart' })
  await store.delete(path)

  reader.seek(200_000)
  await t.rejects(reader.read(10), { code: 'ENOENT' })
})

t.test(
  'a download begins anew, counts no byte twice and leaves nothing beside the file',
  async (t) => {
    const { fs, replace } = await interrupted()
    const directory = t.testdir()
    const local = join(directory, 'f')

    replace(1)
    await t.rejects(fs.getFile('box/f', local), { code: 'ESTALE' })
    t.strictSame(await readdir(directory), [])
    replace(2)
    let counted = 0
    await fs.getFile('box/f', local, {
      consistency: 'restart',
      onBytes: (bytes) => {
        counted += bytes
      },
    })
    t.ok(isSame(await readFile(local), filled('c')))
    t.equal(counted, size)
    replace(1)
    const { bytes } = await fs.get('box/f', join(directory, 'again'), { consistency: 'restart' })
    t.equal(bytes, size)
    t.ok(isSame(await readFile(join(directory, 'again')), filled('b')))
    replace(1)
    const resume = join(directory, 'journal')
    await fs.get('box/f', join(directory, 'third'), { consistency: 'restart', resume })
    t.ok(isSame(await readFile(join(directory, 'third')), filled('b')))
    t.strictSame((await readdir(directory)).sort(), ['again', 'f', 'third'])
  },
)

t.test('an open file goes on with another version only while it has given nothing', async (t) => {
  const { fs } = await interrupted()
  const reader = await fs.open('box/f', 'r', { consistency: 'restart' })
  await fs.pipeFile('box/f', filled('b', size + 10))

  reader.seek(200_000)
  t.equal(text(await reader.read(4)), 'bbbb')
  t.equal(reader.size, size + 10)
  await fs.pipeFile('box/f', filled('c'))
  reader.seek(250_000)
  await t.rejects(reader.read(60_000), { code: 'ESTALE' })
  await reader.close()
  await t.rejects(reader.read(1), { code: 'EBADF' })
})

t.test('a stream begins anew until it has given a piece', async (t) => {
  const { fs, store, path } = await interrupted()
  const options = { start: 200_000, highWaterMark: 50_000 }
  const replace = () => {
    store.reads = 0
    store.before = async (read) => {
      if (read === 1) await store.put(path, filled('b', size + 7))
    }
  }

  replace()
  await t.rejects(buffer(fs.createReadStream('box/f', options)), { code: 'ESTALE' })
  await fs.pipeFile('box/f', filled('a'))
  replace()
  const whole = await buffer(fs.createReadStream('box/f', { ...options, consistency: 'restart' }))
  t.ok(isSame(whole, filled('b', size + 7 - 200_000)))
})

t.test('latest reads with each call the version that is there, longer or shorter', async (t) => {
  const { fs, replace } = await interrupted()
  const reader = await fs.open('box/f', 'r', { consistency: 'latest' })

  t.equal(text(await reader.read(3)), 'aaa')
  await fs.writeText('box/f', '0123456789')
  t.equal(text(await reader.read(3)), '345')
  t.equal(reader.size, 10)
  await fs.writeText('box/f', 'abcdefghijklmno')
  t.equal(text(await reader.readAll()), 'ghijklmno')
  t.equal(reader.info.size, 15)
  t.equal((await reader.read(5)).byteLength, 0)
  await fs.writeText('box/f', 'abc')
  reader.seek(0)
  const target = Buffer.alloc(8)
  t.equal(await reader.readInto(target), 3)
  t.equal(text(target.subarray(0, 3)), 'abc')

  await fs.pipeFile('box/f', filled('a'))
  replace(2)
  reader.seek(0)
  t.ok(isSame(Buffer.from(await reader.readAll()), filled('c')), 'one call is one version')
  await reader.close()
  await t.rejects(reader.read(1), { code: 'EBADF' })
})

t.test('a stream of the latest version goes on in whatever is there', async (t) => {
  const { fs } = await interrupted()
  await fs.writeText('box/f', 'aaaaaa')
  const stream = fs.createReadStream('box/f', { consistency: 'latest', highWaterMark: 3 })
  const seen: string[] = []
  for await (const piece of stream) {
    seen.push(String(piece))
    if (seen.length === 1) await fs.writeText('box/f', 'b'.repeat(8))
  }

  t.equal(seen.join('').length, 8)
  t.equal(seen.at(-1), 'bb')
})

t.test('what a consistency cannot mean is refused', async (t) => {
  const { fs } = await interrupted()
  const mistaken = 'newest' as 'latest'

  await t.rejects(fs.open('box/f', 'r', { consistency: mistaken }), { message: /^consistency/ })
  await t.rejects(fs.readBytes('box/f', { consistency: 'latest' as 'pinned' }), TypeError)
  await t.rejects(
    fs.getFile('box/f', '/nowhere/f', { consistency: 'latest' as 'pinned' }),
    TypeError,
  )
  await t.rejects(fs.get('box/f', '/nowhere/f', { consistency: 'latest' as 'pinned' }), TypeError)
  await t.rejects(fs.open('box/f', 'r', { consistency: 'latest', cacheType: 'all' }), TypeError)
  const coding = { consistency: 'latest', encoding: 'utf8' } as const
  await t.rejects(fs.open('box/f', 'r', coding), TypeError)
  await using reader = await fs.open('box/f', 'r', { consistency: 'restart' })
  t.equal(Buffer.concat(await collect(reader)).byteLength, size)
})
