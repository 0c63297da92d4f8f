/** Which files the commands of a cache are about. */
import t from 'tap'
import { MemoryBlobStore } from '../../../src/blob/memory-store.ts'
import { filesAt } from '../../../src/cli/drive/cached-files.ts'
import { Namespace } from '../../../src/namespace/namespace.ts'

async function setUp(names: readonly string[]) {
  const store = new MemoryBlobStore()
  await store.createContainer('data')
  for (const name of names) await store.put({ container: 'data', name }, Buffer.from(name))
  const namespace = new Namespace({ store })
  const { signal } = new AbortController()
  return async (path: string, name = '') => {
    const found: string[] = []
    const root = { container: 'data', name }
    for await (const entry of filesAt({ namespace }, root, { path, signal })) found.push(entry.name)
    return found.sort()
  }
}

const names = ['other', 'train/big.bin', 'train/deep/[s]mall', 'train/deep/small', 'trains/big.bin']

t.test('a path is a file, or a directory with all below it', async (t) => {
  const found = await setUp(names)

  t.same(await found('train/deep'), ['train/deep/[s]mall', 'train/deep/small'])
  t.same(await found('big.bin', 'train'), ['train/big.bin'])
  await t.rejects(found('absent'), { code: 'ENOENT' })
})

t.test('where nothing is there of its name, a pattern is what matches', async (t) => {
  const found = await setUp(names)

  t.same(await found('train*/*.bin'), ['train/big.bin', 'trains/big.bin'])
  t.same(await found('train/**/*.bin'), ['train/big.bin'])
  t.same(await found('**/sm?ll', 'train/'), ['train/deep/small'])
  t.same(await found('*/d*p'), ['train/deep/[s]mall', 'train/deep/small'])
})

t.test('a name that is there is no pattern', async (t) => {
  const found = await setUp(names)

  t.same(await found('train/deep/[s]mall'), ['train/deep/[s]mall'])
})

t.test('a pattern that nothing matches is ENOENT', async (t) => {
  const found = await setUp(names)

  await t.rejects(found('train/*.txt'), { code: 'ENOENT', message: /no file matches/ })
})
