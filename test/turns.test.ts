import t from 'tap'
import { collectPages, inTurns, itemsATurn, joined } from '../src/turns.ts'
import { countTurns } from './support/count-turns.ts'

t.test('what is many comes in parts, between which others have their turn', async (t) => {
  const items = Array.from({ length: 2.5 * itemsATurn }, (_, index) => index)
  const turns = countTurns()
  const [lengths, turnsAt]: [number[], number[]] = [[], []]
  for await (const part of inTurns(items)) {
    lengths.push(part.length)
    turnsAt.push(turns.count())
  }
  turns.end()

  t.strictSame(lengths, [itemsATurn, itemsATurn, itemsATurn / 2])
  const [first = 0, second = 0, third = 0] = turnsAt
  t.ok(first < second && second < third, `turns at each part: ${turnsAt.join(', ')}`)
  t.strictSame(await collectPages(inTurns(items)), items)
  t.strictSame(await collectPages(inTurns([])), [])
})

t.test('more parts are joined than a call takes arguments', async (t) => {
  const parts = Array.from({ length: 200_001 }, (_, index) => [index])
  const all = joined(parts)
  t.equal(all.length, parts.length)
  t.ok(all.every((item, index) => item === index))
  t.strictSame(joined([]), [])
})
