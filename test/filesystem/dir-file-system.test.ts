import t from 'tap'
import { collect } from '../../src/filesystem/walk.ts'
import { memoryFileSystem, remoteFiles } from '../support/file-system.ts'

const names = (entries: readonly { readonly name: string }[]) => entries.map(({ name }) => name)

t.test('paths go in and names come out relative to the directory', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/run/a/f', 'f')
  await fs.writeText('box/run/g', 'gg')
  await fs.writeText('box/running', 'a twin by prefix')
  const sub = fs.sub('abfs://box/run/')

  t.strictSame(names(await sub.ls()), ['a', 'g'])
  t.strictSame(names(await sub.find('/a')), ['a/f'])
  t.strictSame(names(await sub.glob('**/f')), ['a/f'])
  t.strictSame(names(await sub.expandPath('*', { recursive: true })), ['a', 'a/f', 'g'])
  t.strictSame(
    (await collect(sub.walk())).map(({ path }) => path),
    ['', 'a'],
  )
  t.strictSame([...(await sub.cat('*')).keys()], ['g'])
  t.equal((await sub.info('g')).name, 'g')
  t.equal(await sub.du(), 3)
  t.equal(await sub.readText('/g'), 'gg')
  t.strictSame(names(await sub.sub('a').ls()), ['f'])
})

t.test('changes stay inside', async (t) => {
  const { fs } = await memoryFileSystem()
  const sub = fs.sub('box/run')

  await sub.writeText('a/f', 'f')
  await sub.copy('a', 'b/', { recursive: true })
  await sub.mv('a/f', 'moved')
  await sub.getMapper('map').set('key', new TextEncoder().encode('value'))
  await using writer = await sub.open('opened', 'w')
  await writer.write('text')
  await writer.close()
  await sub.rm('a', { recursive: true })

  t.strictSame(await remoteFiles(fs, 'box'), {
    'run/b/a/f': 'f',
    'run/map/key': 'value',
    'run/moved': 'f',
    'run/opened': 'text',
  })
})

t.test('a walk goes where its directories say', async (t) => {
  const { fs } = await memoryFileSystem()
  for (const name of ['a/x/f', 'b/f', 'c/f']) await fs.writeText(`box/run/${name}`, '')
  const seen: string[] = []

  for await (const { path, dirs } of fs.sub('box/run').walk()) {
    seen.push(path)
    if (path === '') dirs.splice(0, 2)
  }

  t.strictSame(seen, ['', 'c'])
})

t.test('nothing outside can be named', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/secret', 'x')
  const sub = fs.sub('box/run')

  for (const path of ['..', '../secret', 'a/../../secret', './a', 'abfs://box/secret']) {
    t.throws(() => sub.readText(path), { code: 'EINVAL' }, path)
    t.throws(() => sub.rm(['a', path]), { code: 'EINVAL' }, path)
    await t.rejects(sub.glob(`${path}/*`), { code: 'EINVAL' }, path)
  }
  t.notOk(await sub.exists('secret'))
})

t.test('files below a directory are opened in every way that files are', async (t) => {
  const { fs } = await memoryFileSystem()
  const sub = fs.sub('box/part')
  const gzip = await sub.open('f.gz', 'w', { compression: 'infer', encoding: 'latin1' })
  await gzip.write('é')
  await gzip.close()
  await using decoded = await sub.open('f.gz', 'r', { compression: 'infer', encoding: 'latin1' })
  t.equal(await decoded.readText(), 'é')
  const appended = await sub.open('f', 'a')
  await appended.write('one')
  await appended.close()
  const edited = await sub.open('f', 'r+')
  await edited.writeAt(0, 'O')
  await edited.close()

  t.equal(await fs.readText('box/part/f'), 'One')
  await t.rejects(sub.open('../f', 'a'), { code: 'EINVAL' })
})
