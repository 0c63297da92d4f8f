import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import type { Progress } from '../../src/filesystem/progress.ts'
import type { TransferOptions } from '../../src/filesystem/transfer-run.ts'
import {
  localFiles,
  plantLocal,
  plantRemote,
  remoteFiles,
  temporaryDirectory,
} from '../support/file-system.ts'
import {
  below,
  bulk,
  type Paths,
  recursive,
  subdirFiles,
  transferRows,
} from './fsspec-matrix-rows.ts'
import { globFiles, globRows } from './posix-glob-rows.ts'

/** Where one case may put what it likes: `root` is a container or a directory, and empty. */
export interface Place {
  readonly fs: AzureBlobFileSystem
  readonly root: string
}

type Operation = 'copy' | 'get' | 'put'

interface Bench {
  run(source: Paths, target: Paths, options?: TransferOptions): Promise<unknown>
  /** What lies in `dst`, without the dummy. */
  landed(): Promise<string[]>
  text(name: string): Promise<string>
}

type OpenBench = (t: Test, names: readonly string[]) => Promise<Bench>

/**
 * What fsspec's own suite asks of a file system, as data. Every case gets a place of its own from
 * `openPlace`.
 */
export function fsspecMatrix(t: Test, openPlace: () => Promise<Place>): void {
  const benches = { copy: copyBench, get: getBench, put: putBench }
  for (const operation of ['copy', 'get', 'put'] as const) {
    const open: OpenBench = async (t, names) => benches[operation](t, await openPlace(), names)
    testRows(t, operation, open)
    testRepeats(t, operation, open)
    testLists(t, operation, open)
    testMistakes(t, operation, open)
    testNames(t, operation, open)
    testProgress(t, operation, open)
  }
  testExclusive(t, openPlace)
  testGlob(t, openPlace)
}

function testRows(t: Test, operation: Operation, open: OpenBench): void {
  for (const [fixture, fixtureRows] of transferRows) {
    for (const { title, source, target, options, expected } of fixtureRows) {
      void t.test(`${operation} ${title}`, async (t) => {
        const bench = await open(t, fixture)

        await bench.run(source, target, options)

        t.strictSame(await bench.landed(), [...expected].sort())
      })
    }
  }
}

function testRepeats(t: Test, operation: Operation, open: OpenBench): void {
  void t.test(`${operation} 2c of a directory lands in the target once that exists`, async (t) => {
    const bench = await open(t, bulk)

    await bench.run('src/subdir', 'dst/new', recursive)
    await bench.run('src/subdir', 'dst/new', recursive)

    const expected = [...below('new/', subdirFiles), ...below('new/subdir/', subdirFiles)]
    t.strictSame(await bench.landed(), expected.sort())
  })

  void t.test(`${operation} 2c of contents lands in the same place again`, async (t) => {
    const bench = await open(t, bulk)

    await bench.run('src/subdir/', 'dst/new', recursive)
    await bench.run('src/subdir/', 'dst/new', recursive)

    t.strictSame(await bench.landed(), below('new/', subdirFiles).sort())
  })
}

function testLists(t: Test, operation: Operation, open: OpenBench): void {
  void t.test(`${operation} 4 keeps the order of lists`, async (t) => {
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
}

function testMistakes(t: Test, operation: Operation, open: OpenBench): void {
  void t.test(`${operation} of something missing is ENOENT`, async (t) => {
    const bench = await open(t, bulk)

    await t.rejects(bench.run('src/missing', 'dst'), { code: 'ENOENT' })
    await t.rejects(bench.run('src/missing*', 'dst'), { code: 'ENOENT' })
    await t.rejects(bench.run(['src/file1', 'src/missing'], 'dst'), { code: 'ENOENT' })
  })

  void t.test(`${operation} refuses lists of different length and a depth below 1`, async (t) => {
    const bench = await open(t, bulk)

    await t.rejects(bench.run(['src/file1'], ['dst/a', 'dst/b']), TypeError)
    await t.rejects(bench.run('src', 'dst', { maxDepth: 0 }), RangeError)
    await t.rejects(bench.run(['src/subdir'], ['dst/a'], recursive), { code: 'EISDIR' })
  })
}

function testNames(t: Test, operation: Operation, open: OpenBench): void {
  void t.test(`${operation} takes a pattern as a name when told`, async (t) => {
    const bench = await open(t, ['[x].txt', 'x.txt', '*'])

    await bench.run('src/[x].txt', 'dst/', { literal: true })
    await bench.run('src/*', 'dst/', { literal: true })

    t.strictSame(await bench.landed(), ['*', '[x].txt'])
  })

  void t.test(`${operation} keeps names that URLs would change`, async (t) => {
    const names = ['a b', 'é', '100%', 'a%20b', 'a#b', 'a?b', 'a+b', 'a&b=c', '{a,b}', '\'"', '[x]']
    const bench = await open(t, names)

    await bench.run('src', 'dst/new', recursive)

    t.strictSame(await bench.landed(), below('new/', names).sort())
    for (const name of names) t.equal(await bench.text(`new/${name}`), `text of ${name}`)
  })
}

function testProgress(t: Test, operation: Operation, open: OpenBench): void {
  void t.test(`${operation} tells how far it is`, async (t) => {
    const bench = await open(t, bulk)
    const seen: Progress[] = []

    await bench.run('src', 'dst/new', { recursive: true, onProgress: (at) => seen.push(at) })

    const bytes = bulk.reduce((total, name) => total + `text of ${name}`.length, 0)
    const all = { totalBytes: bytes, totalFiles: 5 }
    const listed = seen.filter(({ phase }) => phase === 'listing')
    t.match(listed.at(-1), { ...all, bytes: 0, files: 0 })
    t.strictSame(seen.slice(0, listed.length), listed, 'before all else')
    t.match(seen.at(-1), { phase: 'transferring', ...all, bytes, files: 5 })
  })

  void t.test(`${operation} stops when it is aborted`, async (t) => {
    const bench = await open(t, bulk)
    const reason = new Error('enough')

    const running = bench.run('src', 'dst', { recursive: true, signal: AbortSignal.abort(reason) })

    await t.rejects(running, reason)
    t.strictSame(await bench.landed(), [])
  })
}

function testExclusive(t: Test, openPlace: () => Promise<Place>): void {
  void t.test('5 an exclusive open of a file that exists is EEXIST at once', async (t) => {
    const { fs, root } = await openPlace()
    await fs.writeText(`${root}/file`, 'data')

    await t.rejects(fs.open(`${root}/file`, 'x'), { code: 'EEXIST' })

    t.equal(await fs.readText(`${root}/file`), 'data')
  })

  void t.test('6 pipeFile with mode create never replaces', async (t) => {
    const { fs, root } = await openPlace()
    const data = new TextEncoder().encode('data')
    await fs.pipeFile(`${root}/file`, data, { mode: 'create' })

    await t.rejects(fs.pipeFile(`${root}/file`, data, { mode: 'create' }), { code: 'EEXIST' })
    await fs.pipeFile(`${root}/file`, new Uint8Array(), { mode: 'overwrite' })

    t.equal(await fs.size(`${root}/file`), 0)
  })
}

function testGlob(t: Test, openPlace: () => Promise<Place>): void {
  void t.test('patterns match what they match on a disk', async (t) => {
    const { fs, root } = await openPlace()
    await fs.pipe(
      Object.fromEntries(globFiles.map((name) => [`${root}/${name}`, new Uint8Array()])),
    )

    for (const [pattern, expected, maxDepth] of globRows) {
      const found = await fs.glob(`${root}/${pattern}`, { maxDepth })

      const names = found.map(({ name }) => name.slice(root.length + 1))
      const depth = maxDepth === undefined ? '' : ` to depth ${maxDepth}`
      const inside = names.filter((name) => name !== '').sort()
      t.strictSame(inside, [...expected].sort(), `${pattern}${depth}`)
    }
  })
}

function texts(names: readonly string[], prefix: string): Record<string, string> {
  return Object.fromEntries(names.map((name) => [`${prefix}${name}`, `text of ${name}`]))
}

async function copyBench(_t: Test, { fs, root }: Place, names: readonly string[]): Promise<Bench> {
  await plantRemote(fs, root, { ...texts(names, 'src/'), 'dst/dummy': '' })
  const place = map((name) => `abfs://${root}/${name}`)
  return {
    run: (source, target, options) => fs.copy(place(source), place(target), options),
    landed: async () => withoutDummy(await remoteFiles(fs, `${root}/dst`)),
    text: (name) => fs.readText(`${root}/dst/${name}`),
  }
}

async function getBench(t: Test, { fs, root }: Place, names: readonly string[]): Promise<Bench> {
  const local = await temporaryDirectory(t)
  await plantRemote(fs, root, texts(names, 'src/'))
  await plantLocal(local, { 'dst/dummy': '' })
  const toLocal = map((name) => `${local}/${name}`)
  return {
    run: (source, target, options) =>
      fs.get(map((name) => `az://${root}/${name}`)(source), toLocal(target), options),
    landed: async () => withoutDummy(await localFiles(join(local, 'dst'))),
    text: async (name) => (await localFiles(join(local, 'dst')))[name] ?? 'missing',
  }
}

async function putBench(t: Test, { fs, root }: Place, names: readonly string[]): Promise<Bench> {
  const local = await temporaryDirectory(t)
  await plantLocal(local, texts(names, 'src/'))
  await mkdir(join(local, 'src'), { recursive: true })
  await plantRemote(fs, root, { 'dst/dummy': '' })
  return {
    run: (source, target, options) =>
      fs.put(
        map((name) => `${local}/${name}`)(source),
        map((name) => `${root}/${name}`)(target),
        options,
      ),
    landed: async () => withoutDummy(await remoteFiles(fs, `${root}/dst`)),
    text: (name) => fs.readText(`${root}/dst/${name}`),
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
