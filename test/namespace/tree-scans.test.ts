import t, { type Test } from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import type { ListOptions, ListPage } from '../../src/blob/store.ts'
import { Namespace } from '../../src/namespace/namespace.ts'
import type { BlobPath } from '../../src/path.ts'
import { CountingStore } from '../support/counting-store.ts'
import { FakeClock } from '../support/fake-clock.ts'

const container = 'box'
const listingTtlMs = 10_000

/** A service whose pages are short. */
class SmallPages extends CountingStore {
  readonly pageSize: number

  constructor(store: MemoryBlobStore, pageSize: number) {
    super(store)
    this.pageSize = pageSize
  }

  override listPage(prefix: BlobPath, options: ListOptions = {}): Promise<ListPage> {
    return super.listPage(prefix, { maxResults: this.pageSize, ...options })
  }
}

interface Tree {
  readonly store: SmallPages
  readonly elsewhere: MemoryBlobStore
  readonly namespace: Namespace
  readonly clock: FakeClock
  list(name: string): Promise<string>
}

async function treeOf(
  _t: Test,
  names: readonly string[],
  { pageSize = 100, scanTrees = true, maxEntries = 200_000 } = {},
): Promise<Tree> {
  const elsewhere = new MemoryBlobStore()
  await elsewhere.createContainer(container)
  for (const name of names) await elsewhere.put({ container, name }, Buffer.from('x'), {})
  const store = new SmallPages(elsewhere, pageSize)
  const clock = new FakeClock()
  const namespace = new Namespace({
    store,
    clock,
    listingTtlMs,
    scanTrees,
    listingCacheEntries: maxEntries,
  })
  const list = async (name: string): Promise<string> => {
    const entries = await namespace.list({ container, name })
    return entries.map((entry) => entry.name.slice(name.length + 1)).join(' ')
  }
  return { store, elsewhere, namespace, clock, list }
}

/** `d/000/a`, `d/000/b`, `d/001/a`, … */
function rowOfDirectories(count: number): string[] {
  return Array.from({ length: count }, (_, index) => nameOf(index)).flatMap((name) => [
    `${name}/a`,
    `${name}/b`,
  ])
}

function nameOf(index: number): string {
  return `d/${String(index).padStart(3, '0')}`
}

t.test('who lists one directory after the other is answered by the page', async (t) => {
  const { list, store } = await treeOf(t, rowOfDirectories(400))
  await list('d')
  store.take()

  for (let index = 0; index < 400; index++) t.equal(await list(nameOf(index)), 'a b')

  // Three by themselves, then 800 blobs in pages of 100.
  t.equal(store.take().length, 3 + 8)
})

t.test('a tree of trees is scanned from as high up as it is gone through', async (t) => {
  const names: string[] = []
  for (const top of 'abcdefgh')
    for (const middle of 'abcdefgh')
      for (const low of 'abcdefgh') names.push(`${top}/${middle}/${low}/f`)
  const { namespace, store } = await treeOf(t, names)
  const found: string[] = []
  const walk = async (name: string): Promise<void> => {
    for (const entry of await namespace.list({ container, name })) {
      found.push(entry.name)
      if (entry.type === 'directory') await walk(entry.name)
    }
  }

  await walk('')

  t.equal(found.length, 8 + 64 + 512 + 512)
  const requests = store.take().length
  t.ok(requests < 60, `${requests} requests for 585 directories`)
})

t.test('who jumps about is given no pages, or few', async (t) => {
  const names = rowOfDirectories(500)
  const plain = await treeOf(t, names, { scanTrees: false })
  const scanning = await treeOf(t, names)
  for (const tree of [plain, scanning]) await tree.list('d')
  const order = Array.from({ length: 200 }, (_, index) => (index * 311) % 500)
  for (const tree of [plain, scanning]) {
    tree.store.take()
    for (const index of order) t.equal(await tree.list(nameOf(index)), 'a b')
  }

  const most = plain.store.take().length * 1.25
  const requests = scanning.store.take().length
  t.ok(requests <= most, `${requests} requests`)
})

t.test('directories that are larger than pages are listed by themselves', async (t) => {
  const names = Array.from({ length: 40 }, (_, index) => nameOf(index)).flatMap((name) =>
    Array.from({ length: 50 }, (_, file) => `${name}/${file}`),
  )
  const { list, store } = await treeOf(t, names, { pageSize: 10 })
  await list('d')
  store.take()

  for (let index = 0; index < 40; index++)
    t.equal((await list(nameOf(index))).length, 40 * 3 + 10 * 2 - 1)

  const requests = store.take().length
  t.ok(requests <= 200 * 1.25, `${requests} requests for 200 pages`)
})

t.test('what a page told is believed no longer than a listing', async (t) => {
  const { list, elsewhere, clock } = await treeOf(t, rowOfDirectories(20))
  await list('d')
  for (let index = 0; index < 5; index++) await list(nameOf(index))
  await elsewhere.put({ container, name: `${nameOf(10)}/new` }, Buffer.from('x'), {})
  await elsewhere.delete({ container, name: `${nameOf(11)}/a` })

  t.equal(await list(nameOf(10)), 'a b')
  await clock.advance(listingTtlMs)
  t.equal(await list(nameOf(10)), 'a b new')
  t.equal(await list(nameOf(11)), 'b')
})

t.test('own changes are seen at once, also in what a page is about to tell', async (t) => {
  const { list, store, namespace } = await treeOf(t, rowOfDirectories(200), { pageSize: 99 })
  await list('d')
  for (let index = 0; index < 40; index++) await list(nameOf(index))
  // A page ends inside a directory: `d/049` was told in part.
  await namespace.removeFile({ container, name: `${nameOf(49)}/a` })
  let changed = false
  store.before = async ({ verb }) => {
    if (verb !== 'listPage' || changed) return
    changed = true
    await namespace.makeDirectory({ container, name: `${nameOf(60)}/new` })
    await namespace.removeFile({ container, name: `${nameOf(61)}/b` })
    await namespace.rename(
      { container, name: `${nameOf(62)}/a` },
      { container, name: `${nameOf(63)}/c` },
    )
  }

  const found: string[] = []
  for (let index = 40; index < 200; index++) found.push(await list(nameOf(index)))

  t.ok(changed)
  const expected = found.map((_, at) => {
    const special: Record<number, string> = {
      49: 'b',
      60: 'a b new',
      61: 'a',
      62: 'b',
      63: 'a b c',
    }
    return special[at + 40] ?? 'a b'
  })
  t.strictSame(found, expected)
})

t.test('a directory that goes as a whole is not brought back by a page', async (t) => {
  const { list, namespace } = await treeOf(t, rowOfDirectories(200))
  await list('d')
  for (let index = 0; index < 10; index++) await list(nameOf(index))
  await namespace.removeTree({ container, name: nameOf(150) })

  for (let index = 10; index < 150; index++) t.equal(await list(nameOf(index)), 'a b')

  await t.rejects(list(nameOf(150)), { code: 'ENOENT' })
  t.equal(await list(nameOf(151)), 'a b')
})

t.test('a page that fails is not the fault of who lists a directory', async (t) => {
  const { list, store } = await treeOf(t, rowOfDirectories(50))
  await list('d')
  for (let index = 0; index < 3; index++) await list(nameOf(index))
  store.before = ({ verb, name }) => {
    if (verb !== 'listPage' || name !== 'd/') return
    throw Object.assign(new TypeError('a bug'), {})
  }
  await t.rejects(list(nameOf(3)), TypeError)
  store.before = () => undefined

  for (let index = 3; index < 50; index++) t.equal(await list(nameOf(index)), 'a b')
})

t.test('a tree that is larger than the cache is gone through as well', async (t) => {
  const { list, store } = await treeOf(t, rowOfDirectories(600), { maxEntries: 700, pageSize: 50 })
  await list('d')
  store.take()

  for (let index = 0; index < 600; index++) t.equal(await list(nameOf(index)), 'a b')

  t.equal(store.take().length, 3 + 24)
})

t.test('names of a large directory whose listing has expired are soon listed again', async (t) => {
  const names = Array.from({ length: 1200 }, (_, index) => `d/${String(index).padStart(4, '0')}`)
  const { list, store, namespace, clock } = await treeOf(t, names, { pageSize: 5000 })
  await list('d')
  await clock.advance(listingTtlMs)
  store.take()

  for (const name of names) await namespace.stat({ container, name })

  t.strictSame(store.take(), [...names.slice(0, 8).map((name) => `head ${name}`), 'listPage d/'])
})
