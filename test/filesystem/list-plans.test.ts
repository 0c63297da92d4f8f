import t, { type Test } from 'tap'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { collect } from '../../src/filesystem/walk.ts'
import { CountingStore } from '../support/counting-store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { listedStore } from '../support/listed-store.ts'

const directories = 10_000
const filesEach = 10
const perPage = 5000
const names = Array.from({ length: directories }, (_, directory) =>
  Array.from({ length: filesEach }, (_, file) => `data/d${directory}/f${file}`),
).flat()

/** Requests that nobody who knew the tree could do without. */
const ideal = {
  /** Every name must be told, 5,000 at a time. */
  whole: Math.ceil(names.length / perPage),
  /** The same, and one deletion for each. */
  removal: Math.ceil(names.length / perPage) + names.length,
}

async function counted() {
  const store = new CountingStore(await listedStore(names))
  return { store, fs: new AzureBlobFileSystem({ store, clock: new FakeClock() }) }
}

function within(t: Test, requests: number, plan: number): void {
  t.ok(requests <= plan * 1.1, `${requests} requests for ${plan}`)
}

t.test('find and du ask for every page of the tree and nothing else', async (t) => {
  const { store, fs } = await counted()

  t.equal((await fs.find('box/data')).length, names.length)
  within(t, store.take().length, ideal.whole)
  t.equal(await fs.du('box/data'), names.length)
  within(t, store.take().length, ideal.whole)
})

t.test('walk lists a tree of many small directories as a whole', async (t) => {
  const { store, fs } = await counted()

  const steps = await collect(fs.walk('box/data'))

  t.equal(steps.length, directories + 1)
  t.equal(
    steps.reduce((sum, { files }) => sum + files.length, 0),
    names.length,
  )
  within(t, store.take().length, ideal.whole)
})

t.test('a walk enters what dirs says, in its order, also of a tree that is known', async (t) => {
  const { fs } = await counted()
  const paths: string[] = []

  for await (const { path, dirs } of fs.walk('box/data')) {
    paths.push(path)
    dirs.splice(0, dirs.length, ...dirs.filter(({ name }) => /d(7|3)$/.test(name)).reverse())
  }

  t.strictSame(paths, ['box/data', 'box/data/d7', 'box/data/d3'])
})

t.test(
  'glob lists as a whole where directories are small, one by one where they are not',
  async (t) => {
    const { store, fs } = await counted()

    t.equal((await fs.glob('box/data/*/f3')).length, directories)
    within(t, store.take().length, ideal.whole)
    t.equal((await fs.glob('box/data/d77/f*')).length, filesEach)
    t.equal(store.take().length, 1)

    const large = Array.from({ length: 30 }, (_, directory) =>
      Array.from({ length: perPage }, (_, file) => `data/d${directory}/deep/er/f${file}`),
    ).flat()
    const other = new CountingStore(
      await listedStore([
        ...large,
        ...large.slice(0, 1).map((name) => name.replace('deep/er', 'x')),
      ]),
    )
    const found = await new AzureBlobFileSystem({ store: other }).glob('box/data/*/x/*')
    t.equal(found.length, 1)
    // The level, each directory by one level, and the one that matches; a tenth for the try to list all.
    within(t, other.take().length, 1 + 30 + 30)
  },
)

t.test('rm asks for every page once, and deletes each blob once', async (t) => {
  const { store, fs } = await counted()

  await fs.rm('box/data', { recursive: true })

  within(t, store.take().length, ideal.removal)
})

t.test('globIter tells of a deep pattern as its pages come', async (t) => {
  const { store, fs } = await counted()
  let found = 0
  for await (const { name } of fs.globIter('box/data/**/f3')) {
    if (found === 0) t.equal(store.take().length, 1)
    t.match(name, /f3$/)
    found++
  }

  t.equal(found, directories)
  const same = async (pattern: string) => {
    const names = (await collect(fs.globIter(pattern))).map(({ name }) => name)
    t.strictSame(names.sort(), (await fs.glob(pattern)).map(({ name }) => name).sort(), pattern)
  }
  const deep = ['box/data/**', 'box/d*/**/f[12]', 'box/data/**/d12?/', 'box/none/**']
  for (const pattern of [...deep, 'b*/**/d77/**', '**/d77/*', 'box/data/d7?/**'])
    await same(pattern)
})

t.test('globIter tells the same as glob', async (t) => {
  const { fs } = await counted()

  const found = await collect(fs.globIter('box/data/d12?/f[1]'))

  t.strictSame(found, await fs.glob('box/data/d12?/f[1]'))
  t.equal(found.length, 10)
})

t.test('globIter tells what one directory has before it asks for the next ones', async (t) => {
  const wide = Array.from({ length: 40 }, (_, directory) =>
    Array.from({ length: 600 }, (_, file) => `data/d${directory}/deep/f${file}`),
  ).flat()
  for (const pattern of ['box/data/*/**/f1', 'box/data/*/deep/f1*']) {
    const store = new CountingStore(await listedStore(wide))
    const fs = new AzureBlobFileSystem({ store, clock: new FakeClock() })
    const matches: string[] = []
    for await (const { name } of fs.globIter(pattern)) {
      matches.push(name)
      if (matches.length === 3) break
    }

    t.equal(matches.length, 3, pattern)
    t.ok(store.take().length < 1 + 4 + 2 * 16, 'some of the forty were asked for')
    await new Promise((resolve) => setImmediate(resolve))
    t.equal(store.take().length, 0, 'and none after the end')
  }
})

t.test('what a directory to be copied stands for asks once what it is', async (t) => {
  const { store, fs } = await counted()

  const found = await fs.expandPath('box/data/d7', { recursive: true })

  t.equal(found.length, filesEach + 1)
  t.equal(found[0]?.name, 'box/data/d7', 'it comes first')
  t.strictSame(
    store.take(),
    ['head data/d7', 'listPage data/d7/', 'listPage data/d7/'],
    'whether it is a blob, whether something is in it, and what',
  )
})
