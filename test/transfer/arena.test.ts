import fc from 'fast-check'
import t from 'tap'
import { KiB, MiB } from '../../src/byte-range.ts'
import { Arena } from '../../src/transfer/arena.ts'

const seed = Number(process.env['ABFS_TEST_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)

const overlap = (a: Uint8Array, b: Uint8Array) =>
  a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength

t.test('places that are taken never overlap, and all come back', (t) => {
  const step = fc.record({ sizeBytes: fc.integer({ min: 1, max: 300 * KiB }), gives: fc.nat(9) })
  const run = fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
    const arena = new Arena(MiB)
    const taken: Uint8Array[] = []
    for (const { sizeBytes, gives } of steps) {
      const place = arena.take(sizeBytes)
      if (place !== undefined) {
        if (place.byteLength !== sizeBytes) return false
        if (taken.some((other) => overlap(place, other))) return false
        taken.push(place)
      }
      const [back] = gives < taken.length ? taken.splice(gives, 1) : []
      if (back !== undefined) arena.give(back)
    }
    for (const place of taken) arena.give(place)
    return arena.take(MiB)?.byteOffset === 0
  })
  fc.assert(run, { seed, numRuns: 300 })
  t.end()
})

t.test('there is no place where there is no room, and the lowest is used first', (t) => {
  const arena = new Arena(192 * KiB)
  const first = arena.take(1) ?? t.fail('no room')
  arena.take(64 * KiB)
  arena.take(64 * KiB)

  t.equal(arena.take(1), undefined)
  if (first instanceof Uint8Array) arena.give(first)
  t.equal(arena.take(64 * KiB)?.byteOffset, 0)
  t.equal(arena.take(1), undefined)
  t.end()
})
