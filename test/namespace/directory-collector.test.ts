import fc from 'fast-check'
import t from 'tap'
import type { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { listPages } from '../../src/blob/store.ts'
import { baseName } from '../../src/namespace/blob-name.ts'
import {
  type CollectedDirectory,
  DirectoryCollector,
} from '../../src/namespace/directory-collector.ts'
import type { Entry } from '../../src/namespace/entry.ts'
import { type EntriesByName, EntryMap } from '../../src/namespace/entry-map.ts'
import { listLevel } from '../../src/namespace/listing.ts'
import { storeOf } from '../support/named-blobs.ts'

const seed = Math.floor(Math.random() * 2 ** 31)
const container = 'box'
const onUnreachable = (): void => {}

const segment = fc.oneof(
  fc.stringMatching(/^[a-c]{1,2}$/),
  fc.constantFrom('-', '0', 'a-b', 'a.x', '', '\u{1F600}', '\uff5e', '.abfs'),
)
const blobArbitrary = fc.record({
  name: fc
    .array(segment, { minLength: 1, maxLength: 4 })
    .map((segments) => segments.join('/'))
    .filter((name) => name !== ''),
  kind: fc.constantFrom('file', 'file', 'marker', 'slash'),
})
const shapeArbitrary = fc.record({
  maxResults: fc.integer({ min: 1, max: 7 }),
  root: fc.constantFrom('', '', 'a', 'aa/b'),
})

async function collect(
  store: MemoryBlobStore,
  root: string,
  maxResults: number,
): Promise<CollectedDirectory[]> {
  const found: CollectedDirectory[] = []
  const options = {
    maxEntries: 1000,
    onUnreachable,
    onDirectory: (each: CollectedDirectory) => void found.push(each),
  }
  const collector = new DirectoryCollector(root, 1, options)
  const prefix = { container, name: root === '' ? '' : `${root}/` }
  let atMs = 1
  for await (const rows of listPages(store, prefix, { maxResults })) collector.add(rows, atMs++)
  collector.end()
  return found
}

t.test(`a flat listing tells each directory as its own listing does (seed ${seed})`, async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(blobArbitrary, { minLength: 5, maxLength: 60, selector: ({ name }) => name }),
      shapeArbitrary,
      async (blobs, { maxResults, root }) => {
        const store = await storeOf(container, blobs)

        const found = await collect(store, root, maxResults)

        const names = found.map(({ name }) => name)
        t.equal(new Set(names).size, names.length, 'each is told once')
        t.equal(names.at(-1), root, 'the whole is told last')
        for (const { name, entries, slashMarker } of found) {
          const level = await levelOf(store, name)
          t.strictSame(byKey(entries), byKey(level.entries), `what lies in '${name}'`)
          t.equal(slashMarker, level.isMore, `whether more than entries is in '${name}'`)
          const inside = [...level.entries.values()].filter(({ type }) => type === 'directory')
          for (const child of inside) t.ok(names.includes(child.name), `${child.name} is told too`)
        }
      },
    ),
    { seed, numRuns: 150 },
  )
})

t.test('a directory with too many names is not told, those in it are', async (t) => {
  const blobs = ['a/1', 'a/2', 'a/3', 'a/b/1', 'a/c/1'].map((name) => ({ name, kind: 'file' }))
  const store = await storeOf(container, blobs)
  const names: string[] = []
  const collector = new DirectoryCollector('a', 1, {
    maxEntries: 4,
    onUnreachable,
    onDirectory: ({ name }) => void names.push(name),
  })
  for await (const rows of listPages(store, { container, name: 'a/' }, {})) collector.add(rows, 1)
  collector.end()

  t.strictSame(names, ['a/b', 'a/c'])
})

t.test('an empty directory is told as soon as the listing has passed it', async (t) => {
  const store = await storeOf(container, [
    { name: 'a', kind: 'marker' },
    { name: 'a-b', kind: 'file' },
    { name: 'b', kind: 'marker' },
    { name: 'c', kind: 'marker' },
  ])
  const told: string[] = []
  const collector = new DirectoryCollector('', 1, {
    maxEntries: 10,
    onUnreachable,
    onDirectory: ({ name }) => void told.push(name),
  })
  const steps: string[][] = []
  for await (const rows of listPages(store, { container, name: '' }, { maxResults: 1 })) {
    collector.add(rows, 1)
    steps.push([...told])
  }

  t.strictSame(steps, [[], [], ['a'], ['a', 'b']])
})

t.test('it tells of files that a directory of their name hides', async (t) => {
  const store = await storeOf(container, [
    { name: 'd/a', kind: 'file' },
    { name: 'd/a-b', kind: 'file' },
    { name: 'd/a/c', kind: 'file' },
    { name: 'd/m', kind: 'marker' },
    { name: 'd/m/x', kind: 'file' },
  ])
  const hidden: string[] = []
  const collector = new DirectoryCollector('', 1, {
    maxEntries: 10,
    onUnreachable,
    onHidden: (name) => void hidden.push(name),
    onDirectory: () => undefined,
  })
  for await (const rows of listPages(store, { container, name: '' })) collector.add(rows, 1)

  t.strictSame(hidden, ['d/a'])
})

/** Its entries by name, each under the key by which it is found. */
async function levelOf(store: MemoryBlobStore, name: string) {
  const entries = new EntryMap()
  let isMore = false
  for await (const part of listLevel(store, { container, name }, { onUnreachable })) {
    isMore ||= part.isMore
    for (const entry of part.entries) entries.set(baseName(entry.name), entry)
  }
  return { entries, isMore }
}

function byKey(entries: EntriesByName): (readonly [string, Entry | undefined])[] {
  const keys = [...entries.values()].map(({ name }) => name.slice(name.lastIndexOf('/') + 1))
  return keys.sort().map((key) => [key, entries.get(key)])
}
