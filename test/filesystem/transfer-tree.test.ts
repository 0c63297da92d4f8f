import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import type { TransferOptions } from '../../src/filesystem/transfer-tree.ts'
import {
  localFiles,
  memoryFileSystem,
  plantLocal,
  plantRemote,
  remoteFiles,
  temporaryDirectory,
} from '../support/file-system.ts'

// One table of what lands where, run for copy, get and put. `src` and `dst` are directories; `dst`
// holds a dummy file, so that it exists on a flat namespace.

type Paths = string | readonly string[]
/** What `temporaryDirectory` needs of a test. */
type Scope = Parameters<typeof temporaryDirectory>[0]

interface Bench {
  readonly fs: AzureBlobFileSystem
  run(source: Paths, target: Paths, options?: TransferOptions): Promise<unknown>
  /** What lies in `dst`, without the dummy. */
  landed(): Promise<string[]>
  text(name: string): Promise<string>
}

interface Row {
  readonly title: string
  readonly source: Paths
  readonly target: Paths
  readonly options?: TransferOptions
  readonly expected: readonly string[]
}

const bulk = ['file1', 'file2', 'subdir/subfile1', 'subdir/subfile2', 'subdir/nesteddir/nestedfile']
const twoSubdirs = ['subdir0', 'subdir1'].flatMap((name) =>
  ['subfile1', 'subfile2', 'nesteddir/nestedfile'].map((file) => `${name}/${file}`),
)
const globTree = ['file1', 'file2', ...twoSubdirs]
const flat = twoSubdirs.filter((name) => !name.includes('nesteddir'))
const subdirFiles = ['subfile1', 'subfile2', 'nesteddir/nestedfile']
const twins = ['subdir.txt', 'subdir/subfile.txt']
const recursive = { recursive: true }
const below = (prefix: string, names: readonly string[]) => names.map((name) => prefix + name)

const rows: Row[] = [
  ...['dst', 'dst/'].flatMap((target) => [
    row(`1a file to the existing directory ${target}`, 'src/file2', target, ['file2']),
    row(`1a nested file to ${target}`, 'src/subdir/subfile1', target, ['subfile1']),
    row(`2a list to ${target}`, ['src/file1', 'src/file2', 'src/subdir/subfile1'], target, [
      'file1',
      'file2',
      'subfile1',
    ]),
  ]),
  row('1b file to a new directory', 'src/subdir/subfile1', 'dst/newdir/', ['newdir/subfile1']),
  row('1c file to a new name', 'src/subdir/subfile1', 'dst/newfile', ['newfile']),
  row('1d file to a new name in a new directory', 'src/subdir/subfile1', 'dst/new/newfile', [
    'new/newfile',
  ]),
  row('1e directory without recursive', 'src/subdir', 'dst', []),
  row('1e directory with slash without recursive', 'src/subdir/', 'dst/', []),
  row(
    '1e directory to an existing one',
    'src/subdir',
    'dst',
    below('subdir/', subdirFiles),
    recursive,
  ),
  row('1e contents to an existing directory', 'src/subdir/', 'dst/', subdirFiles, recursive),
  row('1e directory to depth 1', 'src/subdir', 'dst', ['subdir/subfile1', 'subdir/subfile2'], {
    recursive: true,
    maxDepth: 1,
  }),
  row('1e contents to depth 1', 'src/subdir/', 'dst/', ['subfile1', 'subfile2'], {
    recursive: true,
    maxDepth: 1,
  }),
  row(
    '1f directory to a new one',
    'src/subdir',
    'dst/newdir',
    below('newdir/', subdirFiles),
    recursive,
  ),
  row(
    '1f contents to a new one',
    'src/subdir/',
    'dst/newdir/',
    below('newdir/', subdirFiles),
    recursive,
  ),
  row('1f directory to a new one without recursive', 'src/subdir', 'dst/newdir', []),
  ...['dst', 'dst/', 'dst/newdir', 'dst/newdir/'].flatMap((target) => {
    const prefix = target.includes('newdir') ? 'newdir/' : ''
    const two = below(prefix, ['subfile1', 'subfile2'])
    const all = below(prefix, subdirFiles)
    return [
      row(`1g pattern to ${target}`, 'src/subdir/*', target, two),
      row(`1g recursive pattern to ${target}`, 'src/subdir/*', target, all, recursive),
      row(`1g ** to ${target}`, 'src/subdir/**', target, all),
      row(`1g recursive pattern of depth 1 to ${target}`, 'src/subdir/*', target, two, {
        recursive: true,
        maxDepth: 1,
      }),
      row(`1g ** of depth 1 to ${target}`, 'src/subdir/**', target, two, { maxDepth: 1 }),
    ]
  }),
  row('2b list to a new directory', ['src/file1', 'src/subdir/subfile1'], 'dst/newdir/', [
    'newdir/file1',
    'newdir/subfile1',
  ]),
  row('2c list to an absent target', ['src/file1', 'src/file2'], 'dst/newdir', [
    'newdir/file1',
    'newdir/file2',
  ]),
  row('4 list to list', ['src/file2', 'src/file1'], ['dst/a', 'dst/b/c'], ['a', 'b/c']),
]

const edges: [string, boolean, number | undefined, readonly string[]][] = [
  ['*', false, undefined, ['file1', 'file2']],
  ['*', true, undefined, globTree],
  ['*', true, 1, ['file1', 'file2']],
  ['*', true, 2, ['file1', 'file2', ...flat]],
  ['*1', false, undefined, ['file1']],
  ['*1', true, undefined, ['file1', ...below('subdir1/', subdirFiles)]],
  ['*1', true, 2, ['file1', 'subdir1/subfile1', 'subdir1/subfile2']],
  ['**', false, undefined, globTree],
  ['**', true, undefined, globTree],
  ['**', true, 1, ['file1', 'file2']],
  // A match at depth 2 is a directory, of which one more level is taken.
  ['**', true, 2, globTree],
  ['**', false, 2, ['file1', 'file2', ...flat]],
  ['**/*1', false, undefined, ['file1', 'subdir0/subfile1', 'subdir1/subfile1']],
  ['**/*1', true, undefined, ['file1', 'subdir0/subfile1', ...below('subdir1/', subdirFiles)]],
  ['**/*1', true, 1, ['file1']],
  ['**/*1', true, 2, ['file1', 'subdir0/subfile1', 'subdir1/subfile1', 'subdir1/subfile2']],
  ['**/*1', false, 2, ['file1', 'subdir0/subfile1', 'subdir1/subfile1']],
  ['**/subdir0', false, undefined, []],
  ['**/subdir0', true, undefined, subdirFiles],
  ['**/subdir0/nested*', false, 2, []],
  ['**/subdir0/nested*', true, 2, ['nestedfile']],
  ['subdir[1-2]', false, undefined, []],
  ['subdir[1-2]', true, undefined, subdirFiles],
  ['subdir[1-2]', true, 2, ['subfile1', 'subfile2']],
  ['subdir[0-1]', false, undefined, []],
  ['subdir[0-1]', true, undefined, twoSubdirs],
  ['subdir[0-1]/*fil[e]*', false, undefined, flat],
  ['subdir[0-1]/*fil[e]*', true, undefined, flat],
]

const edgeRows = edges.flatMap(([pattern, isRecursive, maxDepth, expected]) =>
  ['dst', 'dst/', 'dst/newdir', 'dst/newdir/'].map((target) => {
    const prefix = target.includes('newdir') ? 'newdir/' : ''
    const options = { recursive: isRecursive, maxDepth }
    const title = `1i ${pattern} recursive ${isRecursive} depth ${maxDepth} to ${target}`
    return row(title, `src/${pattern}`, target, below(prefix, expected), options)
  }),
)

const twinRows = [
  row(
    '3 a directory is not its twin by prefix',
    'src/subdir',
    'dst',
    ['subdir/subfile.txt'],
    recursive,
  ),
  row('3 a pattern takes both twins', 'src/subdir*', 'dst', twins, recursive),
]

function row(
  title: string,
  source: Paths,
  target: Paths,
  expected: readonly string[],
  options: TransferOptions = {},
): Row {
  return { title, source, target, expected, options }
}

const operations = { copy: copyBench, get: getBench, put: putBench }

for (const [operation, open] of Object.entries(operations)) {
  for (const [fixture, fixtureRows] of [
    [bulk, rows],
    [globTree, edgeRows],
    [twins, twinRows],
  ] as const) {
    for (const { title, source, target, options, expected } of fixtureRows) {
      t.test(`${operation} ${title}`, async (t) => {
        const bench = await open(t, fixture)

        await bench.run(source, target, options)

        t.strictSame(await bench.landed(), [...expected].sort())
      })
    }
  }

  t.test(`${operation} 2c of a directory lands in the target once that exists`, async (t) => {
    const bench = await open(t, bulk)

    await bench.run('src/subdir', 'dst/new', recursive)
    await bench.run('src/subdir', 'dst/new', recursive)

    const expected = [...below('new/', subdirFiles), ...below('new/subdir/', subdirFiles)]
    t.strictSame(await bench.landed(), expected.sort())
  })

  t.test(`${operation} 2c of contents lands in the same place again`, async (t) => {
    const bench = await open(t, bulk)

    await bench.run('src/subdir/', 'dst/new', recursive)
    await bench.run('src/subdir/', 'dst/new', recursive)

    t.strictSame(await bench.landed(), below('new/', subdirFiles).sort())
  })

  t.test(`${operation} 4 keeps the order of lists`, async (t) => {
    const names = Array.from({ length: 10 }, (_, index) => `${(index * 7) % 10}-${index}.txt`)
    const bench = await open(t, names)

    await bench.run(
      below('src/', names),
      below(
        'dst/',
        names.map((name) => `to-${name}`),
      ),
    )

    for (const name of names) t.equal(await bench.text(`to-${name}`), `text of ${name}`)
  })

  t.test(`${operation} of something missing is ENOENT`, async (t) => {
    const bench = await open(t, bulk)

    await t.rejects(bench.run('src/missing', 'dst'), { code: 'ENOENT' })
    await t.rejects(bench.run('src/missing*', 'dst'), { code: 'ENOENT' })
    await t.rejects(bench.run(['src/file1', 'src/missing'], 'dst'), { code: 'ENOENT' })
  })

  t.test(`${operation} refuses lists of different length and a depth below 1`, async (t) => {
    const bench = await open(t, bulk)

    await t.rejects(bench.run(['src/file1'], ['dst/a', 'dst/b']), TypeError)
    await t.rejects(bench.run('src', 'dst', { maxDepth: 0 }), RangeError)
    await t.rejects(bench.run(['src/subdir'], ['dst/a'], recursive), { code: 'EISDIR' })
  })

  t.test(`${operation} takes a pattern as a name when told`, async (t) => {
    const bench = await open(t, ['[x].txt', 'x.txt', '*'])

    await bench.run('src/[x].txt', 'dst/', { literal: true })
    await bench.run('src/*', 'dst/', { literal: true })

    t.strictSame(await bench.landed(), ['*', '[x].txt'])
  })

  t.test(`${operation} keeps names that URLs would change`, async (t) => {
    const names = ['a b', 'é', '100%', 'a%20b', 'a#b', 'a?b', 'a+b', 'a&b=c', '{a,b}', '\'"', '[x]']
    const bench = await open(t, names)

    await bench.run('src', 'dst/new', recursive)

    t.strictSame(await bench.landed(), below('new/', names).sort())
    for (const name of names) t.equal(await bench.text(`new/${name}`), `text of ${name}`)
  })

  t.test(`${operation} tells how far it is`, async (t) => {
    const bench = await open(t, bulk)
    const seen: unknown[] = []

    await bench.run('src', 'dst/new', { recursive: true, onProgress: (at) => seen.push(at) })

    const bytes = bulk.reduce((total, name) => total + `text of ${name}`.length, 0)
    t.match(seen.at(-1), { bytes, totalBytes: bytes, files: 5, totalFiles: 5 })
  })

  t.test(`${operation} stops when it is aborted`, async (t) => {
    const bench = await open(t, bulk)
    const reason = new Error('enough')

    const running = bench.run('src', 'dst', { recursive: true, signal: AbortSignal.abort(reason) })

    await t.rejects(running, reason)
    t.strictSame(await bench.landed(), [])
  })
}

function texts(names: readonly string[], prefix: string): Record<string, string> {
  return Object.fromEntries(names.map((name) => [`${prefix}${name}`, `text of ${name}`]))
}

async function copyBench(_t: Scope, names: readonly string[]): Promise<Bench> {
  const { fs } = await memoryFileSystem()
  await plantRemote(fs, 'box', { ...texts(names, 'src/'), 'dst/dummy': '' })
  const place = map((name) => `abfs://box/${name}`)
  return {
    fs,
    run: (source, target, options) => fs.copy(place(source), place(target), options),
    landed: async () => withoutDummy(await remoteFiles(fs, 'box/dst')),
    text: (name) => fs.readText(`box/dst/${name}`),
  }
}

async function getBench(t: Scope, names: readonly string[]): Promise<Bench> {
  const { fs } = await memoryFileSystem()
  const local = await temporaryDirectory(t)
  await plantRemote(fs, 'box', texts(names, 'src/'))
  await plantLocal(local, { 'dst/dummy': '' })
  const toLocal = map((name) => `${local}/${name}`)
  return {
    fs,
    run: (source, target, options) =>
      fs.get(map((name) => `az://box/${name}`)(source), toLocal(target), options),
    landed: async () => withoutDummy(await localFiles(join(local, 'dst'))),
    text: async (name) => (await localFiles(join(local, 'dst')))[name] ?? 'missing',
  }
}

async function putBench(t: Scope, names: readonly string[]): Promise<Bench> {
  const { fs } = await memoryFileSystem()
  const local = await temporaryDirectory(t)
  await plantLocal(local, texts(names, 'src/'))
  await mkdir(join(local, 'src'), { recursive: true })
  await plantRemote(fs, 'box', { 'dst/dummy': '' })
  return {
    fs,
    run: (source, target, options) =>
      fs.put(
        map((name) => `${local}/${name}`)(source),
        map((name) => `box/${name}`)(target),
        options,
      ),
    landed: async () => withoutDummy(await remoteFiles(fs, 'box/dst')),
    text: (name) => fs.readText(`box/dst/${name}`),
  }
}

function map(change: (name: string) => string) {
  return (paths: Paths): string | string[] =>
    typeof paths === 'string' ? change(paths) : paths.map(change)
}

function withoutDummy(files: Record<string, string>): string[] {
  return Object.keys(files)
    .filter((name) => name !== 'dummy')
    .sort()
}
