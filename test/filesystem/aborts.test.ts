import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { AzureBlobFileSystem } from '../../src/index.ts'
import { sync } from '../../src/index.ts'
import { memoryFileSystem, remoteFiles } from '../support/file-system.ts'

const reason = new Error('stop')
const signal = AbortSignal.abort(reason)

async function setUp() {
  const { fs } = await memoryFileSystem()
  for (const name of ['a/f', 'a/g', 'b/f', 'b/g', 'h']) await fs.writeText(`box/t/${name}`, name)
  // Everything is remembered: nobody is asked who would look at the signal.
  for await (const _ of fs.walk('box'));
  for (const directory of ['', 'box', 'box/t', 'box/t/a', 'box/t/b']) await fs.ls(directory)
  return fs
}

type Call = (fs: AzureBlobFileSystem, local: string) => unknown
const bytes = new Uint8Array(3)

const calls: Readonly<Record<string, Call>> = {
  ls: (fs) => fs.ls('box/t', { signal }),
  info: (fs) => fs.info('box/t/h', { signal }),
  exists: (fs) => fs.exists('box/t/h', { signal }),
  isDir: (fs) => fs.isDir('box/t', { signal }),
  size: (fs) => fs.size('box/t/h', { signal }),
  find: (fs) => fs.find('box/t', { signal }),
  'find of one level': (fs) => fs.find('box/t', { signal, maxDepth: 1 }),
  glob: (fs) => fs.glob('box/t/*/f', { signal }),
  'glob of a name': (fs) => fs.glob('box/t/h', { signal }),
  explainGlob: (fs) => fs.explainGlob('box/t/*', { signal }),
  expandPath: (fs) => fs.expandPath('box/t/*', { signal }),
  du: (fs) => fs.du('box/t', { signal }),
  catFile: (fs) => fs.catFile('box/t/h', { signal }),
  cat: (fs) => fs.cat('box/t/*/f', { signal }),
  catRanges: (fs) => fs.catRanges([{ path: 'box/t/h', end: 1 }], { signal }),
  open: (fs) => fs.open('box/t/h', 'r', { signal }),
  pipeFile: (fs) => fs.pipeFile('box/t/new', bytes, { signal }),
  pipe: (fs) => fs.pipe({ 'box/t/new': bytes }, { signal }),
  touch: (fs) => fs.touch('box/t/new', { signal }),
  put: (fs, local) => fs.put(local, 'box/t/new', { signal }),
  get: (fs, local) => fs.get('box/t', `${local}.new`, { signal, recursive: true }),
  copy: (fs) => fs.copy('box/t/a', 'box/t/new', { signal, recursive: true }),
  mv: (fs) => fs.mv('box/t/a', 'box/t/new', { signal }),
  rm: (fs) => fs.rm('box/t/*', { signal, recursive: true }),
  rmFile: (fs) => fs.rmFile('box/t/h', { signal }),
  mkdir: (fs) => fs.mkdir('box/t/new', { signal }),
  rmdir: (fs) => fs.rmdir('box/t/a', { signal }),
  setMetadata: (fs) => fs.setMetadata('box/t/h', { a: 'b' }, { signal }),
  update: (fs) => fs.update('box/t/h', () => bytes, { signal }),
  plan: (fs) => fs.plan('rm', 'box/t/*', { signal, recursive: true }),
  sync: (fs) => sync({ fs, path: 'box/t/a' }, { fs, path: 'box/new' }, { signal }),
}

for (const [name, call] of Object.entries(calls)) {
  t.test(`${name} of an aborted signal does nothing, whatever is remembered`, async (t) => {
    const fs = await setUp()
    const before = await remoteFiles(fs, 'box')
    const local = join(t.testdir({ file: 'text' }), 'file')

    await t.rejects(async () => await call(fs, local), { message: 'stop' })

    t.same(await remoteFiles(fs, 'box'), before)
    await t.rejects(readFile(`${local}.new`), { code: 'ENOENT' })
  })
}

const loops: Readonly<
  Record<string, (fs: AzureBlobFileSystem, s: AbortSignal) => AsyncIterable<unknown>>
> = {
  walk: (fs, signal) => fs.walk('box/t', { signal }),
  'walk of two levels': (fs, signal) => fs.walk('box/t', { signal, maxDepth: 2 }),
  'walk from the bottom': (fs, signal) => fs.walk('box/t', { signal, topDown: false }),
  findIter: (fs, signal) => fs.findIter('box/t', { signal }),
  globIter: (fs, signal) => fs.globIter('box/t/*/*', { signal }),
  'globIter of **': (fs, signal) => fs.globIter('box/t/**', { signal }),
  list: (fs, signal) => fs.list('box/t', { signal, pageSize: 1 }),
  tree: (fs, signal) => fs.tree('box/t', { signal }),
}

for (const [name, loop] of Object.entries(loops)) {
  t.test(`${name} stops where it is when the signal aborts`, async (t) => {
    const fs = await setUp()
    const controller = new AbortController()
    let count = 0

    const work = async () => {
      for await (const _ of loop(fs, controller.signal)) {
        count += 1
        controller.abort(reason)
      }
    }

    await t.rejects(work(), { message: 'stop' })
    t.equal(count, 1)
  })
}
