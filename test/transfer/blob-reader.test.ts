import fc from 'fast-check'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { type ByteRange, KiB, MiB } from '../../src/byte-range.ts'
import { BlobReader, type BlobReaderOptions } from '../../src/transfer/blob-reader.ts'
import { ChunkCache } from '../../src/transfer/chunk-cache.ts'
import { readAhead } from '../../src/transfer/read-ahead.ts'
import { CountingStore } from '../support/counting-store.ts'
import { patternOf as pattern } from '../support/pattern.ts'

const path = { container: 'data', name: 'dir/file.bin' }
const seed = Number(process.env['ABFS_TEST_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)

async function openBlob(sizeBytes: number, options: Partial<BlobReaderOptions> = {}) {
  const memory = new MemoryBlobStore()
  const store = new CountingStore(memory)
  await memory.createContainer(path.container)
  const content = pattern(sizeBytes)
  const properties = await memory.put(path, content)
  const reader = new BlobReader({ store, path, properties, ...options })
  return { memory, store, content, properties, reader }
}

async function readAll(reader: BlobReader, range: ByteRange): Promise<Buffer> {
  return Buffer.concat(await reader.read(range))
}

function fetchedBytes(store: CountingStore): number {
  return store.requests.reduce((sum, { range }) => sum + (range ? range.end - range.start : 0), 0)
}

t.test('any read gives the bytes of the blob, cut at its end', async (t) => {
  const sizeBytes = 3 * MiB + 12_345
  const cache = new ChunkCache({ maxBytes: 700 * KiB })
  const { reader, content } = await openBlob(sizeBytes, { cache, maxWindowBytes: 2 * MiB })
  const reads = fc.record({ start: fc.nat(sizeBytes + 100_000), length: fc.nat(600_000) })

  await fc.assert(
    fc.asyncProperty(fc.array(reads, { maxLength: 20 }), async (ranges) => {
      const results = await Promise.all(
        ranges.map(({ start, length }) => readAll(reader, { start, end: start + length })),
      )
      return ranges.every(({ start, length }, index) => {
        return results[index]?.equals(content.subarray(start, start + length)) === true
      })
    }),
    { seed, numRuns: 60 },
  )
  t.ok(cache.sizeBytes <= 700 * KiB, 'the cache stays within its bound')
})

t.test('sequential reads of all sizes give the whole blob', async (t) => {
  for (const step of [4 * KiB, 100_000, 128 * KiB, 1 * MiB, 5 * MiB]) {
    const { reader, content } = await openBlob(6 * MiB + 1, { chunkBytes: MiB })
    const parts: Uint8Array[] = []

    for (let start = 0; start < content.length; start += step) {
      parts.push(...(await reader.read({ start, end: start + step })))
    }

    t.ok(Buffer.concat(parts).equals(content), `in steps of ${step}`)
    reader.close()
  }
})

t.test('a read past the end is empty and asks nothing', async (t) => {
  const { reader, store } = await openBlob(1000)

  t.same(await reader.read({ start: 1000, end: 2000 }), [])
  t.same(await reader.read({ start: 5000, end: 9000 }), [])
  t.same(store.take(), [])
})

t.test('an empty blob reads as empty', async (t) => {
  const { reader } = await openBlob(0)

  t.same(await reader.read({ start: 0, end: 10 }), [])
})

t.test('random reads of 4 KiB fetch at most 128 KiB each and nothing ahead', async (t) => {
  const { reader, store } = await openBlob(64 * MiB)
  const offsets = [40, 3, 21, 60, 11, 33, 52, 7].map((mebibytes) => mebibytes * MiB + 62 * KiB)

  for (const start of offsets) await reader.read({ start, end: start + 4 * KiB })

  t.equal(store.requests.length, offsets.length)
  for (const { range } of store.requests) t.ok(range && range.end - range.start <= 128 * KiB)
})

t.test('a read at the end fetches the last 64 KiB, however the granules lie', async (t) => {
  const sizeBytes = 10 * MiB + 1000
  const { reader, store, content } = await openBlob(sizeBytes)

  await reader.read({ start: sizeBytes - 22, end: sizeBytes })
  const directory = { start: sizeBytes - 60 * KiB, end: sizeBytes - 100 }
  const bytes = await readAll(reader, directory)

  t.ok(bytes.equals(content.subarray(directory.start, directory.end)))
  t.equal(store.requests.length, 1)
  t.ok(fetchedBytes(store) <= 128 * KiB)
})

t.test('a blob of up to 128 KiB is fetched whole by one request', async (t) => {
  const { reader, store } = await openBlob(100_000)

  await reader.read({ start: 90_000, end: 90_010 })
  await reader.read({ start: 0, end: 100_000 })

  t.same(store.take(), ['get dir/file.bin'])
})

t.test('the window grows with a sequential run, up to its limit', async (t) => {
  const { reader, store } = await openBlob(64 * MiB, { maxWindowBytes: 8 * MiB })
  const step = 128 * KiB
  let mostAhead = 0
  const ahead: number[] = []

  for (let start = 0; start < 32 * MiB; start += step) {
    await reader.read({ start, end: start + step })
    const furthest = Math.max(...store.requests.map(({ range }) => range?.end ?? 0))
    ahead.push(furthest - start - step)
    mostAhead = Math.max(mostAhead, furthest - start - step)
  }

  t.equal(ahead[0], 0, 'nothing before there is evidence')
  t.ok(ahead.slice(0, 12).every((bytes, index) => bytes <= 2 * step * (index + 1)))
  t.ok(mostAhead > 4 * MiB && mostAhead <= 8 * MiB, `${mostAhead} bytes ahead at most`)
  t.ok(store.requests.length < 40, `${store.requests.length} requests for 256 reads`)
  t.ok(store.maxInFlight <= 8)
})

t.test('a seek resets the window', async (t) => {
  const { reader, store } = await openBlob(64 * MiB)
  for (let start = 0; start < 4 * MiB; start += MiB) await reader.read({ start, end: start + MiB })
  store.take()

  await reader.read({ start: 50 * MiB, end: 50 * MiB + 4 * KiB })

  t.same(
    store.requests.map(({ range }) => range),
    [{ start: 50 * MiB, end: 50 * MiB + 64 * KiB }],
  )
})

t.test('two interleaved sequential runs are both fetched ahead', async (t) => {
  const { reader, store } = await openBlob(64 * MiB)

  for (let step = 0; step < 32; step++) {
    for (const base of [0, 32 * MiB]) {
      const start = base + step * 128 * KiB
      await reader.read({ start, end: start + 128 * KiB })
    }
  }

  t.ok(store.requests.length < 40, `${store.requests.length} requests for 64 reads`)
})

t.test('readers of one version share chunks and requests in flight', async (t) => {
  const cache = new ChunkCache()
  const { reader, store, properties, content } = await openBlob(MiB, { cache })
  const other = new BlobReader({ store, path, properties, cache })
  const range = { start: 200_000, end: 300_000 }

  const [first, second] = await Promise.all([readAll(reader, range), readAll(other, range)])
  const third = await readAll(other, range)

  for (const bytes of [first, second, third]) t.ok(bytes.equals(content.subarray(200_000, 300_000)))
  t.equal(store.requests.length, 1)
})

t.test('a blob that is replaced or deleted meanwhile is ESTALE, never a mixture', async (t) => {
  const { reader, memory, store, properties } = await openBlob(MiB)
  await reader.read({ start: 0, end: 10 })
  await memory.put(path, Buffer.alloc(MiB, 1))

  await t.rejects(reader.read({ start: 512 * KiB, end: 600 * KiB }), { code: 'ESTALE' })
  await memory.delete(path)
  await t.rejects(reader.read({ start: 512 * KiB, end: 600 * KiB }), { code: 'ESTALE' })
  t.ok(store.requests.every((request) => request.ifMatch === properties.etag))
  t.equal((await readAll(reader, { start: 0, end: 10 })).length, 10, 'what is kept can be read')
})

t.test('a version that only changed its metadata is read on after repin', async (t) => {
  const cache = new ChunkCache()
  const { reader, memory, store, content } = await openBlob(MiB, { cache })
  await reader.read({ start: 0, end: 10 })
  const changed = await memory.setMetadata(path, { modtime: '1' })
  store.take()

  reader.repin(changed.etag)

  t.ok((await readAll(reader, { start: 0, end: MiB })).equals(content))
  const properties = { sizeBytes: reader.sizeBytes, etag: changed.etag }
  const later = new BlobReader({ store, path, properties, cache })
  store.take()
  t.ok((await readAll(later, { start: 0, end: MiB })).equals(content))
  t.same(store.take(), [], 'what the earlier etag brought answers for the later one')
})

t.test('a failed request is asked again by the next read', async (t) => {
  const { reader, store, content } = await openBlob(MiB)
  store.before = () => {
    throw new Error('broken')
  }
  await t.rejects(reader.read({ start: 0, end: 10 }), { message: 'broken' })
  store.before = () => undefined

  t.ok((await readAll(reader, { start: 0, end: 10 })).equals(content.subarray(0, 10)))
})

t.test('an answer shorter than its range is EIO', async (t) => {
  const { reader, memory } = await openBlob(MiB)
  const get = memory.get.bind(memory)
  memory.get = async (...call) => {
    const content = await get(...call)
    return { ...content, data: content.data.subarray(1) }
  }

  await t.rejects(reader.read({ start: 0, end: 10 }), { code: 'EIO' })
})

t.test('an aborted read rejects with the reason and leaves the fetch to others', async (t) => {
  const { reader, store, content } = await openBlob(MiB)
  const gate = deferred()
  store.before = () => gate.promise as Promise<void>
  const abort = new AbortController()
  const aborted = reader.read({ start: 0, end: 10 }, { signal: abort.signal })
  const other = readAll(reader, { start: 0, end: 10 })

  abort.abort(new Error('interrupted'))
  await t.rejects(aborted, { message: 'interrupted' })
  gate.resolve(undefined)

  t.ok((await other).equals(content.subarray(0, 10)))
  t.equal(store.requests.length, 1)
})

t.test('close cancels what was fetched ahead, and a closed reader is EBADF', async (t) => {
  const { reader, store } = await openBlob(64 * MiB)
  for (let start = 0; start < 4 * MiB; start += MiB) await reader.read({ start, end: start + MiB })
  store.before = () => deferred().promise as Promise<void>
  await reader.read({ start: 4 * MiB, end: 5 * MiB })
  const pending = store.requests.at(-1)?.signal

  reader.close()

  t.equal(pending?.aborted, true)
  await t.rejects(reader.read({ start: 0, end: 1 }), { code: 'EBADF' })
})

t.test('no byte of a sequential run is fetched twice', async (t) => {
  const { reader, store, content } = await openBlob(16 * MiB)
  for (let start = 0; start < content.length; start += 128 * KiB) {
    await reader.read({ start, end: start + 128 * KiB })
  }

  t.equal(fetchedBytes(store), content.length)
})

function deferred() {
  let resolve: (value: unknown) => void = () => undefined
  const promise = new Promise((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

t.test('a read into a buffer fills it, cut at the end, and keeps nothing', async (t) => {
  const cache = new ChunkCache()
  const { content, reader } = await openBlob(20 * MiB + 7, { cache })
  const target = Buffer.alloc(18 * MiB, 0xff)

  const first = await reader.readInto(target, 5 * MiB)
  t.equal(first, content.length - 5 * MiB)
  t.ok(target.subarray(0, first).equals(content.subarray(5 * MiB)))
  t.equal(target[first], 0xff)
  t.equal(await reader.readInto(target, content.length), 0)
  t.equal(cache.sizeBytes, 0)
})

t.test('a read into a buffer of a replaced blob rejects with ESTALE', async (t) => {
  const { memory, reader } = await openBlob(MiB)
  await memory.put(path, pattern(MiB))

  await t.rejects(reader.readInto(Buffer.alloc(MiB), 0), { code: 'ESTALE' })
})

t.test('a closed reader refuses to read into a buffer', async (t) => {
  const { reader } = await openBlob(MiB)
  reader.close()

  await t.rejects(reader.readInto(Buffer.alloc(MiB), 0), { code: 'EBADF' })
})

t.test('reading ahead gives all bytes in order, a few requests at a time', async (t) => {
  const { content, store, reader } = await openBlob(40 * MiB + 3)
  const parts: Uint8Array[] = []

  for await (const part of readAhead(reader, 3)) parts.push(part)

  t.ok(Buffer.concat(parts).equals(content.subarray(3)))
  t.ok(store.requests.length <= 7, `${store.requests.length} requests`)
})
