import t, { type Test } from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import type { BlobContent, GetOptions } from '../../src/blob/store.ts'
import { type ByteRange, lengthOf, MiB } from '../../src/byte-range.ts'
import { systemClock } from '../../src/clock.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import type { BlobPath } from '../../src/path.ts'
import { BlobReader } from '../../src/transfer/blob-reader.ts'
import { NearService } from '../../src/transfer/near-service.ts'
import { readAhead } from '../../src/transfer/read-ahead.ts'
import { readsOf } from '../../src/transfer/service-reads.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { patternOf } from '../support/pattern.ts'

const path = { container: 'data', name: 'dir/file.bin' }

/**
 * A near service whose long answers take `msPerMiB` by a clock of its own, however many share that; exact ranges take
 * as long where `isShared`, else nothing, as if each connection alone were limited.
 */
class PacedStore extends MemoryBlobStore {
  readonly roundTripMs = 1
  readonly clock: FakeClock & { queuedMs?: () => number } = new FakeClock()
  readonly gets: (ByteRange | undefined)[] = []
  readonly #msPerMiB: number
  readonly #isShared: boolean
  #receivedBytes = 0

  constructor(msPerMiB: number, isShared: boolean) {
    super()
    this.#msPerMiB = msPerMiB
    this.#isShared = isShared
  }

  get receivedBytes(): number {
    return this.#receivedBytes
  }

  override async get(path: BlobPath, options: GetOptions = {}): Promise<BlobContent> {
    this.gets.push(options.range)
    const { sink } = options
    if (sink === undefined) {
      const content = await super.get(path, options)
      this.#note(content.data.byteLength, this.#isShared)
      return content
    }
    const filled = (count: number) => {
      this.#note(count, true)
      sink.filled(count)
    }
    return super.get(path, { ...options, sink: { ...sink, filled } })
  }

  #note(count: number, takesTime: boolean): void {
    if (takesTime) void this.clock.advance((count / MiB) * this.#msPerMiB)
    this.#receivedBytes += count
  }
}

async function openPaced(
  msPerMiB: number,
  { sizeBytes = 100 * MiB, isShared = false }: { sizeBytes?: number; isShared?: boolean } = {},
) {
  const store = new PacedStore(msPerMiB, isShared)
  await store.createContainer(path.container)
  const content = patternOf(sizeBytes)
  const properties = await store.put(path, content)
  const reader = new BlobReader({ store, path, properties, clock: store.clock })
  return { store, content, properties, reader }
}

t.test('a connection of 250 MB/s keeps the whole run', async (t) => {
  const { store, content, reader } = await openPaced(4)

  for await (const part of readAhead(reader, 0)) t.ok(part.length > 0)

  t.same(store.gets, [{ start: 0, end: content.length }])
})

t.test('several requests take over from a connection of 50 MB/s', async (t) => {
  const { store, content, reader } = await openPaced(20)
  const parts: Uint8Array[] = []

  for await (const part of readAhead(reader, 0)) parts.push(part)

  t.ok(Buffer.concat(parts).equals(content))
  t.same(store.gets[0], { start: 0, end: content.length })
  t.ok(store.gets.length > 3, `${store.gets.length} requests`)
  const second = store.gets[1]?.start ?? 0
  t.ok(second >= 32 * MiB && second <= 40 * MiB, `taken over at ${second}`)
  t.equal(reader.stream(0), undefined, 'this blob is not streamed again')
})

t.test('a download of one slow connection goes on by several requests', async (t) => {
  const { store, content } = await openPaced(20)
  const fs = new AzureBlobFileSystem({ store, clock: store.clock })

  t.ok(content.equals(await fs.catFile(`abfs://${path.container}/${path.name}`)))
  t.ok(store.gets.length > 4, `${store.gets.length} requests`)
})

t.test('a sequential reader of a slow connection goes on by several requests', async (t) => {
  const { store, content, reader } = await openPaced(20)

  for (let at = 0; at < content.length; at += MiB) {
    const parts = await reader.read({ start: at, end: at + MiB })
    if (!Buffer.concat(parts).equals(content.subarray(at, at + MiB))) t.fail(`differs at ${at}`)
  }

  const open = store.gets.filter((range) => (range?.end ?? 0) - (range?.start ?? 0) > 32 * MiB)
  t.equal(open.length, 1, 'one long request')
  t.ok(store.gets.length > 6, `${store.gets.length} requests`)
})

/** Reads all of each of `count` readers at once, a mebibyte at a time. */
async function readBeside(t: Test, paced: Awaited<ReturnType<typeof openPaced>>, count: number) {
  const { store, content, properties } = paced
  const read = async () => {
    const reader = new BlobReader({ store, path, properties, clock: store.clock })
    for (let at = 0; at < content.length; at += MiB) {
      const parts = await reader.read({ start: at, end: at + MiB })
      if (!Buffer.concat(parts).equals(content.subarray(at, at + MiB))) t.fail(`differs at ${at}`)
    }
    reader.close()
  }
  await Promise.all(Array.from({ length: count }, read))
}

t.test('four streams that share 250 MB/s keep their requests', async (t) => {
  const paced = await openPaced(4, { sizeBytes: 64 * MiB })

  await readBeside(t, paced, 4)

  const whole = { start: 0, end: paced.content.length }
  t.same(paced.store.gets, [whole, whole, whole, whole])
  t.equal(paced.store.receivedBytes, 4 * paced.content.length, 'no byte was received in vain')
})

t.test(
  'of four streams that share 50 MB/s one tries whether several requests bring more',
  async (t) => {
    const paced = await openPaced(20, { sizeBytes: 128 * MiB, isShared: true })
    const { store, content } = paced

    await readBeside(t, paced, 4)

    const long = store.gets.filter((range) => lengthOf(range ?? { start: 0, end: 0 }) > 16 * MiB)
    t.equal(long.length, 5, 'three kept theirs, one has another since it found that they do not')
    t.ok(store.gets.length > 5 && store.gets.length < 20, `${store.gets.length} requests`)
    t.equal(store.receivedBytes, 4 * content.length, 'no byte was received in vain')
  },
)

t.test('streams whose connections are limited go over to several requests', async (t) => {
  const paced = await openPaced(20, { sizeBytes: 128 * MiB })
  const { store, content } = paced

  await readBeside(t, paced, 4)

  const long = store.gets.filter((range) => lengthOf(range ?? { start: 0, end: 0 }) > 16 * MiB)
  t.equal(long.length, 4, 'no other long one')
  t.ok(store.gets.length > 20, `${store.gets.length} requests`)
  t.equal(store.receivedBytes, 4 * content.length, 'no byte was received in vain')
})

t.test('what is fetched ahead of a far answer is shared by the streams that move', (t) => {
  const store = { roundTripMs: 40, receivedBytes: 0 }
  const service = new NearService({ store })
  const aheadMiB = () => service.worthAhead(Number.POSITIVE_INFINITY) / MiB
  const others = [true, true, true, true, false].map((isMoving) => ({ isMoving }))
  const alone = aheadMiB()

  const onEnd = others.map((other) => readsOf(store).add(other))

  t.equal(alone, 44)
  t.equal(aheadMiB(), 12, 'a quarter of 8 and of 40 MiB')
  for (const end of onEnd) end()
  t.equal(aheadMiB(), 44)
  t.end()
})

t.test('a slow connection is kept where streams are demanded', async (t) => {
  const { store, content, properties } = await openPaced(20)
  const streamBelowMs = Number.POSITIVE_INFINITY
  const reader = new BlobReader({ store, path, properties, clock: store.clock, streamBelowMs })

  for await (const part of readAhead(reader, 0)) t.ok(part.length > 0)

  t.same(store.gets, [{ start: 0, end: content.length }])
})

t.test('time in which the process waits for a processor is not the connection’s', async (t) => {
  const { store, content, reader } = await openPaced(20)
  store.clock.queuedMs = () => store.clock.nowMs() * 0.8

  for await (const part of readAhead(reader, 0)) t.ok(part.length > 0)

  t.same(store.gets, [{ start: 0, end: content.length }])
})

t.test('the system’s clock tells how long the process waited for a processor', (t) => {
  const before = systemClock.queuedMs?.() ?? -1
  t.ok(before >= 0)
  t.ok((systemClock.queuedMs?.() ?? -1) >= before, 'it only grows')
  t.end()
})

t.test('time in which nobody waits is not the connection’s', async (t) => {
  const { store, content, reader } = await openPaced(1)

  for await (const part of readAhead(reader, 0)) {
    t.ok(part.length > 0)
    await store.clock.advance(100)
  }

  t.same(store.gets, [{ start: 0, end: content.length }])
})
