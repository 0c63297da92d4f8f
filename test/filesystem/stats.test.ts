import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { createFileSystem } from '../../src/create-file-system.ts'
import { keySignatures } from '../../src/given-credential.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { MemoryBudget } from '../../src/transfer/memory-budget.ts'
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

t.test('listings hold as many names as they may, the last used ones', async (t) => {
  const { fs } = await memoryFileSystem({ listingCacheEntries: 6 })
  for (const name of ['one/a', 'one/b', 'two/a', 'two/b', 'large/a', 'large/b', 'large/c']) {
    await fs.writeText(`box/${name}`, name)
  }
  for (let at = 0; at < 6; at++) await fs.writeText(`box/large/more-${at}`, '')
  fs.invalidateCache()

  await fs.ls('box/one')
  await fs.ls('box/two')
  const held = fs.stats().listingCache
  const all = await fs.ls('box/large')
  const after = fs.stats().listingCache
  await fs.ls('box/two')

  t.match(held, { listings: 2, entries: 4, maxEntries: 6 })
  t.equal(all.length, 9)
  t.equal(after.misses, held.misses + 1)
  t.match(after, { listings: 2, entries: 4 })
  t.equal(fs.stats().listingCache.hits, after.hits + 1)
})

t.test('less memory for transfers is less for listings', async (t) => {
  const { fs } = await memoryFileSystem({ memory: new MemoryBudget({ maxBytes: 10 * 1024 }) })
  const usual = await memoryFileSystem()

  t.equal(fs.stats().listingCache.maxEntries, 10)
  t.equal(usual.fs.stats().listingCache.maxEntries, 200_000)
  await t.rejects(memoryFileSystem({ listingCacheEntries: 0 }), {
    name: 'RangeError',
    message: /listingCacheEntries: expected names, an integer of 1 or more, got 0/,
  })
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
