import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { MiB } from '../../src/byte-range.ts'
import { DiskCache } from '../../src/transfer/disk-cache.ts'
import { FakeClock } from '../support/fake-clock.ts'

const sizeBytes = MiB

function keyOf(name: string, etag = '"1"') {
  return { endpoint: 'https://a', path: { container: 'box', name }, etag, sizeBytes }
}

async function cacheOf(t: Test, maxBytes: number) {
  const directory = await mkdtemp(join(tmpdir(), 'abfs-pins-'))
  const clock = new FakeClock()
  const open = () => new DiskCache({ directory, maxBytes, clock })
  const cache = open()
  t.teardown(async () => {
    await cache.close()
    await rm(directory, { recursive: true })
  })
  const fill = async (name: string, etag?: string) => {
    await clock.advance(10_000)
    await cache.open(keyOf(name, etag)).write(0, Buffer.alloc(sizeBytes, name))
    await cache.settled()
  }
  /** As another process finds it. */
  const holds = async (name: string, etag?: string) => {
    const other = open()
    const version = other.open(keyOf(name, etag))
    await version.look({ start: 0, end: sizeBytes })
    const found = version.holds({ start: 0, end: sizeBytes })
    await other.close()
    return found
  }
  return { cache, fill, holds }
}

t.test('what is pinned stays while room is made, though it is the oldest', async (t) => {
  const { cache, fill, holds } = await cacheOf(t, 4 * MiB)
  await cache.pin(keyOf('kept'))
  await fill('kept')

  for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) await fill(name)

  t.equal(await holds('kept'), true)
  t.equal(await holds('a'), false)
  const [pinned, ...others] = await cache.pinned()
  t.match(pinned, { path: { container: 'box', name: 'kept' }, sizeBytes })
  t.ok((pinned?.diskBytes ?? 0) >= sizeBytes)
  t.strictSame(others, [])
})

t.test('evict leaves it and says so; unpinned it goes', async (t) => {
  const { cache, fill, holds } = await cacheOf(t, 16 * MiB)
  await cache.pin(keyOf('kept'))
  for (const name of ['kept', 'other']) await fill(name)

  t.match(await cache.evict(), { versions: 1, pinned: 1 })
  t.equal(await holds('kept'), true)
  t.match(await cache.evict(keyOf('kept')), { versions: 0, pinned: 1 })
  t.equal(await cache.unpin(({ path }) => path.name === 'kept'), 1)
  t.match(await cache.evict(), { versions: 1, pinned: 0 })
  t.equal(await holds('kept'), false)
})

t.test('a pin of the next version lets the one before go', async (t) => {
  const { cache, fill } = await cacheOf(t, 16 * MiB)
  await cache.pin(keyOf('file', '"1"'))
  await fill('file', '"1"')

  await cache.pin(keyOf('file', '"2"'))

  t.strictSame(
    (await cache.pinned()).map(({ etag }) => etag),
    ['"2"'],
  )
  t.equal(await cache.unpin(() => true), 1)
})
