import fc from 'fast-check'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import type { ListEntry } from '../../src/blob/store.ts'
import type { Entry } from '../../src/namespace/entry.ts'
import { listLevel, walkTree } from '../../src/namespace/listing.ts'
import { countTurns } from '../support/count-turns.ts'
import { storeOf } from '../support/named-blobs.ts'

const container = 'box'
const seed = Math.floor(Math.random() * 2 ** 31)
const onUnreachable = (): void => {}

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

const segment = fc.oneof(
  fc.stringMatching(/^[a-b][ !-.0]{0,2}[a-b]?$/),
  fc.constantFrom('a', 'a-b', '\u{1F600}', '\u{1F600}-b', '\uff5e'),
)
const nameArbitrary = fc
  .tuple(
    segment,
    fc.option(segment, { nil: undefined }),
    fc.constantFrom('file', 'marker', 'slash'),
  )
  .map(([first, second, kind]) => ({ name: second ? `${first}/${second}` : first, kind }))

/** What services do differently: how many rows a page has, whether blobs come first on it, whether prefixes are repeated. */
const serviceArbitrary = fc.record({
  rows: fc.integer({ min: 1, max: 5 }),
  blobsFirst: fc.boolean(),
  repeats: fc.boolean(),
})

async function levelOf(store: MemoryBlobStore): Promise<Entry[]> {
  const found: Entry[] = []
  for await (const part of listLevel(store, { container, name: '' }, { onUnreachable })) {
    found.push(...part.entries)
  }
  return found
}

const byName = (a: Entry, b: Entry) => (a.name < b.name ? -1 : 1)

t.test(`a level is the same however it is paged (seed ${seed})`, async (t) => {
  const blobsArbitrary = fc.uniqueArray(nameArbitrary, {
    minLength: 3,
    maxLength: 40,
    selector: ({ name, kind }) => `${name} ${kind === 'slash'}`,
  })
  await fc.assert(
    fc.asyncProperty(blobsArbitrary, serviceArbitrary, async (blobs, service) => {
      const store = await storeOf(container, blobs)
      const whole = await levelOf(store)
      const listPage = store.listPage.bind(store)
      let last: ListEntry | undefined
      store.listPage = async (prefix, options) => {
        const page = await listPage(prefix, { ...options, maxResults: service.rows })
        const again = service.repeats && last?.kind === 'prefix' ? [last] : []
        last = page.entries.at(-1)
        const entries = [...again, ...page.entries]
        if (service.blobsFirst)
          entries.sort((a, b) => (a.kind < b.kind ? -1 : Number(a.kind > b.kind)))
        return { ...page, entries }
      }

      const found = await levelOf(store)

      t.strictSame(found.sort(byName), whole.sort(byName))
      t.equal(new Set(found.map(({ name }) => name)).size, found.length, 'each is told once')
    }),
    { seed, numRuns: 200 },
  )
})

t.test(
  'a page of a level is told before the next is asked for, but what may be hidden',
  async (t) => {
    const names = ['a', 'b', 'b-c', 'b/d', 'e', 'f']
    const store = await storeOf(
      container,
      names.map((name) => ({ name, kind: 'file' })),
    )
    const listPage = store.listPage.bind(store)
    let asked = 0
    store.listPage = (prefix, options) => {
      asked++
      return listPage(prefix, { ...options, maxResults: 2 })
    }

    const told: string[] = []
    for await (const { entries } of listLevel(store, { container, name: '' }, { onUnreachable })) {
      for (const { name, type } of entries) told.push(`${asked} ${name} ${type}`)
    }

    t.strictSame(told, ['1 a file', '3 b directory', '3 b-c file', '3 e file', '3 f file'])
  },
)
