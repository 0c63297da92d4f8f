import t, { type Test } from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { type PromisedRemoval, RemovingBlobStore } from '../../src/blob/removing-store.ts'
import { listAll } from '../../src/blob/store.ts'
import { blobStoreConformance } from '../conformance/blob-store.ts'
import { batchingStore } from '../support/batching-store.ts'
import { CountingStore } from '../support/counting-store.ts'

blobStoreConformance(t, async () => new RemovingBlobStore(batchingStore(new MemoryBlobStore())))

const at = (name: string) => ({ container: 'data', name })

interface Given {
  readonly counting: CountingStore
  readonly store: RemovingBlobStore
  /** Promises to remove what is at a name; `stored` is when it is to be done. */
  promise(name: string): Promise<PromisedRemoval>
}

async function storeWith(...names: string[]): Promise<Given> {
  const counting = new CountingStore(batchingStore(new MemoryBlobStore()))
  await counting.createContainer('data')
  for (const name of names) await counting.put(at(name), Buffer.from(name))
  const store = new RemovingBlobStore(counting)
  const promise = async (name: string) => {
    const { etag } = await store.head(at(name))
    const removal: PromisedRemoval = {
      path: at(name),
      etag,
      store: async () => {
        await counting.delete(at(name), { ifMatch: etag })
        store.kept(removal)
      },
    }
    store.promise(removal)
    return removal
  }
  return { counting, store, promise }
}

async function names({ store }: Given, maxResults?: number): Promise<string[]> {
  const found: string[] = []
  for await (const { name } of listAll(store, at(''), { maxResults })) found.push(name)
  return found
}

t.test('what is promised to go is not there, and is until then for others', async (t) => {
  const given = await storeWith('a', 'b')
  await given.promise('a')

  t.strictSame(await names(given), ['b'])
  await t.rejects(given.store.head(at('a')), { code: 'ENOENT' })
  t.ok(await given.counting.head(at('a')))
})

t.test('another version of the name is there', async (t) => {
  const given = await storeWith('a')
  await given.promise('a')
  await given.counting.put(at('a'), Buffer.from('theirs'))

  t.strictSame(await names(given), ['a'])
  t.match(await given.store.head(at('a')), { sizeBytes: 6 })
})

t.test('who asked before it has gone, and is answered after, is not told of it', async (t) => {
  const given = await storeWith('a', 'b')
  const removal = await given.promise('a')
  given.counting.before = () => void given.store.kept(removal)

  t.strictSame(await names(given), ['b'])
  given.store.promise(removal)
  await t.rejects(given.store.head(at('a')), { code: 'ENOENT' })
})

t.test('a page of few rows is one request, whatever is left out of it', async (t) => {
  const given = await storeWith('a1', 'a2', 'a3', 'a4', 'b')
  for (const name of ['a1', 'a2', 'a3', 'a4']) await given.promise(name)
  given.counting.take()

  const page = await given.store.listPage(at(''), { maxResults: 1 })

  t.strictSame(
    page.entries.map(({ name }) => name),
    ['b'],
  )
  t.equal(given.counting.take().length, 1)
})

const writes: Record<string, (given: Given) => Promise<unknown>> = {
  put: ({ store }) => store.put(at('a'), Buffer.from('new'), { ifNoneMatch: '*' }),
  copy: ({ store }) => store.copy(at('b'), at('a'), { ifNoneMatch: '*' }),
  stageBlock: ({ store }) => store.stageBlock(at('a'), 'AAAA', Buffer.from('new')),
  commitBlocks: async ({ store, counting }) => {
    await counting.stageBlock(at('a'), 'AAAA', Buffer.from('new'))
    await store.commitBlocks(at('a'), [])
  },
  appendBlock: ({ store }) =>
    store.appendBlock(at('a'), Buffer.from('new'), { position: 0 }).catch(() => undefined),
  delete: ({ store }) => store.delete(at('a')).catch(() => undefined),
  deleteMany: async ({ store }) => store.deleteMany?.([{ path: at('a') }]),
  setMetadata: ({ store }) => store.setMetadata(at('a'), {}).catch(() => undefined),
}

for (const [verb, write] of Object.entries(writes)) {
  t.test(`${verb} comes after the removal of the name`, (t) => comesAfter(t, verb, write))
}

async function comesAfter(t: Test, verb: string, write: (given: Given) => Promise<unknown>) {
  const given = await storeWith('a', 'b')
  await given.promise('a')
  given.counting.take()

  await write(given)

  const lines = given.counting
    .take()
    .filter((line) => !/^stageBlock.*/.test(line) || verb === 'stageBlock')
  t.equal(lines[0], 'delete a')
  t.match(lines[1], verb === 'copy' ? 'copy b -> a' : `${verb} a`)
}

t.test('a write is refused where the removal is, and nothing is sent', async (t) => {
  const given = await storeWith('a')
  await given.promise('a')
  given.counting.before = ({ verb }) => {
    if (verb === 'delete') throw new Error('refused')
  }
  given.counting.take()

  await t.rejects(given.store.put(at('a'), Buffer.from('new')), { message: 'refused' })
  t.strictSame(given.counting.take(), ['delete a'])
})
