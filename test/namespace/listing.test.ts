import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { walkTree } from '../../src/namespace/listing.ts'
import { countTurns } from '../support/count-turns.ts'

const container = 'box'

t.test('within a long page of a tree others have their turn', async (t) => {
  const store = new MemoryBlobStore()
  await store.createContainer(container)
  const names = Array.from({ length: 2500 }, (_, index) => `d/f${String(index).padStart(4, '0')}`)
  for (const name of names) await store.put({ container, name }, new Uint8Array())
  const page = await store.listPage({ container, name: '' })
  t.equal(page.entries.length, names.length, 'it is one page')

  const turns = countTurns()
  const [found, turnsAt]: [string[], number[]] = [[], []]
  const options = { directories: false, onUnreachable: () => t.fail('all names are paths') }
  for await (const entries of walkTree(store, { container, name: '' }, options)) {
    t.ok(entries.length <= 1000, `${entries.length} at once`)
    found.push(...entries.map(({ name }) => name))
    turnsAt.push(turns.count())
  }
  turns.end()

  t.strictSame(found, names)
  const [first = 0, second = 0, third = 0] = turnsAt
  t.ok(first < second && second < third, `turns at each part: ${turnsAt.join(', ')}`)
})
