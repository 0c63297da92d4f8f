import t from 'tap'
import { collect } from '../../src/filesystem/walk.ts'
import { memoryFileSystem, remoteFiles } from '../support/file-system.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

t.test('files below a directory are a map of bytes', async (t) => {
  const { fs } = await memoryFileSystem()
  const map = fs.getMapper('abfs://box/zarr/')
  await fs.writeText('box/zarrs', 'a twin by prefix')

  await map.set('.zgroup', bytes('{}'))
  await map.setMany([
    ['a/0.0', bytes('first')],
    ['a/0.1', bytes('second')],
  ])

  t.strictSame(await map.get('a/0.0'), bytes('first'))
  t.equal(await map.get('a/missing'), undefined)
  t.equal(await map.get('a'), undefined)
  t.ok(await map.has('.zgroup'))
  t.notOk(await map.has('a'))
  t.strictSame(await collect(map.keys()), ['.zgroup', 'a/0.0', 'a/0.1'])
  t.equal(await map.size(), 3)
  t.strictSame([...(await map.getMany(['a/0.1', 'nope'])).keys()], ['a/0.1'])
  t.strictSame(
    (await collect(map)).map(([key]) => key),
    ['.zgroup', 'a/0.0', 'a/0.1'],
  )
  t.ok(await map.delete('a/0.0'))
  t.notOk(await map.delete('a/0.0'))
  await map.clear()
  t.strictSame(await remoteFiles(fs, 'box'), { zarrs: 'a twin by prefix' })
})

t.test('keys do not leave the directory', async (t) => {
  const { fs } = await memoryFileSystem()
  const map = fs.getMapper('box/dir')

  for (const key of ['../x', 'a/../../x', '/x', '', 'a//b', './a']) {
    await t.rejects(map.set(key, bytes('')), { code: 'EINVAL' }, key)
  }
})

t.test('what is no key, and no list of them, is named', async (t) => {
  const { fs } = await memoryFileSystem()
  const map = fs.getMapper('box/dir')

  for (const key of [5, null, undefined, ['a'], {}]) {
    const wrong = key as unknown as string
    const named = { name: 'TypeError', message: /^key: expected a relative path, got / }
    await t.rejects(map.get(wrong), named)
    await t.rejects(map.set(wrong, bytes('')), named)
    await t.rejects(map.has(wrong), named)
    await t.rejects(map.delete(wrong), named)
  }
  for (const keys of ['a', 5, null, undefined]) {
    const wrong = keys as unknown as string[]
    const named = { name: 'TypeError', message: /^keys: expected a list of keys, got / }
    await t.rejects(map.getMany(wrong), named)
    await t.rejects(map.deleteMany(wrong), named)
    const pairs = wrong as unknown as [string, Uint8Array][]
    await t.rejects(map.setMany(pairs), { name: 'TypeError', message: /^entries: expected pairs/ })
  }
})
