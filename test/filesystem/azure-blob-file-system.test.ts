import { chmod, lstat, mkdir, readlink, stat, symlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { FileSystemError } from '../../src/errors.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import type { Progress } from '../../src/filesystem/progress.ts'
import { collect } from '../../src/filesystem/walk.ts'
import { CountingStore } from '../support/counting-store.ts'
import {
  localFiles,
  memoryFileSystem,
  plantLocal,
  plantRemote,
  remoteFiles,
  temporaryDirectory,
} from '../support/file-system.ts'

const names = (entries: readonly { readonly name: string }[]) => entries.map(({ name }) => name)

async function counted() {
  const store = new CountingStore(new MemoryBlobStore({ account: 'acct' }))
  return { ...(await memoryFileSystem({ store })), store }
}

async function planted() {
  const made = await memoryFileSystem()
  await plantRemote(made.fs, 'box', { 'dir/a': 'aa', 'dir/sub/b': 'bbb', dirt: 'x', top: 'text' })
  return made
}

t.test('ls tells the children of a directory by name', async (t) => {
  const { fs } = await planted()

  t.match(await fs.ls('abfs://box'), [
    { name: 'box/dir', type: 'directory', size: 0 },
    { name: 'box/dirt', type: 'file', size: 1 },
    { name: 'box/top', type: 'file', size: 4 },
  ])
  t.strictSame(names(await fs.ls('box/dir/')), ['box/dir/a', 'box/dir/sub'])
})

t.test('ls of a file is its own entry, of the root the containers', async (t) => {
  const { fs } = await planted()

  t.strictSame(names(await fs.ls('box/top')), ['box/top'])
  t.strictSame(names(await fs.ls('abfs://')), ['box'])
})

t.test('ls and info of something missing are ENOENT', async (t) => {
  const { fs } = await planted()

  await t.rejects(fs.ls('box/missing'), { code: 'ENOENT' })
  await t.rejects(fs.info('box/missing'), { code: 'ENOENT' })
  await t.rejects(fs.info('none/missing'), { code: 'ENOENT' })
})

t.test('info tells size, times, type and metadata', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.pipeFile('box/f', new Uint8Array(3), { metadata: { who: 'me' }, contentType: 'a/b' })

  const info = await fs.info('box/f', { refresh: true })

  t.match(info, { name: 'box/f', type: 'file', size: 3, isLink: false, contentType: 'a/b' })
  t.strictSame(info.metadata, { who: 'me' })
  t.equal(info.lastModified?.getTime(), Date.UTC(2026, 0, 1))
  t.type(info.etag, 'string')
})

t.test('exists, isDir and isFile are false for what is missing', async (t) => {
  const { fs } = await planted()

  for (const path of ['box/missing', 'box/top/below', 'none/x']) {
    t.strictSame(
      [await fs.exists(path), await fs.isDir(path), await fs.isFile(path)],
      [false, false, false],
    )
  }
  t.strictSame(
    [await fs.exists('box/dir'), await fs.isDir('box/dir'), await fs.isFile('box/dir')],
    [true, true, false],
  )
  t.strictSame(
    [await fs.exists('box/top'), await fs.isDir('box/top'), await fs.isFile('box/top')],
    [true, false, true],
  )
})

t.test('exists throws when the service refuses to say', async (t) => {
  const { fs, store } = await counted()
  store.before = () => {
    throw new FileSystemError('EACCES', 'blob.head')
  }

  await t.rejects(fs.exists('box/f'), { code: 'EACCES' })
  await t.rejects(fs.isFile('box/f'), { code: 'EACCES' })
  await t.rejects(fs.isDir('box/f'), { code: 'EACCES' })
})

t.test('a URL of the same account is taken, of another refused', async (t) => {
  const { fs } = await planted()

  t.equal(await fs.readText('https://acct.blob.core.windows.net/box/dir/a'), 'aa')
  t.equal(await fs.readText(new URL('abfss://box@acct.dfs.core.windows.net/dir/a')), 'aa')
  await t.rejects(fs.readText('abfs://box@other.dfs.core.windows.net/dir/a'), {
    code: 'EINVAL',
    message: /is of account 'other', this file system serves 'acct'/,
  })
})

t.test('find tells files, and with withDirs directories and the start', async (t) => {
  const { fs } = await planted()

  t.strictSame(names(await fs.find('box/dir')), ['box/dir/a', 'box/dir/sub/b'])
  t.strictSame(names(await fs.find('box/dir', { withDirs: true })), [
    'box/dir',
    'box/dir/a',
    'box/dir/sub',
    'box/dir/sub/b',
  ])
  t.strictSame(names(await fs.find('box/dir', { maxDepth: 1 })), ['box/dir/a'])
  t.strictSame(names(await fs.find('box/top')), ['box/top'])
  t.strictSame(await fs.find('box/missing'), [])
  await t.rejects(fs.find('box', { maxDepth: 0 }), RangeError)
})

t.test(
  'find, findIter and du with a prefix tell only what begins with it below the path',
  async (t) => {
    const { fs } = await planted()
    await plantRemote(fs, 'box', { 'dir/ab': '1', 'dir/sub/ba': '22', 'dir/subway/c': '333' })
    const found = async (path: string, options: Parameters<typeof fs.find>[1]) =>
      names(await fs.find(path, options))

    t.strictSame(await found('box/dir', { prefix: 'a' }), ['box/dir/a', 'box/dir/ab'])
    t.strictSame(await found('box/dir', { prefix: 'sub/b' }), ['box/dir/sub/b', 'box/dir/sub/ba'])
    t.strictSame(await found('box/dir', { prefix: 'sub/' }), ['box/dir/sub/b', 'box/dir/sub/ba'])
    t.strictSame(await found('box/dir', { prefix: 'sub', withDirs: true }), [
      'box/dir/sub',
      'box/dir/sub/b',
      'box/dir/sub/ba',
      'box/dir/subway',
      'box/dir/subway/c',
    ])
    t.strictSame(await found('box/dir', { prefix: 'sub/b', withDirs: true }), [
      'box/dir/sub/b',
      'box/dir/sub/ba',
    ])
    t.strictSame(await found('box', { prefix: 'dir/s', maxDepth: 2 }), [])
    t.strictSame(await found('box', { prefix: 'dir/s', maxDepth: 3 }), [
      'box/dir/sub/b',
      'box/dir/sub/ba',
      'box/dir/subway/c',
    ])
    t.strictSame(await found('', { prefix: 'box/di' }), [
      'box/dir/a',
      'box/dir/ab',
      'box/dir/sub/b',
      'box/dir/sub/ba',
      'box/dir/subway/c',
      'box/dirt',
    ])
    t.strictSame(await found('', { prefix: 'bo', maxDepth: 2 }), ['box/dirt', 'box/top'])
    t.strictSame(await found('', { prefix: 'x' }), [])
    t.strictSame(names(await collect(fs.findIter('box/dir', { prefix: 'sub/ba' }))), [
      'box/dir/sub/ba',
    ])
    t.equal(await fs.du('box/dir', { prefix: 'sub' }), 8)
    t.strictSame([...(await fs.diskUsage('box/dir', { prefix: 'ab' }))], [['box/dir/ab', 1]])
    t.equal((await fs.find('box/dir', { prefix: '' })).length, 5)
  },
)

t.test('a prefix that nothing begins with, of a file or a directory, finds nothing', async (t) => {
  const { fs } = await planted()

  for (const prefix of ['z', '/a', '../top', 'no/such/x', 'a/x', 'dir/a']) {
    t.strictSame(await fs.find('box/dir', { prefix, withDirs: true }), [], prefix)
  }
  for (const path of ['box/top', 'box/missing', 'none']) {
    t.strictSame(await fs.find(path, { prefix: 't' }), [], path)
  }
  t.strictSame(await fs.find('box/top', { prefix: 't', maxDepth: 1 }), [])
  const wrong: object = { prefix: 3 }
  await t.rejects(fs.find('box', wrong), { name: 'TypeError', message: /^prefix: .* got 3/ })
  await t.rejects(collect(fs.findIter('box', wrong)), { name: 'TypeError' })
})

t.test('a prefix is the prefix of the listing: other names are not told', async (t) => {
  const { fs, store } = await counted()
  await plantRemote(fs, 'box', { 'dir/a1': 'a', 'dir/a/deep': 'b', 'dir/b': 'c' })
  store.take()

  t.strictSame(names(await fs.find('box/dir', { prefix: 'a' })), ['box/dir/a/deep', 'box/dir/a1'])
  t.strictSame(await fs.find('box/dir', { prefix: 'x' }), [])
  t.strictSame(names(await fs.sub('box/dir').find('', { prefix: 'b' })), ['b'])

  t.strictSame(store.take(), ['listPage dir/a', 'listPage dir/x', 'listPage dir/b'])
})

t.test('find costs one request however deep the tree is', async (t) => {
  const { fs, store } = await counted()
  for (let index = 0; index < 30; index += 1) await fs.writeText(`box/d${index}/e/f`, '')
  fs.invalidateCache()
  store.take()

  t.equal(await fs.du('box'), 0)

  t.strictSame(store.take(), ['listPage '])
})

t.test('walk goes from the top down, or from the bottom up', async (t) => {
  const { fs } = await planted()

  const down = await collect(fs.walk('box'))
  t.strictSame(
    down.map(({ path }) => path),
    ['box', 'box/dir', 'box/dir/sub'],
  )
  t.strictSame(names(down[0]?.files ?? []), ['box/dirt', 'box/top'])
  const up = await collect(fs.walk('box', { topDown: false }))
  t.strictSame(
    up.map(({ path }) => path),
    ['box/dir/sub', 'box/dir', 'box'],
  )
  t.equal((await collect(fs.walk('box', { maxDepth: 1 }))).length, 1)
  t.strictSame(await collect(fs.walk('box/missing')), [])
})

t.test('a walk does not enter directories that its caller drops', async (t) => {
  const { fs } = await planted()
  const seen: string[] = []

  for await (const step of fs.walk('box')) {
    seen.push(step.path)
    step.dirs.length = 0
  }

  t.strictSame(seen, ['box'])
})

t.test('tree draws what lies below', async (t) => {
  const { fs } = await planted()

  t.strictSame(await collect(fs.tree('box')), [
    'box',
    '├── dir/',
    '│   ├── a',
    '│   └── sub/',
    '│       └── b',
    '├── dirt',
    '└── top',
  ])
  t.strictSame(await collect(fs.tree('box', { maxDepth: 1, maxEntries: 1 })), [
    'box',
    '├── dir/',
    '└── … 2 more',
  ])
})

t.test('catFile takes ranges as slices do', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/f', '0123456789')
  const cat = async (start?: number, end?: number) => {
    const range = {
      ...(start === undefined ? {} : { start }),
      ...(end === undefined ? {} : { end }),
    }
    return Buffer.from(await fs.catFile('box/f', range)).toString()
  }

  t.equal(await cat(), '0123456789')
  t.equal(await cat(2, 5), '234')
  t.equal(await cat(-3), '789')
  t.equal(await cat(-3, -1), '78')
  t.equal(await cat(0, -8), '01')
  t.equal(await cat(8, 100), '89')
  t.equal(await cat(50, 60), '')
  t.equal(await cat(5, 5), '')
  t.equal(await cat(-50, 2), '01')
  t.equal(Buffer.from(await fs.head('box/f', 2)).toString(), '01')
  t.equal(Buffer.from(await fs.tail('box/f', 2)).toString(), '89')
  t.equal((await fs.tail('box/f', 0)).byteLength, 0)
  await t.rejects(cat(0.5), RangeError)
})

t.test('catFile of many pieces is one version', async (t) => {
  const { fs, store } = await counted()
  const data = Buffer.alloc(300_000, 'abcdefg')
  await fs.pipeFile('box/big', data)
  store.take()

  t.strictSame(Buffer.from(await fs.catFile('box/big')), data)

  const gets = store.requests.filter(({ verb }) => verb === 'get')
  t.equal(gets.length, 5)
  t.equal(gets.filter(({ ifMatch }) => ifMatch !== undefined).length, 4)
})

t.test('catFile is ESTALE when the file is replaced between two pieces', async (t) => {
  const { fs, store } = await counted()
  await fs.pipeFile('box/big', Buffer.alloc(200_000, 'old'))
  let replaced = false
  store.before = async ({ verb, ifMatch }) => {
    if (verb !== 'get' || ifMatch === undefined || replaced) return
    replaced = true
    await store.put({ container: 'box', name: 'big' }, Buffer.alloc(200_000, 'new'))
  }

  await t.rejects(fs.catFile('box/big'), { code: 'ESTALE' })
})

t.test('catFile of a directory is EISDIR, of nothing ENOENT', async (t) => {
  const { fs } = await planted()
  await fs.mkdir('box/empty')

  await t.rejects(fs.catFile('box/dir'), { code: 'EISDIR' })
  await t.rejects(fs.catFile('box/empty'), { code: 'EISDIR' })
  await t.rejects(fs.catFile('box/dir/'), { code: 'EISDIR' })
  await t.rejects(fs.catFile('box'), { code: 'EISDIR' })
  await t.rejects(fs.catFile('box/missing'), { code: 'ENOENT' })
  await t.rejects(fs.catFile('box/missing', { start: 1, end: 1 }), { code: 'ENOENT' })
})

t.test('what is no range and no options is told by its name', async (t) => {
  const { fs } = await counted()
  await fs.writeText('box/f', '0123456789')
  const untyped = (value: unknown): never => value as never

  for (const [options, message] of [
    [{ start: 'a' }, /^start: expected bytes, an integer .*, got "a"/],
    [{ end: 1.5 }, /^end: expected bytes, an integer .*, got 1.5/],
    ['utf-99', /^options: expected \{ start, .*, got "utf-99"/],
    [null, /^options: expected .*, got null/],
  ] as const) {
    await t.rejects(fs.catFile('box/f', untyped(options)), { message })
    await t.rejects(fs.readText('box/f', untyped(options)), { message })
  }
})

t.test('catRanges joins no more than maxBlock, and refuses limits that are none', async (t) => {
  const { fs, store } = await counted()
  await fs.writeText('box/f', '0123456789')
  store.take()
  const asked = [0, 2, 4, 6].map((start) => ({ path: 'box/f', start, end: start + 2 }))

  const found = await fs.catRanges([...asked, { path: 'box/f', start: 0, end: 9 }], { maxBlock: 4 })

  t.strictSame(
    found.map((data) => Buffer.from(data).toString()),
    ['01', '23', '45', '67', '012345678'],
  )
  t.ok(store.requests.length > 2, 'what is longer by itself is one request')
  const wrong = { maxBlock: 0, onError: 'return' } as const
  await t.rejects(fs.catRanges(asked, wrong), { message: /^maxBlock: expected bytes, 1 or more/ })
  await t.rejects(fs.catRanges(asked, { maxGap: -1, onError: 'return' }), { name: 'RangeError' })
})

t.test('catRanges joins near ranges and answers in the order asked', async (t) => {
  const { fs, store } = await counted()
  await fs.writeText('box/f', '0123456789')
  store.take()

  const found = await fs.catRanges(
    [
      { path: 'box/f', start: 8, end: 9 },
      { path: 'box/f', start: 0, end: 2 },
      { path: 'abfs://box/f', start: 3, end: 5 },
    ],
    { maxGap: 1 },
  )

  t.strictSame(
    found.map((data) => Buffer.from(data).toString()),
    ['8', '01', '34'],
  )
  t.strictSame(
    store.requests.map(({ range }) => range),
    [
      { start: 0, end: 5 },
      { start: 8, end: 9 },
    ],
  )
})

t.test('catRanges throws, or puts errors in their places', async (t) => {
  const { fs } = await planted()
  const requests = [{ path: 'box/top', end: 2 }, { path: 'box/missing' }]

  await t.rejects(fs.catRanges(requests), { code: 'ENOENT' })
  const [first, second] = await fs.catRanges(requests, { onError: 'return' })
  t.strictSame(first, new TextEncoder().encode('te'))
  t.match(second, { code: 'ENOENT' })
})

t.test('pipeFile creates once, overwrites, and compares', async (t) => {
  const { fs } = await memoryFileSystem()
  const data = new TextEncoder().encode('x')

  const { etag } = await fs.pipeFile('box/f', data, { mode: 'create' })
  await t.rejects(fs.pipeFile('box/f', data, { mode: 'create' }), { code: 'EEXIST' })
  await fs.pipeFile('box/f', data, { ifMatch: etag })
  await t.rejects(fs.pipeFile('box/f', data, { ifMatch: etag }), { code: 'ESTALE' })
  t.strictSame((await fs.info('box/f', { refresh: true })).metadata, {})
})

t.test('a file does not take the name of a directory', async (t) => {
  const { fs } = await planted()
  const local = await temporaryDirectory(t)
  await plantLocal(local, { 'x/dir': '1' })

  await t.rejects(fs.writeText('box/dir', ''), { code: 'EISDIR' })
  await t.rejects(fs.open('box/dir', 'w'), { code: 'EISDIR' })
  await t.rejects(fs.putFile(join(local, 'x/dir'), 'box/dir'), { code: 'EISDIR' })
  await t.rejects(fs.put(join(local, 'x/'), 'box', { recursive: true }), { code: 'EISDIR' })
})

t.test('touch empties a file, or only dates it', async (t) => {
  const { fs } = await planted()

  const dated = await fs.touch('box/top', { truncate: false })
  t.equal(await fs.readText('box/top'), 'text')
  t.equal(dated.mtimeNs, BigInt(Date.UTC(2026, 0, 1)) * 1_000_000n)
  await fs.touch('box/top')
  t.equal(await fs.readText('box/top'), '')
  await fs.touch('box/new', { truncate: false })
  t.equal(await fs.readText('box/new'), '')
})

t.test('special names come back as they went', async (t) => {
  const { fs } = await memoryFileSystem()

  for (const name of ['a b', 'ünï', '100%', 'a%20b', 'a#b', 'a+b', 'a?b', '[x].txt', '*', 'a:b']) {
    await fs.writeText(`abfs://box/special/${name}`, name)
    t.equal(await fs.readText(`abfs://box/special/${name}`), name)
    t.ok(names(await fs.ls('box/special')).includes(`box/special/${name}`))
  }
})

t.test('a name that Azure refuses is EINVAL before anything is sent', async (t) => {
  const { fs } = await memoryFileSystem()

  await t.rejects(fs.writeText('box/a/../b', ''), { code: 'EINVAL' })
  await t.rejects(fs.writeText('UPPER/a', ''), { code: 'EINVAL' })
})

t.test('rm deletes files, patterns, lists and whole directories', async (t) => {
  const { fs } = await planted()

  await fs.rm('box/dirt')
  await t.rejects(fs.rm('box/dir'), { code: 'EISDIR', message: /recursive: true/ })
  await fs.rm(['box/dir', 'box/t*'], { recursive: true })
  t.strictSame(await fs.find('box'), [])
  await t.rejects(fs.rm('box/missing'), { code: 'ENOENT' })
})

t.test('rm tells how far it is, in files, and in directories as they are met', async (t) => {
  const { fs } = await memoryFileSystem()
  for (const name of ['a', 'b', 'c/1', 'c/2', 'c/d/3']) await fs.writeText(`box/${name}`, name)
  const told: Progress[] = []

  await fs.rm(['box/a', 'box/b'], { onProgress: (progress) => told.push(progress) })
  t.match(told, [
    { phase: 'deleting', files: 1, totalFiles: 2, bytes: 1, totalBytes: 2 },
    { phase: 'deleting', files: 2, totalFiles: 2, bytes: 2, totalBytes: 2 },
  ])
  t.strictSame(told.map(({ path }) => path).sort(), ['box/a', 'box/b'])
  told.length = 0
  await fs.rm('box/c', { recursive: true, onProgress: (progress) => told.push(progress) })

  const last = told.at(-1)
  // A hierarchical account removes a directory whole, and tells no sizes.
  const bytes = (await fs.isHierarchical('box')) ? 0 : 11
  t.match(last, { phase: 'deleting', bytes, totalBytes: bytes })
  t.equal(last?.files, last?.totalFiles)
  t.strictSame(
    told.map(({ files }) => files),
    told.map((_, index) => index + 1),
  )
  t.notOk(await fs.exists('box/c'))
})

t.test('rm of a directory spares what only begins like it', async (t) => {
  const { fs } = await planted()

  await fs.rm('box/dir', { recursive: true })

  t.strictSame(names(await fs.find('box')), ['box/dirt', 'box/top'])
})

t.test('rm and rmdir spare a container unless it is asked for', async (t) => {
  const { fs } = await planted()

  await t.rejects(fs.rm('box', { recursive: true }), { code: 'EPERM', message: /allowContainer/ })
  await t.rejects(fs.rm('*', { recursive: true }), { code: 'EPERM' })
  await t.rejects(fs.rm('abfs://', { recursive: true, allowContainer: true }), { code: 'EPERM' })
  await t.rejects(fs.rmdir('box'), { code: 'EPERM' })
  await t.rejects(fs.rmdir('box', { allowContainer: true }), { code: 'ENOTEMPTY' })
  await fs.rm('box', { recursive: true, allowContainer: true })
  t.notOk(await fs.exists('box', { refresh: true }))
})

t.test('mkdir, makedirs and rmdir speak in errno names', async (t) => {
  const { fs } = await planted()

  await fs.mkdir('box/new')
  t.ok(await fs.isDir('box/new'))
  await t.rejects(fs.mkdir('box/new'), { code: 'EEXIST' })
  await t.rejects(fs.mkdir('box/top'), { code: 'EEXIST' })
  await t.rejects(fs.mkdir('box/no/parent', { createParents: false }), { code: 'ENOENT' })
  await t.rejects(fs.mkdir('box'), { code: 'EEXIST' })
  await fs.makedirs('fresh/a/b')
  t.ok(await fs.isDir('fresh/a'))
  await t.rejects(fs.makedirs('fresh/a/b'), { code: 'EEXIST' })
  await fs.makedirs('fresh/a/b', { existOk: true })
  await fs.makedirs('fresh', { existOk: true })
  await t.rejects(fs.makedirs('box/top', { existOk: true }), { code: 'EEXIST' })
  await fs.rmdir('box/new')
  t.notOk(await fs.exists('box/new'))
  await t.rejects(fs.rmdir('box/dir'), { code: 'ENOTEMPTY' })
  await t.rejects(fs.rmdir('box/top'), { code: 'ENOTDIR' })
  await t.rejects(fs.rmdir('box/missing'), { code: 'ENOENT' })
})

t.test('mv renames, moves into directories and across containers', async (t) => {
  const { fs } = await planted()
  await fs.mkdir('bag')

  await fs.mv('box/top', 'box/top')
  await fs.mv('box/top', 'box/renamed')
  await fs.mv('box/renamed', 'box/dir')
  await fs.mv('box/dir', 'box/moved')
  await fs.mv('box/moved', 'bag/')
  await fs.mv('box/dir*', 'bag/')

  t.strictSame(await remoteFiles(fs, 'bag'), {
    dirt: 'x',
    'moved/a': 'aa',
    'moved/renamed': 'text',
    'moved/sub/b': 'bbb',
  })
  t.strictSame(await fs.find('box'), [])
  await t.rejects(fs.mv('bag/moved', 'bag/moved/sub'), { code: 'EINVAL' })
  await t.rejects(fs.mv('bag', 'box/x'), { code: 'EPERM' })
  await t.rejects(fs.mv('box/missing', 'box/x'), { code: 'ENOENT' })
  await t.rejects(fs.mv('bag/dirt', 'bag/moved/a', { noReplace: true }), { code: 'EEXIST' })
})

t.test('cpFile copies bytes and metadata', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.pipeFile('box/a', Buffer.from('x'), { metadata: { who: 'me' } })

  t.match(await fs.cpFile('box/a', 'box/b/c'), { name: 'box/b/c', size: 1 })
  t.strictSame((await fs.info('box/b/c', { refresh: true })).metadata, { who: 'me' })
  await t.rejects(fs.cpFile('box/missing', 'box/c'), { code: 'ENOENT' })
})

t.test('what is written here shows at once, what others write when asked anew', async (t) => {
  const { fs, store } = await memoryFileSystem()
  await fs.ls('box')

  await fs.writeText('box/mine', '')
  t.strictSame(names(await fs.ls('box')), ['box/mine'])
  await store.put({ container: 'box', name: 'theirs' }, new Uint8Array())
  t.strictSame(names(await fs.ls('box', { refresh: true })), ['box/mine', 'box/theirs'])
})

t.test('getFile and putFile carry large files in pieces', async (t) => {
  const { fs, store } = await counted()
  const local = await temporaryDirectory(t)
  const text = 'abcdefghijk'.repeat(200_000)
  await plantLocal(local, { big: text })

  await fs.putFile(join(local, 'big'), 'box/big')
  await fs.getFile('box/big', join(local, 'back'))

  t.equal((await localFiles(local))['back'], text)
  t.ok(store.requests.some(({ verb }) => verb === 'stageBlock'))
})

t.test('a download that fails leaves the local file as it was', async (t) => {
  const { fs, store } = await counted()
  const local = await temporaryDirectory(t)
  await plantLocal(local, { f: 'old' })
  await fs.pipeFile('box/f', Buffer.alloc(200_000))
  store.before = ({ ifMatch }) => {
    if (ifMatch !== undefined)
      throw new FileSystemError('EIO', 'blob.get', { path: 'abfs://box/f' })
  }

  await t.rejects(fs.getFile('box/f', join(local, 'f')), { code: 'EIO' })

  t.strictSame(await localFiles(local), { f: 'old' })
})

t.test('local failures are errno errors with the local path', async (t) => {
  const { fs } = await planted()
  const local = await temporaryDirectory(t)
  await plantLocal(local, { file: '' })

  await t.rejects(fs.getFile('box/top', local), { code: 'EISDIR', path: local })
  await t.rejects(fs.getFile('box/top', join(local, 'no/such/f')), { code: 'ENOENT' })
  await t.rejects(fs.getFile('box/top', join(local, 'file/f')), { code: 'ENOTDIR' })
  await t.rejects(fs.putFile(join(local, 'missing'), 'box/f'), {
    name: 'FileSystemError',
    code: 'ENOENT',
    path: join(local, 'missing'),
  })
  await t.rejects(fs.putFile(local, 'box/f'), { code: 'EISDIR' })
  await t.rejects(fs.putFile('', 'box/f'), TypeError)
})

t.test('several failures of a tree are one error that has them all', async (t) => {
  const { fs, store } = await counted()
  const local = await temporaryDirectory(t)
  await plantRemote(fs, 'box', { 'src/a': '', 'src/b': '', 'src/c': 'fine' })
  store.before = ({ verb, name }) => {
    if (verb === 'get' && name !== 'src/c')
      throw new FileSystemError('EACCES', 'blob.get', { path: `abfs://box/${name}` })
  }

  const error = await fs
    .get('box/src/', local, { recursive: true })
    .catch((error: unknown) => error)

  t.match(error, { code: 'EACCES', path: 'abfs://box/src/a', message: /2 of 3 paths failed/ })
  t.ok(error instanceof FileSystemError && error.cause instanceof AggregateError)
  t.strictSame(await localFiles(local), { c: 'fine' })
})

t.test('preserve keeps modes, times, links and empty directories both ways', async (t) => {
  const { fs } = await memoryFileSystem()
  const local = await temporaryDirectory(t)
  await plantLocal(local, { 'src/run': '#!', 'src/dir/f': 'text' })
  await mkdir(join(local, 'src/empty'))
  await symlink('dir/f', join(local, 'src/link'))
  await symlink('nowhere', join(local, 'src/dangling'))
  await chmod(join(local, 'src/run'), 0o751)
  await chmod(join(local, 'src/dir'), 0o700)
  await utimes(join(local, 'src/run'), 1_600_000_000.125, 1_600_000_000.125)

  await fs.put(join(local, 'src'), 'box/kept', { recursive: true, preserve: true })
  t.ok(await fs.lexists('box/kept/dangling'), 'a link without its target is there')
  t.notOk(await fs.lexists('box/kept/none'))
  fs.invalidateCache()
  const result = await fs.get('box/kept', join(local, 'back'), { recursive: true, preserve: true })

  t.strictSame(result.skipped, [])
  const run = await stat(join(local, 'back/run'))
  t.equal(run.mode & 0o7777, 0o751)
  t.equal(run.mtimeMs, 1_600_000_000_125)
  t.equal((await stat(join(local, 'back/dir'))).mode & 0o7777, 0o700)
  t.ok((await stat(join(local, 'back/empty'))).isDirectory())
  t.equal(await readlink(join(local, 'back/link')), 'dir/f')
  t.equal(await readlink(join(local, 'back/dangling')), 'nowhere')
  t.equal(await fs.readLink('box/kept/link'), 'dir/f')
  t.match(await fs.info('box/kept/link'), { type: 'other', isLink: true, entryType: 'symlink' })
})

t.test(
  'without preserve a link to a file is the file, and others are told as skipped',
  async (t) => {
    const { fs } = await memoryFileSystem()
    const local = await temporaryDirectory(t)
    await plantLocal(local, { 'src/dir/f': 'text' })
    await symlink('dir/f', join(local, 'src/link'))
    await symlink('dir', join(local, 'src/loop'))
    await symlink('nowhere', join(local, 'src/dangling'))

    const result = await fs.put(join(local, 'src'), 'box/src', { recursive: true })

    t.strictSame([...result.skipped].sort(), [join(local, 'src/dangling'), join(local, 'src/loop')])
    t.strictSame(await remoteFiles(fs, 'box/src'), { 'dir/f': 'text', link: 'text' })
  },
)

t.test('no file is written through a link that a download makes', async (t) => {
  const { fs } = await memoryFileSystem()
  const local = await temporaryDirectory(t)
  await plantLocal(local, { 'outside/f': 'safe', 'src/f': 'text' })
  await symlink('../outside', join(local, 'src/way'))
  await fs.put(join(local, 'src'), 'box/src', { recursive: true, preserve: true })

  await fs.get('box/src', join(local, 'back'), { recursive: true, preserve: true })

  t.ok((await lstat(join(local, 'back/way'))).isSymbolicLink())
  t.equal((await localFiles(join(local, 'outside')))['f'], 'safe')
})

t.test('concurrency bounds the requests of a tree', async (t) => {
  const store = new CountingStore(new MemoryBlobStore())
  await store.createContainer('box')
  const fs = new AzureBlobFileSystem({ store, concurrency: 3 })
  const local = await temporaryDirectory(t)
  await plantLocal(
    local,
    Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`src/f${index}`, 'x'])),
  )

  await fs.put(join(local, 'src'), 'box/dst', { recursive: true })

  t.equal((await fs.find('box/dst')).length, 40)
  t.ok(store.maxInFlight <= 3, `${store.maxInFlight} requests at once`)
})

t.test('what was listed is not told any more once the file system is closed', async (t) => {
  const { fs, store } = await memoryFileSystem()
  await fs.writeText('box/d/f', 'x')
  await fs.ls('box/d')
  await store.put({ container: 'box', name: 'd/g' }, Buffer.from('y'))
  t.equal((await fs.ls('box/d')).length, 1, 'it was remembered')

  await fs.close()

  t.equal(
    (await fs.ls('box/d')).length,
    2,
    'the store is asked, which says of itself that it is closed',
  )
})

t.test('closing the file system closes its store', async (t) => {
  const { store } = await memoryFileSystem()
  let closed = false
  store.close = async () => {
    closed = true
  }

  {
    await using fs = new AzureBlobFileSystem({ store })
    await fs.ls('box')
  }

  t.ok(closed)
})
