import t from 'tap'
import { clampRange, lengthOf, splitRange } from '../src/byte-range.ts'

t.test('splitRange cuts a range into pieces of at most the size asked', async (t) => {
  const pieces = splitRange({ start: 3, end: 10 }, 4)

  t.same(pieces, [
    { start: 3, end: 7 },
    { start: 7, end: 10 },
  ])
})

t.test('splitRange of an empty range is empty', async (t) => {
  t.same(splitRange({ start: 5, end: 5 }, 4), [])
})

t.test('clampRange keeps what lies within the size', async (t) => {
  t.same(clampRange({ start: 3, end: 10 }, 6), { start: 3, end: 6 })
  t.equal(lengthOf(clampRange({ start: 8, end: 10 }, 6)), 0)
})
