import { fork } from 'node:child_process'
import { once } from 'node:events'
import {
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { type ByteRange, KiB, MiB } from '../../src/byte-range.ts'
import { BlobReader, type BlobReaderOptions } from '../../src/transfer/blob-reader.ts'
import { ChunkCache } from '../../src/transfer/chunk-cache.ts'
import { DiskCache, type DiskCacheOptions } from '../../src/transfer/disk-cache.ts'
import { closePieces } from '../../src/transfer/disk-version.ts'
import { readAhead } from '../../src/transfer/read-ahead.ts'
import { CountingStore } from '../support/counting-store.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'
import { patternOf } from '../support/pattern.ts'
import { smallDisk, whyNoSmallDisk } from '../support/small-disk.ts'

const seed = Number(process.env['ABFS_TEST_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)

type Test = Pick<typeof t, 'testdir' | 'teardown'>

/** An account with one container, whose readers go through new memory each, and one directory. */
async function setUp(t: Test, options: Partial<DiskCacheOptions> = {}) {
  const directory = join(t.testdir(), 'cache')
  const memory = new MemoryBlobStore()
  const store = new CountingStore(memory)
  await memory.createContainer('data')
  const openCache = (more: Partial<DiskCacheOptions> = {}) => {
    const disk = new DiskCache({ directory, ...options, ...more })
    t.teardown(() => disk.close())
    return disk
  }
  const write = async (name: string, content: Uint8Array) => {
    const path = { container: 'data', name }
    return { path, properties: await memory.put(path, content) }
  }
  type Written = Awaited<ReturnType<typeof write>>
  const openReader = (of: Written, disk: DiskCache, more: Partial<BlobReaderOptions> = {}) =>
    new BlobReader({ store, ...of, cache: new ChunkCache({ disk, maxBytes: MiB }), ...more })
  return { directory, store, memory, openCache, openReader, write }
}

async function readRange(reader: BlobReader, range: ByteRange): Promise<Buffer> {
  return Buffer.concat(await reader.read(range))
}

async function readWhole(reader: BlobReader): Promise<Buffer> {
  return readRange(reader, { start: 0, end: reader.sizeBytes })
}

/** Names of the files of all segments and small versions. */
async function filesIn(directory: string): Promise<string[]> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const names = await readdir(directory, { recursive: true })
  const isFile = (name: string) => /\.(data|sums)$|small\/..\/[0-9a-f]{64}$/.test(name)
  return names.filter(isFile).map((name) => join(directory, name))
}

t.test('what one process has read, another reads without a request', async (t) => {
  const { store, openCache, openReader, write } = await setUp(t)
  const content = patternOf(3 * MiB + 12_345)
  const file = await write('dir/file', content)
  const first = openCache()
  t.ok((await readWhole(openReader(file, first))).equals(content))
  await first.close()
  store.take()

  const second = openCache()
  t.ok((await readWhole(openReader(file, second))).equals(content))
  t.same(store.take(), [])
  t.equal(second.stats.hitBytes, content.length)
  t.equal(second.stats.missedBytes, 0)
})

t.test(
  'what another process brings is found a second later, and what is absent is looked for once a second',
  async (t) => {
    const clock = new FakeClock()
    const { store, openCache, openReader, write } = await setUp(t, { clock })
    const file = await write('file', patternOf(MiB))
    const [mine, others] = [openCache(), openCache()]
    const options = { maxWindowBytes: 0 }
    const [reader, other] = [openReader(file, mine, options), openReader(file, others, options)]
    await readRange(reader, { start: 0, end: 1 })
    await mine.settled()
    for (const start of [256 * KiB, 512 * KiB]) await readRange(other, { start, end: start + 1 })
    await others.settled()
    store.take()

    await readRange(reader, { start: 256 * KiB, end: 256 * KiB + 1 })
    t.equal(store.take().length, 1, 'within the second it is fetched again')
    await clock.advance(1000)
    await readRange(reader, { start: 512 * KiB, end: 512 * KiB + 1 })
    t.equal(store.take().length, 0)
  },
)

t.test('only what is not on the disk is fetched', async (t) => {
  const { store, openCache, openReader, write } = await setUp(t)
  const content = patternOf(MiB)
  const file = await write('file', content)
  const disk = openCache()
  await readRange(openReader(file, disk, { maxWindowBytes: 0 }), {
    start: 256 * KiB,
    end: 512 * KiB,
  })
  await disk.settled()
  const before = store.requests.length

  t.ok((await readWhole(openReader(file, disk))).equals(content))
  const fetched = store.requests.slice(before).map(({ range }) => range)
  t.same(fetched, [
    { start: 0, end: 256 * KiB },
    { start: 512 * KiB, end: MiB },
  ])
})

t.test('another version of the same name has blocks of its own', async (t) => {
  const { store, openCache, openReader, write } = await setUp(t)
  const disk = openCache()
  const old = await write('file', patternOf(200_000))
  await readWhole(openReader(old, disk))
  await disk.settled()
  const changed = Buffer.from(patternOf(200_000)).fill(7, 1000, 2000)
  const file = await write('file', changed)

  t.ok((await readWhole(openReader(file, disk))).equals(changed))
  t.equal(store.requests.filter(({ verb }) => verb === 'get').length, 2)
})

t.test('accounts of one name at two places share nothing', async (t) => {
  const { directory, openCache, openReader, write } = await setUp(t)
  const disk = openCache()
  const file = await write('file', patternOf(1000))
  await readWhole(openReader(file, disk))
  await disk.settled()
  const other = new MemoryBlobStore()
  await other.createContainer('data')
  const content = Buffer.from('another account with the same etags')
  const properties = await other.put(file.path, content)
  const cache = new ChunkCache({ disk })
  const reader = new BlobReader({ store: other, path: file.path, properties, cache })
  t.equal(properties.etag, file.properties.etag, 'the versions have the same name')
  t.ok((await readWhole(reader)).equals(content))
  await disk.settled()
  t.equal((await filesIn(directory)).length, 2)
})

for (const kind of ['data', 'sums'] as const) {
  t.test(`bytes that the disk changed are fetched anew: .${kind}`, async (t) => {
    const { directory, openCache, openReader, write } = await setUp(t)
    const content = patternOf(300 * KiB)
    const file = await write('file', content)
    const first = openCache()
    await readWhole(openReader(file, first))
    await first.close()
    const [name = ''] = (await filesIn(directory)).filter((each) => each.endsWith(kind))
    await using handle = await open(name, 'r+')
    // One bit: in the second granule, or in its sum.
    const at = kind === 'data' ? 64 * KiB + 99 : 8 + 2
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, at)
    await handle.write(Buffer.from([(buffer[0] ?? 0) ^ 4]), 0, 1, at)

    const second = openCache()
    t.ok((await readWhole(openReader(file, second))).equals(content))
    t.equal(second.stats.missedBytes, 64 * KiB)
    await second.settled()
    const third = openCache()
    t.ok((await readWhole(openReader(file, third))).equals(content), 'it was written again')
    t.equal(third.stats.missedBytes, 0)
  })
}

t.test('a file that was cut short is no more than what is left of it', async (t) => {
  const { directory, openCache, openReader, write } = await setUp(t)
  const content = patternOf(300 * KiB)
  const file = await write('file', content)
  const first = openCache()
  await readWhole(openReader(file, first))
  await first.close()
  for (const name of await filesIn(directory)) {
    if (name.endsWith('.data')) await truncate(name, 100 * KiB)
  }
  const second = openCache()
  t.ok((await readWhole(openReader(file, second))).equals(content))
  t.equal(second.stats.hitBytes, 64 * KiB)
})

t.test('a disk that is full costs nothing but the cache', async (t) => {
  const { directory, openCache, openReader, write } = await setUp(t)
  const content = patternOf(300 * KiB)
  const file = await write('file', content)
  const clock = new FakeClock()
  const disk = openCache({ clock })
  await readWhole(openReader(file, disk))
  await disk.close()
  const [data = ''] = (await filesIn(directory)).filter((name) => name.endsWith('.data'))
  for (const name of await filesIn(directory)) await rm(name)
  await symlink('/dev/full', data)

  const full = openCache({ clock })
  t.ok((await readWhole(openReader(file, full))).equals(content))
  await full.settled()
  t.equal(full.stats.failureCount, 1)
  t.ok((await readWhole(openReader(file, full))).equals(content), 'in the pause')
  t.equal(full.stats.skippedBytes, content.length)
  await clock.advance(60_000)
  await rm(data, { force: true })
  await readWhole(openReader(file, full))
  await full.settled()
  t.equal(full.stats.writtenBytes, content.length, 'after the pause it is tried again')
})

t.test(
  'what a disk that filled took a part of is not taken for whole',
  { skip: whyNoSmallDisk() },
  async (t) => {
    const { openReader, write, memory } = await setUp(t)
    const content = patternOf(5 * 64 * KiB)
    const file = await write('file', content)
    const clock = new FakeClock()
    const disk = new DiskCache({ directory: smallDisk(t, 200 * KiB), clock })
    t.teardown(() => disk.close())
    const reader = openReader(file, disk)
    const { path, properties } = file
    const version = disk.open({ endpoint: memory.endpoint, path, ...properties })
    // The page of the sums is taken while there is room.
    const first = { start: 0, end: 64 * KiB }
    await readRange(reader, first)
    await disk.settled()
    const believed: ByteRange[] = []
    version.watch(({ added }) => void believed.push(...added))

    t.ok((await readWhole(reader)).equals(content))
    await disk.settled()

    t.equal(disk.stats.failureCount, 1)
    t.strictSame(believed, [], 'native code may read nothing of it')
    t.ok(version.holds(first))
    t.notOk(version.holds({ start: 0, end: content.length }))
    await clock.advance(60_000)
    t.ok((await readWhole(openReader(file, disk))).equals(content))
  },
)

t.test('a directory that cannot be used is done without', async (t) => {
  const { directory, openCache, openReader, write } = await setUp(t)
  await writeFile(directory, 'a file in its place')
  const content = patternOf(300 * KiB)
  const file = await write('file', content)
  const disk = openCache()
  t.ok((await readWhole(openReader(file, disk))).equals(content))
  await disk.settled()
  t.ok(disk.stats.failureCount > 0, 'that is counted')
})

t.test('a directory that others may write to is not believed', async (t) => {
  const { directory, openCache, openReader, write } = await setUp(t)
  await mkdir(join(directory, 'blocks-1'), { recursive: true, mode: 0o777 })
  await using handle = await open(join(directory, 'blocks-1'), 'r')
  await handle.chmod(0o777)
  const file = await write('file', patternOf(100_000))
  const disk = openCache()
  await readWhole(openReader(file, disk))
  await disk.settled()
  t.same(await filesIn(directory), [])
  t.ok(disk.stats.failureCount > 0, 'that is counted')
})

t.test('one long read does not drive out what is read again and again', async (t) => {
  const { directory, store, openCache, openReader, write } = await setUp(t)
  const clock = new FakeClock()
  const disk = openCache({ maxBytes: 4 * MiB, clock })
  const hot = await write('hot', patternOf(MiB))
  for (let time = 1; time <= 2; time += 1) {
    await readWhole(openReader(hot, disk))
    await disk.settled()
  }
  for (let index = 0; index < 12; index += 1) {
    const cold = await write(`cold-${index}`, patternOf(MiB))
    await readWhole(openReader(cold, disk))
    await disk.settled()
  }
  store.take()
  await readWhole(openReader(hot, disk))
  t.same(store.take(), [])
  let bytes = 0
  for (const name of await filesIn(directory)) bytes += (await stat(name)).blocks * 512
  t.ok(bytes <= 4 * MiB * (1 + 1 / 16), `${bytes} bytes on the disk`)
})

t.test('a version keeps its blocks when only its attributes change', async (t) => {
  const { memory, store, openCache, openReader, write } = await setUp(t)
  const content = patternOf(200 * KiB)
  const file = await write('file', content)
  const disk = openCache()
  const cache = new ChunkCache({ disk })
  const reader = openReader(file, disk, { cache })
  await readWhole(reader)
  await disk.settled()
  const changed = await memory.setMetadata(file.path, { mode: '600' })
  const properties = { ...file.properties, ...changed }
  reader.repin(properties.etag)
  await disk.settled()
  store.take()
  t.ok((await readWhole(openReader({ ...file, properties }, disk))).equals(content))
  t.same(store.take(), [])
})

t.test('long reads past the memory use the disk too', async (t) => {
  const { store, openCache, openReader, write } = await setUp(t)
  const content = patternOf(20 * MiB)
  const file = await write('file', content)
  const disk = openCache({ maxPendingBytes: 64 * MiB })
  for await (const piece of readAhead(openReader(file, disk, { streamBelowMs: Infinity }), 0)) {
    t.ok(piece.length > 0)
    // The caller may write to what it was given.
    piece.fill(0)
  }
  await disk.settled()
  store.take()
  const target = Buffer.alloc(content.length - 1000)
  t.equal(await openReader(file, disk).readInto(target, 1000), target.length)
  t.ok(target.equals(content.subarray(1000)))
  const pieces: Uint8Array[] = []
  for await (const piece of readAhead(openReader(file, disk, { streamBelowMs: Infinity }), 0)) {
    pieces.push(piece)
  }
  t.ok(Buffer.concat(pieces).equals(content))
  t.same(store.take(), [])
})

t.test(
  'any reads through little memory, a damaged disk and room for little give the bytes',
  async (t) => {
    const content = patternOf(2 * MiB + 777)
    const { openCache, openReader, write, directory } = await setUp(t)
    const file = await write('file', content)
    const step = fc.oneof(
      fc.record({ start: fc.nat(content.length), length: fc.nat(400_000) }),
      fc.constant('reopen' as const),
      fc.record({ damageAt: fc.nat(content.length) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
        let disk = openCache({ maxBytes: MiB })
        let reader = openReader(file, disk, {
          cache: new ChunkCache({ disk, maxBytes: 100 * KiB }),
        })
        for (const each of steps) {
          if (each === 'reopen') {
            await disk.close()
            disk = openCache({ maxBytes: MiB })
            reader = openReader(file, disk)
          } else if ('damageAt' in each) {
            await disk.settled()
            for (const name of await filesIn(directory)) {
              if (!name.endsWith('.data')) continue
              await using handle = await open(name, 'r+')
              await handle.write(Buffer.from('damaged'), 0, 7, each.damageAt)
            }
          } else {
            const range = { start: each.start, end: each.start + each.length }
            const found = await readRange(reader, range)
            if (!found.equals(content.subarray(range.start, range.end))) return false
          }
        }
        await disk.close()
        return true
      }),
      { seed, numRuns: 25 },
    )
  },
)

t.test('what is written while somebody reads is not taken for read', async (t) => {
  const { openCache } = await setUp(t)
  const disk = openCache()
  const content = patternOf(256 * KiB)
  for (let time = 0; time < 40; time += 1) {
    const path = { container: 'data', name: `file-${time}` }
    const version = disk.open({ endpoint: 'memory:', path, etag: '"1"', sizeBytes: 256 * KiB })
    await version.write(0, content.subarray(0, 64 * KiB))
    await disk.settled()
    const into = Buffer.alloc(256 * KiB)
    void version.write(64 * KiB, content.subarray(64 * KiB))
    for (const { start, end } of await version.read({ start: 0, end: 256 * KiB }, into)) {
      content.copy(into, start, start, end)
    }
    t.ok(into.equals(content), `time ${time}`)
    await disk.settled()
  }
})

for (const streamBelowMs of [0, Number.POSITIVE_INFINITY]) {
  const way = streamBelowMs === 0 ? 'many requests' : 'one'
  t.test(`a disk that is slower than the service keeps all, read by ${way}`, async (t) => {
    // Less than one chunk may wait, and no time goes by: whatever the disk takes, it is waited for.
    const { store, openCache, openReader, write } = await setUp(t, { clock: new FakeClock() })
    const content = patternOf(24 * MiB + 321)
    const file = await write('file', content)
    const disk = openCache({ maxPendingBytes: 512 * KiB })
    const reader = openReader(file, disk, { streamBelowMs })
    for (let start = 0; start < content.length; start += MiB) {
      const part = await readRange(reader, { start, end: start + MiB })
      t.ok(part.equals(content.subarray(start, start + MiB)), `at ${start}`)
    }
    await disk.settled()
    t.equal(disk.stats.skippedBytes, 0)
    store.take()

    t.ok((await readWhole(openReader(file, disk))).equals(content))
    t.same(store.take(), [], 'nothing is fetched twice')
  })
}

t.test('what is fetched ahead is told to who reads past us only when it was passed', async (t) => {
  const { memory, openCache, openReader, write } = await setUp(t)
  const content = patternOf(24 * MiB)
  const file = await write('file', content)
  const disk = openCache()
  const version = disk.open({ endpoint: memory.endpoint, path: file.path, ...file.properties })
  let toldEnd = 0
  version.watch(({ added }) => {
    for (const { end } of added) toldEnd = Math.max(toldEnd, end)
  })
  const cache = new ChunkCache({ disk })
  const reader = openReader(file, disk, { cache, streamBelowMs: Number.POSITIVE_INFINITY })
  for (let start = 0; start < 16 * MiB; start += MiB) {
    await readRange(reader, { start, end: start + MiB })
    await disk.settled()
    t.ok(toldEnd <= start + MiB, `${toldEnd} of the file at ${start}`)
  }
  t.ok(toldEnd >= 14 * MiB, 'what lies behind the reader was told')
})

t.test('what a disk that hung did not take is written when it is read again', async (t) => {
  const clock = new FakeClock()
  const { openCache, openReader, write } = await setUp(t, { clock })
  const content = patternOf(MiB)
  const file = await write('file', content)
  const disk = openCache({ maxPendingBytes: 256 * KiB })
  let goOn: (writtenBytes: number) => void = () => undefined
  const hanging = new Promise<number>((resolve) => {
    goOn = resolve
  })
  const hangs = { copy: false, write: () => hanging, onDone: () => undefined }
  await disk.later(new Uint8Array(256 * KiB), hangs)
  const reader = openReader(file, disk, { cache: new ChunkCache({ disk }) })
  const first = readWhole(reader)
  while (clock.sleeping < 1) await settle()
  await clock.advance(1000)
  t.ok((await first).equals(content), 'a reader gets its bytes all the same')
  t.equal(disk.stats.skippedBytes, content.length)

  goOn(0)
  await disk.settled()
  t.ok((await readWhole(reader)).equals(content))
  await disk.settled()
  const other = openCache()
  t.ok((await readWhole(openReader(file, other))).equals(content))
  t.equal(other.stats.missedBytes, 0)
})

t.test('a version is one file, unless the cache is small for it', async (t) => {
  const { openCache } = await setUp(t)
  const sizeBytes = 66 * MiB + 5
  for (const [maxBytes, pieceCount] of [
    [256 * MiB, 2],
    [512 * MiB, 1],
  ] as const) {
    const disk = openCache({ maxBytes, maxPendingBytes: 80 * MiB })
    const path = { container: 'data', name: 'large' }
    const version = disk.open({ endpoint: 'memory:', path, etag: '"1"', sizeBytes })
    t.equal(await version.openWhole(), undefined, 'nothing is there yet')
    await version.write(0, Buffer.alloc(sizeBytes, 'content'))
    await disk.settled()
    const pieces = (await version.openWhole()) ?? []
    t.equal(pieces.length, pieceCount)
    t.equal(
      pieces.reduce((total, piece) => total + piece.sizeBytes, 0),
      sizeBytes,
    )
    await closePieces(pieces)
  }
})

t.test('a file that took the place of what was compared is compared anew', async (t) => {
  const { directory, openCache } = await setUp(t)
  const disk = openCache()
  const path = { container: 'data', name: 'file' }
  const version = disk.open({ endpoint: 'memory:', path, etag: '"1"', sizeBytes: 300_000 })
  await version.write(0, patternOf(300_000))
  await disk.settled()
  await closePieces((await version.openWhole()) ?? [])
  const [name = ''] = (await filesIn(directory)).filter((each) => each.endsWith('.data'))
  await writeFile(`${name}.new`, Buffer.alloc(300_000, 1))
  await rename(`${name}.new`, name)

  t.equal(await version.openWhole(), undefined)
})

t.test('processes that share a directory give each other the right bytes', async (t) => {
  const directory = join(t.testdir(), 'cache')
  const script = fileURLToPath(new URL('../support/disk-cache-reader.ts', import.meta.url))
  const children = [1, 2, 3].map((number) =>
    fork(script, [directory, String(seed + number)], { stdio: 'inherit' }),
  )
  const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0]))
  t.same(codes, [0, 0, 0])
  t.ok((await filesIn(directory)).length > 0)
})
