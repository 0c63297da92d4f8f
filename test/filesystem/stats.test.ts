import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { createFileSystem } from '../../src/create-file-system.ts'
import { keySignatures } from '../../src/given-credential.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { memoryFileSystem } from '../support/file-system.ts'

t.test('stats tell what was sent and what the cache saved', async (t) => {
  const sandbox = await startSandbox({ containers: ['box'] })
  t.teardown(() => sandbox.close())
  const { account, accountKey, blobEndpoint, caFile } = sandbox
  await using fs = await createFileSystem({
    account,
    blobEndpoint: blobEndpoint.href,
    caFile,
    hns: false,
    integrity: 'none',
    credential: keySignatures(account, accountKey, systemClock),
    environment: {},
  })
  t.match(fs.stats(), { requests: { requests: 0, byOperation: {} }, diskCache: undefined })

  await fs.pipeFile('box/f', new Uint8Array(1000))
  const written = fs.stats().requests
  await using file = await fs.open('box/f')
  await file.read(1000)
  const read = fs.stats()
  file.seek(0)
  await file.read(1000)
  const again = fs.stats()

  t.equal(written?.bytesSent, 1000)
  t.ok(written?.byOperation['blob.put'])
  t.ok((read.requests?.bytesReceived ?? 0) >= 1000)
  t.equal(again.requests?.requests, read.requests?.requests, 'the second time comes from memory')
  t.ok(again.memoryCache.hits > read.memoryCache.hits)
  t.equal(again.memoryCache.loads, 1)
  t.equal(again.memoryCache.bytes, 1000)
})

t.test('a file system that is put together by hand has no counter', async (t) => {
  const { fs } = await memoryFileSystem()

  t.equal(fs.stats().requests, undefined)
})

t.test('stats tell how the listings in memory are used', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/dir/a', 'a')
  await fs.writeText('box/dir/b', 'b')
  fs.invalidateCache()
  const before = fs.stats().listingCache

  await fs.ls('box/dir')
  const first = fs.stats().listingCache
  await fs.ls('box/dir')
  await fs.info('box/dir/a')
  const second = fs.stats().listingCache
  fs.invalidateCache()

  t.equal(before.listings, 0)
  t.ok(first.misses > before.misses)
  t.match(first, { listings: 1, entries: 2, hits: before.hits })
  t.equal(second.hits, first.hits + 2)
  t.equal(second.misses, first.misses)
  t.match(fs.stats().listingCache, { listings: 0, entries: 0 })
})
