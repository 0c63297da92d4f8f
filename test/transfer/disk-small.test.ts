import { fork } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFile,
  chmod,
  cp,
  mkdir,
  open,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t from 'tap'
import { KiB, MiB } from '../../src/byte-range.ts'
import { systemClock } from '../../src/clock.ts'
import { DiskCache, type DiskCacheOptions } from '../../src/transfer/disk-cache.ts'
import {
  type GranuleAccess,
  granuleAccess,
  isSum,
  portableGranules,
} from '../../src/transfer/disk-granules.ts'
import { maxSmallBytes } from '../../src/transfer/disk-small.ts'
import { NearDisk } from '../../src/transfer/near-disk.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { patternOf } from '../support/pattern.ts'
import { smallDisk, whyNoSmallDisk } from '../support/small-disk.ts'

const seed = Number(process.env['ABFS_TEST_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)

const content = patternOf(200_000)
const all = { start: 0, end: content.length }

function keyOf(name: string, etag = '"1"', sizeBytes = content.length) {
  return { endpoint: 'memory:', path: { container: 'data', name }, etag, sizeBytes }
}

type Test = Pick<typeof t, 'testdir' | 'teardown'>

/** A directory that caches are opened on, as by one process after the other. */
function setUp(t: Test, directory = join(t.testdir(), 'cache')) {
  const openCache = (options: Partial<DiskCacheOptions> = {}) => {
    const cache = new DiskCache({ directory, ...options })
    t.teardown(() => cache.close())
    return cache
  }
  const keep = async (name: string, etag?: string) => {
    const cache = openCache()
    await cache.open(keyOf(name, etag)).write(0, content)
    await cache.close()
  }
  return { directory, openCache, keep, files: () => smallFilesIn(directory) }
}

async function smallFilesIn(directory: string): Promise<string[]> {
  const names = await readdir(directory, { recursive: true }).catch(() => [])
  return names
    .filter((name) => /small\/..\/[0-9a-f]{64}$/.test(name))
    .map((name) => join(directory, name))
}

/** What `cache` has of `name`; what it has not is zeros. */
async function readFrom(cache: DiskCache, name: string, etag?: string) {
  const into = Buffer.alloc(content.length)
  const missing = await cache.open(keyOf(name, etag)).read(all, into)
  return { into, missing, bytes: missing.reduce((sum, { start, end }) => sum + end - start, 0) }
}

t.test('a small version is one file that begins with its bytes', async (t) => {
  const { directory, openCache, keep, files } = setUp(t)
  await keep('file')

  const [name = '', ...others] = await files()
  t.same(others, [])
  const kept = await readFile(name)
  t.ok(kept.subarray(0, content.length).equals(content))
  t.equal(kept.length, content.length + 4 * 8)
  t.equal((await stat(name)).mode & 0o777, 0o600)
  t.same(await readdir(join(directory, 'blocks-1')), ['small'], 'no directory is its own')
  const cache = openCache()
  await cache.open(keyOf('file')).look(all)
  t.ok(cache.open(keyOf('file')).holds(all))
  const { into, missing } = await readFrom(cache, 'file')
  t.same(missing, [])
  t.ok(into.equals(content))
  t.ok(((await stat(name)).mode & 0o100) !== 0, 'that it was read again is noted')
})

t.test('one that is larger lies in files of its own', async (t) => {
  const { openCache, files } = setUp(t)
  const cache = openCache()
  const bytes = patternOf(maxSmallBytes + 1)
  await cache.open(keyOf('file', '"1"', bytes.length)).write(0, bytes)
  await cache.settled()
  t.same(await files(), [])
  const version = cache.open(keyOf('file', '"1"', bytes.length))
  t.same(await version.read({ start: 0, end: bytes.length }, Buffer.alloc(bytes.length)), [])
})

t.test('of a part that was written that part is there', async (t) => {
  const { openCache } = setUp(t)
  const first = openCache()
  await first.open(keyOf('file')).write(64 * KiB, content.subarray(64 * KiB, 128 * KiB))
  await first.close()

  const cache = openCache()
  await cache.open(keyOf('file')).look(all)
  t.notOk(cache.open(keyOf('file')).holds(all))
  const { into, missing } = await readFrom(cache, 'file')
  t.same(missing, [
    { start: 0, end: 64 * KiB },
    { start: 128 * KiB, end: content.length },
  ])
  t.ok(into.subarray(64 * KiB, 128 * KiB).equals(content.subarray(64 * KiB, 128 * KiB)))
  t.equal(cache.stats.damagedCount, 0)
})

const broken: Record<string, { damage: (name: string) => Promise<void>; lost: number }> = {
  'a bit of the bytes changed': { damage: (name) => flip(name, 64 * KiB + 9), lost: 64 * KiB },
  'a bit of a sum changed': { damage: (name) => flip(name, content.length + 8), lost: 64 * KiB },
  'the sums are torn': {
    damage: (name) => truncate(name, content.length + 12),
    lost: content.length - 64 * KiB,
  },
  'there are no sums': {
    damage: (name) => truncate(name, content.length),
    lost: content.length,
  },
  'the bytes were cut': { damage: (name) => truncate(name, 1000), lost: content.length },
  'it is empty': { damage: (name) => truncate(name, 0), lost: content.length },
  'it is something else': {
    damage: (name) => writeFile(name, Buffer.alloc(content.length + 32, 'other')),
    lost: content.length,
  },
}

async function flip(name: string, at: number): Promise<void> {
  await using file = await open(name, 'r+')
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at)
  await file.write(Buffer.from([(buffer[0] ?? 0) ^ 4]), 0, 1, at)
}

for (const [what, { damage, lost }] of Object.entries(broken)) {
  t.test(`${what}: it is not believed, and written anew`, async (t) => {
    const { openCache, keep, files } = setUp(t)
    await keep('file')
    const [name = ''] = await files()
    await damage(name)

    const cache = openCache()
    const { missing, bytes } = await readFrom(cache, 'file')
    t.equal(bytes, lost)
    const version = cache.open(keyOf('file'))
    for (const { start, end } of missing) await version.write(start, content.subarray(start, end))
    await cache.close()
    const { into, bytes: left } = await readFrom(openCache(), 'file')
    t.equal(left, 0)
    t.ok(into.equals(content))
  })
}

t.test('the file of another version is none of this', async (t) => {
  const { openCache, keep, files } = setUp(t)
  await keep('file', '"1"')
  const [first = ''] = await files()
  const cache = openCache()
  t.equal((await readFrom(cache, 'file', '"2"')).bytes, content.length)
  // In its place by mistake, of another length.
  const other = openCache()
  const key = keyOf('short', '"1"', 1000)
  await other.open(key).write(0, content.subarray(0, 1000))
  await other.close()
  const [short = ''] = (await files()).filter((name) => name !== first)
  await cp(first, short)
  const found = await openCache().open(key).read({ start: 0, end: 1000 }, Buffer.alloc(1000))
  t.same(found, [{ start: 0, end: 1000 }])
})

t.test('an attribute that changes leaves it where the next version is looked for', async (t) => {
  const { openCache, keep } = setUp(t)
  await keep('file', '"1"')
  const cache = openCache()
  const version = cache.open(keyOf('file', '"1"'))
  const { sizeBytes: _, ...key } = keyOf('file', '"1"')
  version.moved(await cache.rename(key, '"2"'))
  t.same(await version.read(all, Buffer.alloc(content.length)), [])
  t.equal((await readFrom(openCache(), 'file', '"2"')).bytes, 0)
  t.equal((await readFrom(openCache(), 'file', '"1"')).bytes, content.length)
})

t.test('on a disk of this machine what is absent is known at once', async (t) => {
  const { directory, openCache, keep } = setUp(t)
  await keep('file')
  if (!(await new NearDisk(systemClock).isNear(directory))) {
    t.pass('it is none')
    return
  }
  const cache = openCache()
  await readFrom(cache, 'file')

  t.equal(cache.open(keyOf('absent')).look(all), undefined)
  t.equal((await readFrom(cache, 'absent')).bytes, content.length)
  await keep('there')
  await cache.open(keyOf('there')).look(all)
  t.ok(cache.open(keyOf('there')).holds(all))
})

t.test('what another process brings is found a second later', async (t) => {
  const clock = new FakeClock()
  const { openCache } = setUp(t)
  const [mine, others] = [openCache({ clock }), openCache({ clock })]
  t.equal((await readFrom(mine, 'file')).bytes, content.length)
  await others.open(keyOf('file')).write(0, content)
  await others.settled()
  t.equal((await readFrom(mine, 'file')).bytes, content.length, 'within the second')
  await clock.advance(1000)
  t.equal((await readFrom(mine, 'file')).bytes, 0)
})

t.test('what another process removes is missed, and written again', async (t) => {
  const { openCache, keep, files } = setUp(t)
  await keep('file')
  const cache = openCache()
  t.equal((await readFrom(cache, 'file')).bytes, 0)
  for (const name of await files()) await rm(dirname(name), { recursive: true })
  t.equal((await readFrom(cache, 'file')).bytes, content.length)
  await cache.open(keyOf('file')).write(0, content)
  await cache.settled()
  t.equal((await readFrom(openCache(), 'file')).bytes, 0)
})

t.test(
  'room is made of the longest unused, read once before read again, not of pinned',
  async (t) => {
    const { openCache } = setUp(t)
    const clock = new FakeClock()
    const cache = openCache({ maxBytes: 2 * MiB, clock })
    await cache.pin(keyOf('pinned'))
    const write = async (name: string) => {
      await clock.advance(10_000)
      await cache.open(keyOf(name)).write(0, content)
      await cache.settled()
    }
    for (const name of ['pinned', 'hot']) await write(name)
    await readFrom(cache, 'hot')
    for (let index = 0; index < 30; index += 1) await write(`cold-${index}`)

    const other = openCache({ maxBytes: 2 * MiB, clock })
    const absent = async (name: string) => (await readFrom(other, name)).bytes
    t.equal(await absent('pinned'), 0)
    t.equal(await absent('hot'), 0)
    t.equal(await absent('cold-0'), content.length)
    t.equal(await absent('cold-29'), 0)
    const [pinned] = await other.pinned()
    t.ok((pinned?.diskBytes ?? 0) >= content.length)
    t.match(await other.evict(), { pinned: 1 })
    t.equal((await readFrom(openCache(), 'pinned')).bytes, 0)
    t.equal((await readFrom(openCache(), 'hot')).bytes, content.length)
    t.equal(await other.unpin(() => true), 1)
    t.match(await other.evict(), { versions: 1, pinned: 0 })
  },
)

t.test('what the former layout kept of small versions is not used, and goes first', async (t) => {
  const { directory, openCache, files } = setUp(t)
  const former = join(directory, 'blocks-1', 'ab'.repeat(32))
  await mkdir(former, { recursive: true, mode: 0o700 })
  await chmod(join(directory, 'blocks-1'), 0o700)
  for (const name of ['0.data', '0.sums']) {
    await writeFile(join(former, name), content)
    await utimes(join(former, name), 1, 1)
  }
  const cache = openCache({ maxBytes: MiB })
  for (let index = 0; index < 6; index += 1) {
    await cache.open(keyOf(`file-${index}`)).write(0, content)
    await cache.settled()
  }
  await t.rejects(stat(former), { code: 'ENOENT' })
  t.ok((await files()).length > 0)
})

t.test(
  'a full disk keeps what it took whole, and fails nobody',
  { skip: whyNoSmallDisk() },
  async (t) => {
    const { openCache } = setUp(t, smallDisk(t, 400 * KiB))
    const clock = new FakeClock()
    const cache = openCache({ clock })
    for (const name of ['one', 'two', 'three']) {
      await cache.open(keyOf(name)).write(0, content)
      await cache.settled()
    }
    t.equal(cache.stats.failureCount, 1, 'once, and then it pauses')
    const other = openCache({ clock })
    for (const name of ['one', 'two', 'three']) {
      const { into, missing } = await readFrom(other, name)
      for (const { start, end } of missing) content.copy(into, start, start, end)
      t.ok(into.equals(content), `${name} is there or missed`)
    }
    t.equal(other.stats.damagedCount, 0)
  },
)

t.test('a directory that became read-only still answers', async (t) => {
  const { openCache, keep, files } = setUp(t)
  await keep('file')
  const [name = ''] = await files()
  await chmod(name, 0o400)
  await chmod(dirname(name), 0o500)
  const cache = openCache()
  const { bytes } = await readFrom(cache, 'file')
  await chmod(dirname(name), 0o700)
  t.equal(bytes, 0)
  t.equal(cache.stats.failureCount, 0)
})

t.test('a file in the place of its directory is told once, and done without', async (t) => {
  const { directory, openCache } = setUp(t)
  await mkdir(join(directory, 'blocks-1'), { recursive: true, mode: 0o700 })
  await chmod(join(directory, 'blocks-1'), 0o700)
  await writeFile(join(directory, 'blocks-1', 'small'), 'a file')
  const cache = openCache()
  await cache.open(keyOf('file')).write(0, content)
  await cache.settled()
  t.equal(cache.stats.writtenBytes, 0)
  t.ok(cache.stats.failureCount > 0)
  t.equal((await readFrom(cache, 'file')).bytes, content.length)
})

t.test('whenever a process is killed, what it left is whole or not believed', async (t) => {
  const { directory, openCache } = setUp(t)
  const script = fileURLToPath(new URL('../support/small-writer.ts', import.meta.url))
  let left = 0
  for (let time = 0; time < 3; time += 1) {
    const child = fork(script, [directory, String(time)], { stdio: ['ignore', 2, 2, 'ipc'] })
    // Some are written, and others on their way.
    for (let count = 0; count < 5 + 7 * time; count += 1) await once(child, 'message')
    child.kill('SIGKILL')
    await once(child, 'exit')
    const cache = openCache()
    for (let index = 0; index < 400; index += 1) {
      const { into, missing, bytes } = await readFrom(cache, `file-${time}-${index}`)
      for (const { start, end } of missing) content.copy(into, start, start, end)
      if (!into.equals(content)) t.fail(`file-${time}-${index} has other bytes`)
      left += content.length - bytes
    }
  }
  t.ok(left >= 3 * 5 * content.length, `${left} bytes were kept`)
})

const ways = { addon: granuleAccess(), 'node:fs': portableGranules }
const skip = ways.addon === portableGranules ? 'the addon is not built' : false

t.test('both ways write the same file, and read what the other wrote', { skip }, async (t) => {
  const directory = t.testdir({})
  const writes = fc.record({ sizeBytes: fc.integer({ min: 1, max: 199_999 }), from: fc.nat(64) })
  let count = 0
  const property = fc.asyncProperty(writes, async ({ sizeBytes, from }) => {
    const bytes = content.subarray(from, from + sizeBytes)
    const kept: Buffer[] = []
    for (const [writer, reader] of [
      [ways.addon, ways['node:fs']],
      [ways['node:fs'], ways.addon],
    ] as const) {
      count += 1
      const file = { name: join(directory, `${count}`, 'file'), sumsAt: bytes.length }
      await writer.writeSmall(file, 0, bytes)
      const into = Buffer.alloc(bytes.length)
      const words = await reader.readSmall(file, 0, into)
      if (words === undefined || !into.equals(bytes)) return false
      for (let at = 0; at < words.length; at += 3) {
        if (words[at] !== words[at + 1] || !isSum(words[at + 1], words[at + 2])) return false
      }
      kept.push(await readFile(file.name))
    }
    return kept[1] !== undefined && kept[0]?.equals(kept[1]) === true
  })
  await fc.assert(property, { seed, numRuns: 30 })
})

for (const [name, access] of Object.entries<GranuleAccess>(ways)) {
  t.test(`${name}: what is not there is an answer, what fails is an error`, async (t) => {
    const directory = t.testdir({ file: '' })
    const into = Buffer.alloc(10)
    const at = (...names: string[]) => ({ name: join(directory, ...names), sumsAt: 10 })
    t.equal(await access.readSmall(at('none'), 0, into), undefined)
    t.equal(await access.readSmall(at('no', 'directory'), 0, into), undefined)
    await t.rejects(access.readSmall(at('file', 'below'), 0, into), { code: 'ENOTDIR' })
    await t.rejects(access.writeSmall(at('file', 'below'), 0, into), { code: 'ENOTDIR' })
    const words = await access.readSmall(at('file'), 0, into)
    t.notOk(isSum(words?.[1], words?.[2]), 'an empty file has no sums')
    await t.rejects(access.writeSmall({ name: '/dev/full', sumsAt: 10 }, 0, into), {
      code: 'ENOSPC',
    })
  })

  t.test(`${name}: the time of use is noted when it is said`, async (t) => {
    const file = { name: join(t.testdir({}), 'file'), sumsAt: 10 }
    await access.writeSmall(file, 0, content.subarray(0, 10))
    await appendFile(file.name, 'more')
    const { mtimeMs } = await stat(file.name)
    await access.readSmall(file, 0, Buffer.alloc(10))
    t.equal((await stat(file.name)).mtimeMs, mtimeMs)
    await access.readSmall(file, 0, Buffer.alloc(10), 1_500_000_001_250)
    t.equal((await stat(file.name)).mtimeMs, 1_500_000_001_250)
    t.equal((await stat(file.name)).mode & 0o777, 0o700)
  })
}
