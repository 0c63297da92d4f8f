/** A file that is read here and there is fetched whole behind its readers. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { type ByteRange, KiB, lengthOf, MiB } from '../../src/byte-range.ts'
import { FileSystemError } from '../../src/errors.ts'
import { BlobReader, type BlobReaderOptions } from '../../src/transfer/blob-reader.ts'
import { ChunkCache, type ChunkCacheOptions } from '../../src/transfer/chunk-cache.ts'
import { DiskCache } from '../../src/transfer/disk-cache.ts'
import { MemoryBudget } from '../../src/transfer/memory-budget.ts'
import { CountingStore } from '../support/counting-store.ts'
import { patternOf } from '../support/pattern.ts'

const path = { container: 'data', name: 'set.h5' }
const granule = 64 * KiB
const seed = Number(process.env['ABFS_TEST_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)

async function setUp(sizeBytes: number, more: ChunkCacheOptions = {}) {
  const memory = new MemoryBlobStore()
  const store = new CountingStore(memory)
  await memory.createContainer(path.container)
  const content = patternOf(sizeBytes)
  const properties = await memory.put(path, content)
  const cache = new ChunkCache({ maxBytes: 4 * sizeBytes, ...more })
  const open = (options: Partial<BlobReaderOptions> = {}) =>
    new BlobReader({ store, path, properties, cache, fillsBehind: true, ...options })
  return { memory, store, content, open }
}

function rangesOf(store: CountingStore): ByteRange[] {
  return store.requests.flatMap(({ range }) => (range === undefined ? [] : [range]))
}

function fetchedBytes(store: CountingStore): number {
  return rangesOf(store).reduce((sum, range) => sum + lengthOf(range), 0)
}

/** Granules in an order in which none continues another. */
function* scattered(sizeBytes: number): Generator<number, void> {
  const count = Math.floor(sizeBytes / granule)
  for (let at = 0; at < count; at += 1) yield ((at * 37) % count) * granule
}

async function readScattered(
  reader: BlobReader,
  { lengthBytes, count }: { readonly lengthBytes: number; readonly count: number },
): Promise<number> {
  let askedBytes = 0
  let left = count
  for (const start of scattered(reader.sizeBytes)) {
    if (left-- === 0) break
    await reader.read({ start, end: start + lengthBytes })
    askedBytes += lengthBytes
  }
  return askedBytes
}

/** Lets what was begun go on, until nothing more is asked for. */
async function settled(store: CountingStore): Promise<void> {
  for (let before = -1; before !== store.requests.length; ) {
    before = store.requests.length
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  }
}

t.test('after an eighth of a file the rest is fetched, in long requests', async (t) => {
  const { store, content, open } = await setUp(16 * MiB)
  const reader = open()

  await readScattered(reader, { lengthBytes: 32 * KiB, count: 31 })
  await settled(store)
  const isExact = rangesOf(store).every((range) => lengthOf(range) === granule)
  await readScattered(reader, { lengthBytes: 32 * KiB, count: 36 })
  await settled(store)
  const asked = store.requests.length
  const parts = await reader.read({ start: 0, end: 16 * MiB })

  t.ok(isExact, 'nothing before that')
  t.ok(Buffer.concat(parts).equals(content))
  t.equal(store.requests.length, asked, 'all of it is there')
  t.ok(asked <= 36 + 6, `${asked} requests`)
  reader.close()
})

t.test('a reader that is not to fill fetches what is read', async (t) => {
  const { store, open } = await setUp(16 * MiB)
  const reader = open({ fillsBehind: false })

  await readScattered(reader, { lengthBytes: 4 * KiB, count: 128 })
  await settled(store)

  t.equal(fetchedBytes(store), 128 * granule)
  reader.close()
})

t.test('all handles of a file count together', async (t) => {
  const { store, open } = await setUp(16 * MiB)
  const readers = Array.from({ length: 8 }, () => open())
  let turn = 0

  for (const start of scattered(16 * MiB)) {
    if (turn === 40) break
    await readers[turn++ % 8]?.read({ start, end: start + granule })
  }
  await settled(store)

  t.ok(fetchedBytes(store) >= 16 * MiB)
  for (const reader of readers) reader.close()
})

t.test('no more than 32 bytes are fetched for each that was asked for', async (t) => {
  const { store, open } = await setUp(64 * MiB)
  const reader = open({ streamBelowMs: Number.POSITIVE_INFINITY })
  let askedBytes = 0

  for (const start of scattered(64 * MiB)) {
    await reader.read({ start, end: start + 4 * KiB })
    await settled(store)
    askedBytes += 4 * KiB
    const isWithin = fetchedBytes(store) <= 32 * askedBytes
    if (!isWithin) t.fail(`${fetchedBytes(store)} fetched for ${askedBytes}`)
  }

  t.ok(store.requests.length < 700, `${store.requests.length} requests for 1024 reads`)
  reader.close()
})

t.test('a file that does not fit the cache is not filled', async (t) => {
  const { store, open } = await setUp(16 * MiB, { maxBytes: 31 * MiB })
  const reader = open()

  await readScattered(reader, { lengthBytes: granule, count: 128 })
  await settled(store)

  t.equal(fetchedBytes(store), 128 * granule)
  reader.close()
})

t.test('nothing is filled while memory is short', async (t) => {
  const memory = new MemoryBudget({ maxBytes: 24 * MiB })
  const { store, open } = await setUp(16 * MiB, { memory, reusesMemory: true })
  const others = memory.tryClaim(20 * MiB)
  const reader = open()

  await readScattered(reader, { lengthBytes: granule, count: 50 })
  await settled(store)
  t.equal(fetchedBytes(store), 50 * granule)
  others?.release()
  await readScattered(reader, { lengthBytes: granule, count: 51 })
  await settled(store)

  t.ok(fetchedBytes(store) >= 16 * MiB, 'and goes on once there is room')
  reader.close()
})

t.test('a fill that fails is not tried again, and fails no later read', async (t) => {
  const { store, content, open } = await setUp(16 * MiB)
  store.before = ({ range }) => {
    if (range !== undefined && lengthOf(range) > granule) {
      throw new FileSystemError('EIO', 'read', { retryable: false })
    }
  }
  const reader = open()

  await readScattered(reader, { lengthBytes: 32 * KiB, count: 34 })
  await settled(store)
  const refused = rangesOf(store).filter((range) => lengthOf(range) > granule).length
  for (const start of scattered(16 * MiB)) {
    const parts = await reader.read({ start, end: start + 4 * KiB })
    t.ok(Buffer.concat(parts).equals(content.subarray(start, start + 4 * KiB)))
  }
  await settled(store)

  const later = rangesOf(store).filter((range) => lengthOf(range) > granule).length
  t.ok(refused > 0)
  t.equal(later, refused)
  reader.close()
})

t.test('what a reader was filling when it closed is filled by others', async (t) => {
  const { store, open } = await setUp(16 * MiB)
  let release = (): void => undefined
  const held = new Promise<void>((resolve) => (release = resolve))
  store.before = ({ range }) =>
    range !== undefined && lengthOf(range) > granule ? held : undefined
  const first = open()
  const second = open()

  await readScattered(first, { lengthBytes: granule, count: 32 })
  await settled(store)
  first.close()
  store.before = () => undefined
  release()
  await settled(store)
  await readScattered(second, { lengthBytes: granule, count: 35 })
  await settled(store)
  const asked = store.requests.length
  await second.read({ start: 0, end: 16 * MiB })

  t.equal(store.requests.length, asked)
  second.close()
})

t.test('a file that is replaced while it is filled is ESTALE, and never a mixture', async (t) => {
  const { memory, store, content, open } = await setUp(16 * MiB)
  const reader = open()
  const after = Buffer.alloc(16 * MiB, 7)
  await readScattered(reader, { lengthBytes: 32 * KiB, count: 33 })

  await memory.put(path, after)
  await settled(store)
  for (const start of scattered(16 * MiB)) {
    try {
      const parts = await reader.read({ start, end: start + granule })
      if (!Buffer.concat(parts).equals(content.subarray(start, start + granule))) t.fail('mixed')
    } catch (error) {
      t.match(error, { code: 'ESTALE' })
    }
  }
  reader.close()
})

t.test('reads at the same time as a fill give the bytes of the file', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'abfs-fill-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const sizeBytes = 12 * MiB + 777
  const read = fc.record({
    start: fc.nat(sizeBytes),
    lengthBytes: fc.integer({ min: 1, max: 300_000 }),
  })
  const property = fc.asyncProperty(
    fc.array(read, { minLength: 30, maxLength: 120 }),
    fc.boolean(),
    fc.boolean(),
    async (reads, hasDisk, isNear) => {
      const disk = hasDisk
        ? new DiskCache({ directory: mkdtempSync(join(directory, 'run-')) })
        : undefined
      const maxBytes = hasDisk ? 2 * MiB : 32 * MiB
      const { content, open } = await setUp(sizeBytes, { disk, maxBytes, reusesMemory: true })
      const readers = [open(), open({ streamBelowMs: isNear ? Number.POSITIVE_INFINITY : 0 })]
      const outcomes: Promise<boolean>[] = []
      for (const [index, { start, lengthBytes }] of reads.entries()) {
        const range = { start, end: start + lengthBytes }
        const got = readers[index % 2]?.read(range) ?? Promise.resolve([])
        outcomes.push(
          got.then((parts) => Buffer.concat(parts).equals(content.subarray(start, range.end))),
        )
        if (index % 8 === 0) await outcomes.at(-1)
      }
      const isFine = (await Promise.all(outcomes)).every(Boolean)
      for (const reader of readers) reader.close()
      await disk?.close()
      return isFine
    },
  )
  await fc.assert(property, { seed, numRuns: 20 })
})

t.test('what the disk holds is not fetched to fill a file', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'abfs-fill-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const disk = new DiskCache({ directory })
  const { store, open } = await setUp(16 * MiB, { disk })
  const first = open()
  await readScattered(first, { lengthBytes: granule, count: 40 })
  await settled(store)
  first.close()
  await disk.close()
  const asked = store.requests.length

  const again = new DiskCache({ directory })
  const cache = new ChunkCache({ disk: again })
  const second = open({ cache })
  await readScattered(second, { lengthBytes: granule, count: 256 })
  await settled(store)

  t.equal(store.requests.length, asked)
  second.close()
  await again.close()
})
