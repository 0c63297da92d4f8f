import fc from 'fast-check'
import t from 'tap'
import { impliedDirectory } from '../../src/namespace/blob-entry.ts'
import type { Entry } from '../../src/namespace/entry.ts'
import { EntryMap } from '../../src/namespace/entry-map.ts'

const names = fc.stringMatching(/^[a-c]{1,3}$/)
const steps = fc.array(fc.record({ kind: fc.constantFrom('set', 'delete', 'get'), name: names }))

t.test('it is a Map, whatever is put in and taken out in whatever order', async () => {
  fc.assert(
    fc.property(steps, (list) => {
      const ours = new EntryMap({ namesPerPart: 3 })
      const map = new Map<string, Entry>()
      for (const { kind, name } of list) {
        if (kind === 'set') {
          const entry = impliedDirectory(name)
          ours.set(name, entry)
          map.set(name, entry)
        } else if (kind === 'delete' && ours.delete(name) !== map.delete(name)) return false
        if (ours.get(name) !== map.get(name) || ours.has(name) !== map.has(name)) return false
        if (ours.size !== map.size) return false
      }
      const sorted = (entries: Iterable<Entry>) => [...entries].map((entry) => entry.name).sort()
      return String(sorted(ours.values())) === String(sorted(map.values()))
    }),
    { numRuns: 1000 },
  )
})

t.test('names that are only added are told in the order in which they came', async (t) => {
  const given = ['b', 'c', 'a', 'e', 'd', 'b', 'f', 'aa']
  const ours = new EntryMap({ namesPerPart: 2 })
  for (const name of given) ours.set(name, impliedDirectory(name))
  t.strictSame(
    [...ours.values()].map(({ name }) => name),
    [...new Set(given)],
  )
})
