import fc from 'fast-check'
import t from 'tap'
import { createPathIndex, type PathChange } from '../../src/storage-server/model/path-index.ts'
import type { PathState } from '../../src/storage-server/model/record.ts'

const alphabet = ['a', 'b', '/', '-', '.', 'é', '\uff5e', '😀', '\u{10fffe}', '漢']
const names = fc
  .array(fc.constantFrom(...alphabet), { minLength: 1, maxLength: 5 })
  .map((characters) => characters.join(''))

const directory = {
  kind: 'directory',
  etag: '',
  createdMs: 0,
  lastModifiedMs: 0,
  metadata: {},
} as const

function namesOf(states: Iterable<PathState>): string[] {
  return [...states].map(({ name }) => name)
}

function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other))
}

function bySegments(one: string, other: string): number {
  return byBytes(one.replaceAll('/', '\0'), other.replaceAll('/', '\0'))
}

for (const hierarchical of [false, true]) {
  const kind = hierarchical ? 'hierarchical' : 'flat'
  const order = hierarchical ? bySegments : byBytes

  void t.test(`a ${kind} index keeps names in order through any changes`, async (t) => {
    const changes = fc.array(fc.tuple(fc.boolean(), names), { maxLength: 60 })
    const run = fc.check(
      fc.property(changes, names, (steps, start) => {
        const index = createPathIndex({ hierarchical })
        const expected = new Set<string>()
        for (const [isPut, name] of steps) {
          if (isPut) index.put({ name })
          else index.remove(name)
          if (isPut) expected.add(name)
          else expected.delete(name)
        }
        const sorted = [...expected].sort(order)
        const after = sorted.filter((name) => order(name, start) >= 0)

        return (
          index.size === sorted.length &&
          JSON.stringify(namesOf(index.from(''))) === JSON.stringify(sorted) &&
          JSON.stringify(namesOf(index.from(start))) === JSON.stringify(after) &&
          JSON.stringify(namesOf(index.from(start, true))) ===
            JSON.stringify(after.filter((name) => name !== start)) &&
          JSON.stringify(namesOf(index.below(start))) ===
            JSON.stringify(sorted.filter((name) => name.startsWith(`${start}/`)))
        )
      }),
    )

    t.notOk(run.failed, `seed ${run.seed}: ${JSON.stringify(run.counterexample)}`)
  })

  void t.test(`a ${kind} index of many chunks finds, walks and forgets names`, async (t) => {
    const index = createPathIndex({ hierarchical })
    const count = 20_000
    const all = Array.from(
      { length: count },
      (_, at) => `d${(at * 7919) % 97}/n${(at * 31) % count}`,
    )
    for (const name of all) index.put({ name })
    const sorted = [...new Set(all)].sort(order)

    t.same(namesOf(index.from('')), sorted)
    t.same(
      namesOf(index.below('d7')),
      sorted.filter((name) => name.startsWith('d7/')),
    )
    for (const name of sorted.slice(0, 15_000)) index.remove(name)
    t.same(namesOf(index.from('')), sorted.slice(15_000))
    t.equal(index.get(sorted[0] ?? ''), undefined)
    t.same(index.get(sorted[16_000] ?? ''), { name: sorted[16_000] })
  })
}

void t.test('a walk goes on after names are removed and added behind and before it', async (t) => {
  const index = createPathIndex({ hierarchical: false })
  for (const name of ['b', 'd', 'f', 'h']) index.put({ name })
  const seen: string[] = []

  for (const { name } of index.from('')) {
    seen.push(name)
    index.remove(name)
    if (name === 'd') for (const more of ['a', 'e']) index.put({ name: more })
  }

  t.same(seen, ['b', 'd', 'e', 'f', 'h'])
  t.same(namesOf(index.from('')), ['a'])
})

void t.test('rename moves a directory with all below it and leaves its neighbours', async (t) => {
  const changes: PathChange[] = []
  const index = createPathIndex({ hierarchical: true, onChange: (change) => changes.push(change) })
  for (const name of ['a', 'a-b', 'a/x', 'a/y', 'a/y/z', 'ab/x', 'c']) {
    index.put({ name, current: directory })
  }
  const before = changes.length

  index.rename('a', 'c/d')

  t.same(namesOf(index.from('')), ['a-b', 'ab/x', 'c', 'c/d', 'c/d/x', 'c/d/y', 'c/d/y/z'])
  t.same(changes.slice(before), [{ kind: 'rename', from: 'a', to: 'c/d' }])
})

void t.test('rename leaves soft-deleted records under the name they were deleted at', async (t) => {
  const index = createPathIndex({ hierarchical: true })
  const deleted = [{ record: directory, deletedMs: 1, remainingDays: 7, deletionId: '1' }]
  index.put({ name: 'a', current: directory })
  index.put({ name: 'a/gone', deleted })
  index.put({ name: 'b', deleted })

  index.rename('a', 'b')

  t.same(
    [...index.from('')],
    [
      { name: 'a/gone', deleted },
      { name: 'b', current: directory, deleted },
    ],
  )
})

void t.test('rename onto a name that is taken throws', async (t) => {
  const index = createPathIndex({ hierarchical: true })
  index.put({ name: 'a', current: directory })
  index.put({ name: 'b', current: directory })

  t.throws(() => index.rename('a', 'b'), RangeError)
})
