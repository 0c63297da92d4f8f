import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { AzureBlobStore } from '../../src/blob/azure-store.ts'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import type { BlobContent, BlobProperties, ContentSink, GetOptions } from '../../src/blob/store.ts'
import { type ByteRange, KiB, MiB } from '../../src/byte-range.ts'
import { type HttpHandler, intercept } from '../../src/http/handler.ts'
import { retry } from '../../src/http/retry.ts'
import { socketHandler } from '../../src/http/socket-handler.ts'
import type { BlobPath } from '../../src/path.ts'
import { BlobReader } from '../../src/transfer/blob-reader.ts'
import { BlobStream } from '../../src/transfer/blob-stream.ts'
import { ChunkCache } from '../../src/transfer/chunk-cache.ts'
import { readAhead } from '../../src/transfer/read-ahead.ts'
import { CountingStore } from '../support/counting-store.ts'
import { settle } from '../support/fake-clock.ts'
import { azureError, type Step, startFaultServer } from '../support/fault-server.ts'

const path = { container: 'data', name: 'dir/file.bin' }

/** Bytes in which every position shows. */
function pattern(sizeBytes: number): Buffer {
  const block = createHash('shake256', { outputLength: 64 * KiB })
    .update('abfs')
    .digest()
  const content = Buffer.alloc(sizeBytes)
  for (let at = 0; at < sizeBytes; at += block.length) {
    block.copy(content, at)
    if (at + 8 <= sizeBytes) content.writeUInt32BE(at / block.length, at)
  }
  return content
}

/** A reader of a service that answers at once, and what it asked for. */
async function openNear(sizeBytes: number, cache?: ChunkCache) {
  const memory = new MemoryBlobStore()
  const store = new CountingStore(memory)
  await memory.createContainer(path.container)
  const content = pattern(sizeBytes)
  const properties = await memory.put(path, content)
  const options = { store, path, properties, cache, streamBelowMs: Number.POSITIVE_INFINITY }
  return { memory, store, content, properties, options, reader: new BlobReader(options) }
}

function gets(store: CountingStore): (ByteRange | undefined)[] {
  return store.requests.filter(({ verb }) => verb === 'get').map(({ range }) => range)
}

t.test('reading ahead of a near service is one request', async (t) => {
  const { content, store, reader } = await openNear(40 * MiB + 3)
  const parts: Uint8Array[] = []

  for await (const part of readAhead(reader, 3)) parts.push(part)

  t.ok(Buffer.concat(parts).equals(content.subarray(3)))
  t.same(gets(store), [{ start: 3, end: content.length }])
})

t.test('leaving the loop ends the request', async (t) => {
  const { store, reader } = await openNear(40 * MiB)

  for await (const part of readAhead(reader, 0)) {
    t.equal(part.length, MiB)
    break
  }

  t.equal(gets(store).length, 1)
  t.equal(store.requests[0]?.signal?.aborted, true)
})

t.test('reads into buffers, one after the other, share a request from the second on', async (t) => {
  const { content, store, reader } = await openNear(60 * MiB)
  const target = Buffer.alloc(10 * MiB)

  for (let at = 0; at < content.length; at += target.length) {
    t.equal(await reader.readInto(target, at), target.length)
    t.ok(target.equals(content.subarray(at, at + target.length)), `at ${at}`)
  }

  t.same(gets(store), [
    { start: 0, end: 10 * MiB },
    { start: 10 * MiB, end: content.length },
  ])
})

t.test('a read into a buffer elsewhere asks for its own range', async (t) => {
  const { content, store, reader } = await openNear(60 * MiB)
  const target = Buffer.alloc(10 * MiB)

  for (const at of [40 * MiB, 5 * MiB]) {
    await reader.readInto(target, at)
    t.ok(target.equals(content.subarray(at, at + target.length)), `at ${at}`)
  }

  t.same(gets(store), [
    { start: 40 * MiB, end: 50 * MiB },
    { start: 5 * MiB, end: 15 * MiB },
  ])
})

t.test('a long sequence of small reads goes over to one request', async (t) => {
  const { content, store, reader } = await openNear(64 * MiB + 5)

  for (let at = 0; at < content.length; at += 128 * KiB) {
    const part = Buffer.concat(await reader.read({ start: at, end: at + 128 * KiB }))
    if (!part.equals(content.subarray(at, at + 128 * KiB))) t.fail(`wrong bytes at ${at}`)
  }

  const ranges = gets(store)
  t.equal(ranges.at(-1)?.end, content.length)
  const [first] = ranges
  t.same(first, { start: 0, end: 128 * KiB })
  t.ok(ranges.length < 25, `${ranges.length} requests`)
  const fetched = ranges.reduce((sum, range) => sum + (range ? range.end - range.start : 0), 0)
  t.equal(fetched, content.length)
})

t.test('who begins with a mebibyte at the beginning gets all by one request', async (t) => {
  const { content, store, reader } = await openNear(40 * MiB + 5)

  for (let at = 0; at < content.length; at += MiB) {
    const part = Buffer.concat(await reader.read({ start: at, end: at + MiB }))
    if (!part.equals(content.subarray(at, at + MiB))) t.fail(`wrong bytes at ${at}`)
  }

  t.same(gets(store), [{ start: 0, end: content.length }])
})

t.test('headers, and long reads elsewhere, ask for their own ranges', async (t) => {
  const { content, store, reader } = await openNear(40 * MiB)
  const wanted = [
    { start: 0, end: 128 * KiB },
    { start: 10 * MiB, end: 11 * MiB },
  ]

  for (const range of wanted) {
    const part = Buffer.concat(await reader.read(range))
    t.ok(part.equals(content.subarray(range.start, range.end)))
  }

  t.same(gets(store), wanted)
})

t.test(
  'a reader that leaves after a mebibyte ends the request, of which it took little',
  async (t) => {
    const cache = new ChunkCache()
    const { store, reader } = await openNear(80 * MiB, cache)
    await reader.read({ start: 0, end: MiB })
    await settle()

    reader.close()

    t.equal(gets(store).length, 1)
    t.equal(store.requests[0]?.signal?.aborted, true)
    t.ok(cache.sizeBytes <= 9 * MiB, `${cache.sizeBytes / MiB} MiB`)
  },
)

t.test('two sequences in turns do not break off a stream at each read', async (t) => {
  const { content, store, reader } = await openNear(96 * MiB)
  const half = 48 * MiB

  for (let at = 0; at < half; at += 128 * KiB) {
    for (const start of [at, half + at]) {
      const part = Buffer.concat(await reader.read({ start, end: start + 128 * KiB }))
      if (!part.equals(content.subarray(start, start + 128 * KiB)))
        t.fail(`wrong bytes at ${start}`)
    }
  }

  t.ok(gets(store).length < 80, `${gets(store).length} requests`)
})

t.test('a reader that closes leaves the chunks that others wait for to be fetched', async (t) => {
  const cache = new ChunkCache()
  const { content, options, reader } = await openNear(40 * MiB, cache)
  const other = new BlobReader(options)
  for (let at = 0; at < 10 * MiB; at += MiB) await reader.read({ start: at, end: at + MiB })

  const awaited = other.read({ start: 10 * MiB, end: 20 * MiB })
  reader.close()

  t.ok(Buffer.concat(await awaited).equals(content.subarray(10 * MiB, 20 * MiB)))
})

t.test('an aborted fill closes the stream and is not written to afterwards', async (t) => {
  const reason = new Error('enough')
  const { reader } = await openNear(20 * MiB)
  const stream = reader.stream(0)
  const abort = new AbortController()
  const first = Buffer.alloc(MiB)
  const second = Buffer.alloc(MiB, 0xee)

  t.equal(await stream?.fill(first), true)
  const filling = stream?.fill(second, abort.signal)
  abort.abort(reason)

  await t.rejects(async () => void (await filling), reason)
  const before = Buffer.from(second)
  t.equal(await stream?.fill(Buffer.alloc(10)), false)
  t.ok(second.equals(before))
})

t.test('a stream whose blob was replaced rejects with ESTALE', async (t) => {
  const { memory, reader } = await openNear(20 * MiB)
  await memory.put(path, pattern(20 * MiB))

  await t.rejects(reader.readInto(Buffer.alloc(10 * MiB), 0), { code: 'ESTALE' })
})

t.test('a blob that was deleted before a stream began rejects with ESTALE', async (t) => {
  const { memory, reader } = await openNear(20 * MiB)
  await memory.delete(path)

  await t.rejects(reader.readInto(Buffer.alloc(10 * MiB), 0), { code: 'ESTALE' })
})

const size = 3 * MiB
const whole = pattern(size)

/** Sends the range that is asked for, and breaks off after `bytes` of it. */
function breakAfter(bytes: number, etag = '"1"'): Step {
  return (request, response) => {
    const [, first = '0'] = /bytes=(\d+)-/.exec(String(request.headers['x-ms-range'])) ?? []
    const start = Number(first)
    if (request.headers['if-match'] !== etag) {
      azureError(412, 'ConditionNotMet')(request, response)
      return
    }
    response.writeHead(206, {
      'content-length': size - start,
      'content-range': `bytes ${start}-${size - 1}/${size}`,
      etag,
    })
    const part = whole.subarray(start, start + bytes)
    if (start + bytes >= size) response.end(part)
    else response.write(part, () => response.destroy())
  }
}

async function streamFrom(t: Test, steps: readonly Step[], isEndless?: () => boolean) {
  const server = await startFaultServer(t, ...steps)
  const { handle, close } = socketHandler()
  t.teardown(close)
  const clock = { nowMs: () => 0, sleep: () => Promise.resolve() }
  const http = intercept(handle, retry({ clock, maxAttempts: 3 }))
  const store = new AzureBlobStore({ account: 'a', endpoint: server.url, http, isEndless })
  const range = { start: 0, end: size }
  const etag = () => '"1"'
  const stream = new BlobStream({ store, path, range, etag, check: () => undefined, clock })
  const target = Buffer.alloc(size)
  return { server, target, filled: stream.fill(target) }
}

t.test('a body that breaks is continued from its last byte, of the same version', async (t) => {
  const steps = [
    breakAfter(MiB),
    breakAfter(100_000),
    azureError(503, 'ServerBusy'),
    breakAfter(size),
  ]
  const { server, target, filled } = await streamFrom(t, steps)

  t.equal(await filled, true)

  t.ok(target.equals(whole))
  t.match(
    server.seen.map(({ headers }) => [headers['x-ms-range'], headers['if-match']]),
    [
      [`bytes=0-${size - 1}`, '"1"'],
      [`bytes=${MiB}-${size - 1}`, '"1"'],
      [`bytes=${MiB + 100_000}-${size - 1}`, '"1"'],
      [`bytes=${MiB + 100_000}-${size - 1}`, '"1"'],
    ],
  )
})

t.test('a body that breaks and was replaced meanwhile rejects with ESTALE', async (t) => {
  const { server, filled } = await streamFrom(t, [breakAfter(MiB), breakAfter(size, '"2"')])

  await t.rejects(filled, { code: 'ESTALE' })

  t.equal(server.seen.length, 2)
})

t.test('a body that breaks again and again ends with EIO after bounded tries', async (t) => {
  const { server, filled } = await streamFrom(t, [breakAfter(1000)])

  await t.rejects(filled, { code: 'EIO' })

  t.equal(server.seen.length, 6)
})

t.test('where calls wait for the service, as often as it takes, while they wait', async (t) => {
  const breaks = Array.from({ length: 20 }, () => breakAfter(1000))
  const { target, filled } = await streamFrom(t, [...breaks, breakAfter(size)], () => true)
  t.equal(await filled, true)
  t.ok(target.equals(whole))

  let asked = 0
  const ended = await streamFrom(t, [breakAfter(1000)], () => ++asked < 10)
  await t.rejects(ended.filled, { code: 'EIO' })
  t.equal(ended.server.seen.length, 15)
})

t.test('a service that breaks before the first byte is asked as often as retry says', async (t) => {
  const { server, filled } = await streamFrom(t, [breakAfter(0)])

  await t.rejects(filled, { code: 'EIO' })

  t.equal(server.seen.length, 3)
})

t.test('a service that is far, or of unknown distance, is not streamed', async (t) => {
  const { options, properties } = await openNear(20 * MiB)
  const farStore = new (class extends MemoryBlobStore {
    readonly roundTripMs = 40
    override get(_path: BlobPath, _options?: GetOptions): Promise<BlobContent> {
      throw new Error('nothing is asked for')
    }
  })()
  const unknown = new BlobReader({ ...options, streamBelowMs: undefined })
  const far = new BlobReader({ ...options, store: farStore, streamBelowMs: 39 })
  const near = new BlobReader({ ...options, store: farStore, streamBelowMs: 41 })

  t.equal(unknown.stream(0), undefined)
  t.equal(far.stream(0), undefined)
  t.ok(near.stream(0))
  t.equal(near.stream(properties.sizeBytes - MiB), undefined)
})

for (const { roundTripMs, leastMiB, mostMiB } of [
  { roundTripMs: 0, leastMiB: 4, mostMiB: 4 },
  { roundTripMs: 10, leastMiB: 14, mostMiB: 14 },
  // In whole requests of 8 MiB.
  { roundTripMs: 40, leastMiB: 24, mostMiB: 32 },
]) {
  const title = `${mostMiB} MiB are fetched ahead from a service that answers after ${roundTripMs} ms`
  t.test(title, async (t) => {
    const store = new (class extends MemoryBlobStore {
      readonly roundTripMs = roundTripMs
    })()
    await store.createContainer(path.container)
    const properties = await store.put(path, Buffer.alloc(80 * MiB))
    const cache = new ChunkCache()
    const reader = new BlobReader({ store, path, properties, cache })
    const readBytes = 32 * MiB
    for (let start = 0; start < readBytes; start += MiB) {
      await reader.read({ start, end: start + MiB })
      await settle()
    }

    const aheadMiB = (cache.sizeBytes - readBytes) / MiB
    t.ok(aheadMiB >= leastMiB && aheadMiB <= mostMiB, `${aheadMiB} MiB`)
    reader.close()
  })
}

t.test('a store tells how soon its service answers, not how long it took to connect', async (t) => {
  const server = await startFaultServer(t, breakAfter(size))
  const { handle, close } = socketHandler()
  t.teardown(close)
  const store = new AzureBlobStore({ account: 'a', endpoint: server.url, http: handle })
  t.equal(store.roundTripMs, undefined)

  const content: { properties: BlobProperties } = await store.get(path, {
    range: { start: 0, end: size },
    ifMatch: '"1"',
  })

  t.equal(content.properties.sizeBytes, size)
  t.type(store.roundTripMs, 'number')
})

t.test('a store counts the bytes of all its reads as they come', async (t) => {
  const server = await startFaultServer(t, breakAfter(size))
  const { handle, close } = socketHandler()
  t.teardown(close)
  const store = new AzureBlobStore({ account: 'a', endpoint: server.url, http: handle })
  const room = Buffer.alloc(size)
  const counted: boolean[] = []
  let filled = 0
  const sink: ContentSink = {
    begin: () => undefined,
    next: () => room.subarray(filled),
    filled(count) {
      filled += count
      counted.push(store.receivedBytes === filled)
    },
  }
  const options = { range: { start: 0, end: size }, ifMatch: '"1"' }

  await store.get(path, { ...options, sink })
  await store.get(path, options)

  t.ok(counted.length > 0 && !counted.includes(false), 'while a body comes')
  t.equal(store.receivedBytes, 2 * size)
})

t.test('a listing tells how soon its service answers, until somebody reads', async (t) => {
  const answersAfter = [30, 90, 10]
  const http: HttpHandler = async () => {
    const body = Buffer.from('<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>')
    return { status: 200, headers: {}, body, firstByteMs: answersAfter.shift() }
  }
  const store = new AzureBlobStore({ account: 'a', endpoint: new URL('http://127.0.0.1'), http })
  const told: (number | undefined)[] = []

  for (let page = 0; page < 3; page++) {
    await store.listPage({ container: 'data', name: '' })
    told.push(store.roundTripMs)
  }

  t.same(told, [30, 30, 10], 'a page that takes longer to make says nothing')
})
