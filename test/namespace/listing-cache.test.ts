import t from 'tap'
import { impliedDirectory } from '../../src/namespace/blob-entry.ts'
import { ListingCache } from '../../src/namespace/listing-cache.ts'
import { FakeClock } from '../support/fake-clock.ts'

const directory = { container: 'data', name: 'd' }

/** How long a listing of `count` names is answered from the cache; milliseconds. */
function lifeOf(count: number, ttlMs: number): number | undefined {
  const clock = new FakeClock()
  const cache = new ListingCache({ clock, ttlMs, maxEntries: 1_000_000 })
  const names = Array.from({ length: count }, (_, i) => `${i}`)
  const entries = new Map(names.map((name) => [name, impliedDirectory(`d/${name}`)]))
  cache.keep(directory, entries, { slashMarker: false })
  const expiresAtMs = cache.fresh(directory)?.expiresAtMs
  return expiresAtMs === undefined ? undefined : expiresAtMs - clock.nowMs()
}

t.test('a listing of many names is believed longer, up to five times', async (t) => {
  t.equal(lifeOf(0, 5000), 5000)
  t.equal(lifeOf(4999, 5000), 5000)
  t.equal(lifeOf(5000, 5000), 5500)
  t.equal(lifeOf(100_000, 5000), 15_000)
  t.equal(lifeOf(200_000, 5000), 25_000)
  t.equal(lifeOf(300_000, 5000), 25_000)
})

t.test('where listings are not kept, long ones are not either', async (t) => {
  t.equal(lifeOf(100_000, 0), undefined)
})

t.test('what is believed for ever is not believed longer', async (t) => {
  const forEver = Number.MAX_SAFE_INTEGER
  t.equal(lifeOf(100_000, forEver), lifeOf(1, forEver))
})

t.test('its life ends when it is over, whoever has asked meanwhile', async (t) => {
  const clock = new FakeClock()
  const cache = new ListingCache({ clock, ttlMs: 1000, maxEntries: 10_000 })
  const entries = new Map([['a', impliedDirectory('d/a')]])
  cache.keep(directory, entries, { slashMarker: false })

  await clock.advance(999)
  t.ok(cache.fresh(directory))
  await clock.advance(1)

  t.equal(cache.fresh(directory), undefined)
})
