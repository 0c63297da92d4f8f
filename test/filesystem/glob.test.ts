import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { glob } from '../../src/filesystem/glob.ts'
import { LocalView } from '../../src/filesystem/local-view.ts'
import { CountingStore } from '../support/counting-store.ts'
import {
  memoryFileSystem,
  plantLocal,
  plantRemote,
  temporaryDirectory,
} from '../support/file-system.ts'

const tree = Object.fromEntries(
  [
    'a/b/c.txt',
    'a/b/d/e.txt',
    'a/f.txt',
    'a/.hidden',
    'ab/x-1.txt',
    'ab/x-2.TXT',
    'ab/[x].txt',
    'ab/{y,z}.txt',
    'ab/w].txt',
    'ab/p.q+r$',
    'top.txt',
  ].map((name) => [name, name]),
)

const rows: [pattern: string, expected: string[], maxDepth?: number][] = [
  ['*', ['a', 'ab', 'top.txt']],
  [
    '**',
    [
      '',
      'a',
      'a/.hidden',
      'a/b',
      'a/b/c.txt',
      'a/b/d',
      'a/b/d/e.txt',
      'a/f.txt',
      'ab',
      'ab/[x].txt',
      'ab/p.q+r$',
      'ab/w].txt',
      'ab/x-1.txt',
      'ab/x-2.TXT',
      'ab/{y,z}.txt',
      'top.txt',
    ],
  ],
  ['**', ['', 'a', 'ab', 'top.txt'], 1],
  ['*/', ['a', 'ab']],
  ['a*', ['a', 'ab']],
  ['a**/x', []],
  ['a/*', ['a/.hidden', 'a/b', 'a/f.txt']],
  ['a/**', ['a', 'a/.hidden', 'a/b', 'a/b/c.txt', 'a/b/d', 'a/b/d/e.txt', 'a/f.txt']],
  ['a/*/**', ['a/b', 'a/b/c.txt', 'a/b/d', 'a/b/d/e.txt']],
  ['a/**/', ['a', 'a/b', 'a/b/d']],
  ['a/**/*.txt', ['a/b/c.txt', 'a/b/d/e.txt', 'a/f.txt']],
  ['a/**/*.txt', ['a/b/c.txt', 'a/f.txt'], 2],
  ['**/b', ['a/b']],
  ['**/b/**', ['a/b', 'a/b/c.txt', 'a/b/d', 'a/b/d/e.txt']],
  ['**/d/*', ['a/b/d/e.txt']],
  ['?/f.txt', ['a/f.txt']],
  ['ab/x-[12].txt', ['ab/x-1.txt']],
  ['ab/x-[!1]*', ['ab/x-2.TXT']],
  ['ab/x-[0-9].*', ['ab/x-1.txt', 'ab/x-2.TXT']],
  ['ab/x-[9-0].*', []],
  ['ab/[[]x[]].txt', ['ab/[x].txt']],
  ['ab/[x].txt', []],
  ['ab/[].txt', []],
  ['ab/[!].txt', []],
  ['ab/w[]].txt', ['ab/w].txt']],
  ['ab/{y,z}.*', ['ab/{y,z}.txt']],
  ['ab/p.q+*', ['ab/p.q+r$']],
  ['ab/p?q+r$', ['ab/p.q+r$']],
  ['a/b', ['a/b']],
  ['a/f.txt/', []],
  ['a/f.txt/**', []],
  ['missing', []],
  ['missing/*', []],
  ['missing/**', []],
]

for (const [pattern, expected, maxDepth] of rows) {
  if (pattern === 'a**/x') continue
  const depth = maxDepth === undefined ? '' : ` to depth ${maxDepth}`
  t.test(`${pattern}${depth} matches ${expected.length} remote names`, async (t) => {
    const { fs } = await memoryFileSystem()
    await plantRemote(fs, 'box/root', tree)

    const found = await fs.glob(`abfs://box/root/${pattern}`, { maxDepth })

    t.strictSame(
      found.map(({ name }) => name.slice('box/root/'.length)),
      expected,
    )
  })

  t.test(`${pattern}${depth} matches ${expected.length} local names`, async (t) => {
    const root = await temporaryDirectory(t)
    await plantLocal(root, tree)

    const found = await glob(new LocalView({ followLinks: true }), `${root}/${pattern}`, {
      maxDepth,
    })

    t.strictSame(
      found.map(({ name }) => name.slice(root.length + 1)),
      expected,
    )
  })
}

t.test('** that is no whole component is refused', async (t) => {
  const { fs } = await memoryFileSystem()

  await t.rejects(fs.glob('box/a**/x'), {
    name: 'TypeError',
    message: /whole component, got 'a\*\*'/,
  })
})

t.test('a pattern can name containers', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.mkdir('abfs://bag')
  await fs.writeText('box/f', '')
  await fs.writeText('bag/f', '')

  t.strictSame(
    (await fs.glob('b*/f')).map(({ name }) => name),
    ['bag/f', 'box/f'],
  )
  t.strictSame(
    (await fs.glob('*')).map(({ name }) => name),
    ['bag', 'box'],
  )
})

t.test('only directories that can hold a match are listed', async (t) => {
  const store = new CountingStore(new MemoryBlobStore())
  const { fs } = await memoryFileSystem({ store })
  for (const year of ['2024', '2025']) {
    for (const month of ['m=1', 'm=2', 'm=3']) await fs.writeText(`box/a/${year}/${month}/f`, '')
  }
  fs.invalidateCache()
  store.take()

  const found = await fs.glob('box/a/*/m=1/*')

  t.strictSame(
    found.map(({ name }) => name),
    ['box/a/2024/m=1/f', 'box/a/2025/m=1/f'],
  )
  const lists = store.take().filter((line) => line.startsWith('listPage'))
  t.strictSame(lists.sort(), ['listPage a/', 'listPage a/2024/m=1/', 'listPage a/2025/m=1/'])
})

t.test('** costs one flat listing', async (t) => {
  const store = new CountingStore(new MemoryBlobStore())
  const { fs } = await memoryFileSystem({ store })
  await plantRemote(fs, 'box/root', tree)
  fs.invalidateCache()
  store.take()

  await fs.glob('box/root/**/*.txt')

  t.strictSame(store.take(), ['listPage root/'])
})
