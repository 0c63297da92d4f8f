/** A store whose blobs tell their index tags. */
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { TaggedStore } from '../../src/blob/tagged-store.ts'
import { FileSystemError } from '../../src/errors.ts'
import { Namespace } from '../../src/namespace/namespace.ts'
import { CountingStore } from '../support/counting-store.ts'

const at = (name: string) => ({ container: 'data', name })

async function setUp() {
  const memory = new MemoryBlobStore()
  await memory.createContainer('data')
  await memory.put(at('d/tagged'), Buffer.from('1'), { tags: { split: 'train' } })
  await memory.put(at('d/plain'), Buffer.from('2'))
  const counting = new CountingStore(memory)
  const asked: string[] = []
  let isRefused = false
  const store = new TaggedStore(counting, {
    tagsOf: async ({ name }) => {
      asked.push(name)
      return { split: 'train' }
    },
    refuse: async () => {
      if (isRefused) throw new FileSystemError('ENOTSUP', 'mount')
    },
  })
  const refuse = () => {
    isRefused = true
  }
  return { store, counting, asked, refuse, namespace: new Namespace({ store }) }
}

t.test('a listing tells tags, in the requests that it takes anyway', async (t) => {
  const { namespace, counting, asked } = await setUp()
  const entries = await namespace.list(at('d'))

  t.strictSame(
    entries.map(({ name, tags }) => [name, tags]),
    [
      ['d/plain', {}],
      ['d/tagged', { split: 'train' }],
    ],
  )
  t.equal(counting.requests.length, 1)
  t.strictSame(asked, [])
})

t.test('a single name is asked for its tags where it has some', async (t) => {
  const { namespace, asked } = await setUp()

  t.strictSame((await namespace.stat(at('d/tagged'))).tags, { split: 'train' })
  t.strictSame((await namespace.stat(at('d/plain'))).tags, {})
  t.strictSame(asked, ['d/tagged'])
})

t.test('what is refused asks nothing, and nothing is changed', async (t) => {
  const { store, counting, refuse } = await setUp()
  await t.rejects(store.put(at('x')), { code: 'EROFS' })
  refuse()
  await t.rejects(store.head(at('d/plain')), { code: 'ENOTSUP' })
  await t.rejects(store.listPage(at('')), { code: 'ENOTSUP' })

  t.strictSame(counting.requests, [])
})

t.test('stores that tell no tags have entries without', async (t) => {
  const { counting } = await setUp()
  const [first] = await new Namespace({ store: counting }).list(at('d'))
  t.notOk(first !== undefined && 'tags' in first)
})
