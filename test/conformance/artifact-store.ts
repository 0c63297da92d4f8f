import { chmod, mkdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { ArtifactPathError } from '../../src/artifact-store/artifact-path.ts'
import { AzureArtifactStore } from '../../src/artifact-store/azure-artifact-store.ts'
import type { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { localFiles, plantLocal, temporaryDirectory } from '../support/file-system.ts'

/** What the suite runs over: a file system with an empty container `box`. */
export interface ArtifactBench {
  readonly fs: AzureBlobFileSystem
}

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (data: Uint8Array) => new TextDecoder().decode(data)
const tree = { 'a.txt': 'aaa', 'deep/b b.txt': 'bb', 'deep/é%#+?.txt': 'c', empty: '' }

/** Runs what every artifact store must do; `open` makes a bench of its own for each test. */
export function testArtifactStore(t: Test, open: (t: Test) => Promise<ArtifactBench>): void {
  const scene = async (t: Test) => {
    const { fs } = await open(t)
    const store = new AzureArtifactStore({ fileSystem: fs, root: 'abfs://box/root' })
    return { fs, store, local: await temporaryDirectory(t) }
  }

  t.test('bytes come back as they went', async (t) => {
    const { store } = await scene(t)

    const saved = await store.save('run-1/note', bytes('hello'))

    t.match(saved, { name: 'run-1/note', kind: 'file', sizeBytes: 5, fileCount: 1 })
    t.equal(saved.sha256, '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824')
    t.equal(text(await store.loadBytes('run-1/note')), 'hello')
    t.ok(await store.exists('run-1/note'))
    t.notOk(await store.exists('run-1'))
  })

  t.test('a stream and a local file are saved, and loaded to a local file', async (t) => {
    const { store, local } = await scene(t)
    const pieces = async function* () {
      yield bytes('one ')
      yield bytes('two')
    }
    await writeFile(join(local, 'in'), 'x'.repeat(300_000))

    await store.save('stream', pieces())
    await store.save('file', join(local, 'in'))
    await store.load('stream', join(local, 'new/dir/out'))
    await store.load('file', join(local, 'out'))

    t.equal(await readFile(join(local, 'new/dir/out'), 'utf8'), 'one two')
    t.equal(await readFile(join(local, 'out'), 'utf8'), 'x'.repeat(300_000))
  })

  t.test('a directory comes back with its modes, links and empty directories', async (t) => {
    const { store, local } = await scene(t)
    await plantLocal(join(local, 'in'), tree)
    await mkdir(join(local, 'in/hollow/inner'), { recursive: true })
    await chmod(join(local, 'in/a.txt'), 0o750)
    await symlink('../a.txt', join(local, 'in/deep/link'))

    const saved = await store.save('model', join(local, 'in'))
    const loaded = await store.load('model', join(local, 'out'))

    t.match(saved, { name: 'model', kind: 'directory', sizeBytes: 6, fileCount: 4 })
    t.strictSame(loaded, saved)
    t.strictSame(await localFiles(join(local, 'out')), await localFiles(join(local, 'in')))
    t.equal((await stat(join(local, 'out/a.txt'))).mode & 0o777, 0o750)
    t.equal(await readlink(join(local, 'out/deep/link')), '../a.txt')
    t.ok((await stat(join(local, 'out/hollow/inner'))).isDirectory())
    await t.rejects(store.loadBytes('model'), { code: 'EISDIR' })
  })

  t.test('list tells complete artifacts at and below a prefix', async (t) => {
    const { fs, store, local } = await scene(t)
    await plantLocal(join(local, 'in'), tree)
    await store.save('b/model', join(local, 'in'))
    await store.save('b/note', bytes('x'))
    await store.save('ba', bytes('x'))
    await fs.writeText('box/root/b/foreign', 'not an artifact')

    const names = async (prefix?: string) => (await store.list(prefix)).map(({ name }) => name)

    t.strictSame(await names(), ['b/model', 'b/note', 'ba'])
    t.strictSame(await names(''), ['b/model', 'b/note', 'ba'])
    t.strictSame(await names('b'), ['b/model', 'b/note'])
    t.strictSame(await names('b/model'), ['b/model'])
    t.strictSame(await names('az://box/root/'), ['b/model', 'b/note', 'ba'])
    t.strictSame(await names('none'), [])
  })

  t.test('an artifact is replaced only when that is asked for', async (t) => {
    const { fs, store, local } = await scene(t)
    await plantLocal(join(local, 'one'), tree)
    await plantLocal(join(local, 'two'), { 'only.txt': '2' })
    await store.save('thing', join(local, 'one'))

    await t.rejects(store.save('thing', join(local, 'two')), { code: 'EEXIST' })
    await store.save('thing', join(local, 'two'), { overwrite: true })
    await store.load('thing', join(local, 'out'))

    t.strictSame(await localFiles(join(local, 'out')), { 'only.txt': '2' })
    t.equal((await fs.find('box/root')).length, 2, 'the former files are gone')
    await store.save('thing', bytes('now a file'), { overwrite: true })
    t.equal(text(await store.loadBytes('thing')), 'now a file')
    t.strictSame((await store.list()).length, 1)
  })

  t.test(
    'a directory whose save ended early is not there, and the former one still is',
    async (t) => {
      const { fs, store, local } = await scene(t)
      await plantLocal(join(local, 'one'), tree)
      await store.save('thing', join(local, 'one'))
      await fs.writeText('box/root/thing/0123456789abcdef0123456789abcdef/half', 'half')
      await fs.writeText('box/root/other/0123456789abcdef0123456789abcdef/half', 'half')

      t.notOk(await store.exists('other'))
      t.strictSame(
        (await store.list()).map(({ name }) => name),
        ['thing'],
      )
      await store.load('thing', join(local, 'out'))
      t.strictSame(await localFiles(join(local, 'out')), tree)
    },
  )

  t.test('a save that fails leaves nothing', async (t) => {
    const { fs, store, local } = await scene(t)
    const broken = async function* () {
      yield bytes('one')
      throw new Error('torn')
    }
    await plantLocal(join(local, 'in'), tree)
    const stop = { signal: AbortSignal.abort(new Error('enough')) }

    await t.rejects(store.save('stream', broken()), { message: 'torn' })
    await t.rejects(store.save('model', join(local, 'in'), stop), { message: 'enough' })

    t.strictSame(await fs.find('box'), [])
  })

  t.test('of two saves at once one is there whole', async (t) => {
    const { store, local } = await scene(t)
    await plantLocal(join(local, 'one'), { f: '1', g: '1' })
    await plantLocal(join(local, 'two'), { f: '2', g: '2' })

    const ends = await Promise.allSettled([
      store.save('thing', join(local, 'one')),
      store.save('thing', join(local, 'two')),
    ])
    await store.load('thing', join(local, 'out'))

    t.equal(ends.filter(({ status }) => status === 'fulfilled').length, 1)
    const files = await localFiles(join(local, 'out'))
    t.equal(files['f'], files['g'])
  })

  t.test('what was changed in storage is found out', async (t) => {
    const { fs, store, local } = await scene(t)
    await plantLocal(join(local, 'in'), tree)
    await store.save('model', join(local, 'in'))
    const { metadata } = await fs.info(`box/root/note`).catch(() => ({ metadata: {} }))
    t.strictSame(metadata, {})
    await store.save('note', bytes('hello'))
    const note = await fs.info('box/root/note', { refresh: true })
    await fs.pipeFile('box/root/note', bytes('jello'), { metadata: note.metadata })
    const [blob] = (await fs.find('box/root/model')).filter(({ name }) => name.endsWith('a.txt'))
    await fs.writeText(blob?.name ?? '', 'bbb')

    await t.rejects(store.loadBytes('note'), { code: 'EIO', message: /not what was saved/ })
    await t.rejects(store.load('note', join(local, 'note')), { code: 'EIO' })
    await t.rejects(store.load('model', join(local, 'model')), { code: 'EIO' })
    t.strictSame(
      Object.keys(await localFiles(local)).filter((name) => !name.startsWith('in/')),
      [],
    )
  })

  t.test('load spares what stands at the local path', async (t) => {
    const { store, local } = await scene(t)
    await store.save('note', bytes('new'))
    await writeFile(join(local, 'out'), 'old')

    await t.rejects(store.load('note', join(local, 'out')), { code: 'EEXIST' })
    t.equal(await readFile(join(local, 'out'), 'utf8'), 'old')
    await store.load('note', join(local, 'out'), { overwrite: true })
    t.equal(await readFile(join(local, 'out'), 'utf8'), 'new')
  })

  t.test('delete takes one artifact and no other', async (t) => {
    const { fs, store, local } = await scene(t)
    await plantLocal(join(local, 'in'), tree)
    await store.save('model', join(local, 'in'))
    await store.save('model-2', join(local, 'in'))
    await store.save('note', bytes('x'))

    await store.delete('model')
    await store.delete('note')

    t.strictSame(
      (await store.list()).map(({ name }) => name),
      ['model-2'],
    )
    t.strictSame(
      (await fs.ls('box/root')).map(({ name }) => name),
      ['box/root/model-2'],
    )
    await t.rejects(store.delete('model'), { code: 'ENOENT' })
    await t.rejects(store.load('model', join(local, 'out')), { code: 'ENOENT' })
  })

  t.test('an artifact does not lie inside another', async (t) => {
    const { store } = await scene(t)
    await store.save('a', bytes('x'))

    await t.rejects(store.save('a/b', bytes('x')), {
      code: 'EINVAL',
      message: /'a' is an artifact/,
    })
  })

  t.test('links that lead out of a directory are refused', async (t) => {
    const { store, local } = await scene(t)
    await plantLocal(join(local, 'in'), tree)
    await symlink('../../etc/passwd', join(local, 'in/deep/way-out'))

    await t.rejects(store.save('model', join(local, 'in')), { code: 'EINVAL' })
  })

  t.test('saving and loading tell how far they are', async (t) => {
    const { store, local } = await scene(t)
    await plantLocal(join(local, 'in'), tree)
    const seen: unknown[] = []
    const onProgress = (at: unknown) => seen.push(at)
    const whole = { bytes: 6, totalBytes: 6, files: 4, totalFiles: 4 }

    await store.save('model', join(local, 'in'), { onProgress })
    t.strictSame(seen.at(-1), whole)
    await store.load('model', join(local, 'out'), { onProgress })
    t.strictSame(seen.at(-1), whole)
  })

  t.test('the root in another spelling is the same root', async (t) => {
    const { fs, store } = await scene(t)
    await store.save('note', bytes('x'))
    const { account } = fs

    for (const name of [
      'abfs://box/root/note',
      'az://box/root/note',
      `abfss://box@${account}.dfs.core.windows.net/root/note`,
      `https://${account}.blob.core.windows.net/box/root/note`,
      new URL('abfs://box/root/note'),
      'note/',
    ]) {
      t.ok(await store.exists(name), String(name))
    }
    const other = new AzureArtifactStore({ fileSystem: fs, root: 'az://box/root/' })
    t.ok(await other.exists('note'))
  })

  const escapes = [
    '',
    '/',
    '.',
    '..',
    './note',
    '../note',
    'a/../note',
    'a/..',
    'a//b',
    '/note',
    '/etc/passwd',
    '//host/x',
    '..\\note',
    'a\\b',
    'C:\\x',
    '%2e%2e',
    '%2e%2e/note',
    'a/%2E%2e/b',
    '%252e%252e/note',
    '%25252e.',
    '.%2e/note',
    'a%2fb',
    '..%2fnote',
    '..%5cnote',
    'a%5Cb',
    '%c0%ae%c0%ae/x',
    '..%c0%afnote',
    '%e0%80%ae/x',
    'a\0b',
    'a%00b',
    'a\nb',
    '\u2025/note',
    '\uff0e\uff0e/note',
    'a\uff0fb',
    'x/.artifact.json',
    'abfs://box',
    'abfs://box/',
    'abfs://box/root',
    'abfs://box/root/',
    'abfs://box/root-evil/x',
    'abfs://box/root/../root-evil/x',
    'abfs://box/other/x',
    'abfs://bag/root/x',
    'https://example.com/root/x',
    'abfs://box@other.dfs.core.windows.net/root/x',
    's3://box/root/x',
    'file:///etc/passwd',
    'abfs://box/root/%2e%2e/x',
    'https://acct.blob.core.windows.net/box/root/%252e%252e/x',
    'https://acct.blob.core.windows.net/box/root/x?sv=1&sig=S3CRET',
  ]
  for (const name of escapes) {
    t.test(`${JSON.stringify(name)} does not leave the root`, async (t) => {
      const { fs, store, local } = await scene(t)
      await fs.writeText('box/note', 'outside')
      const calls = [
        store.save(name, bytes('x'), { overwrite: true }),
        store.load(name, join(local, 'out')),
        store.loadBytes(name),
        store.info(name),
        store.exists(name),
        store.delete(name),
      ]

      for (const end of await Promise.allSettled(calls)) {
        t.ok(end.status === 'rejected' && end.reason instanceof ArtifactPathError)
        t.notMatch(String(end.status === 'rejected' && end.reason), /S3CRET/)
      }
      t.strictSame(
        (await fs.find('box')).map(({ name }) => name),
        ['box/note'],
      )
    })
  }

  t.test('names that only look odd are names', async (t) => {
    const { store } = await scene(t)

    for (const name of [
      '...',
      '..a',
      'a..',
      '.hidden',
      '100%',
      'a%20b',
      'a b',
      'é#?+[x]*',
      'a/b/c',
      '%zz',
    ]) {
      await store.save(name, bytes(name))
      t.equal(text(await store.loadBytes(name)), name)
    }
  })
}
