import t from 'tap'
import type { BlobStore } from '../../src/blob/store.ts'
import { FileSystemError } from '../../src/errors.ts'
import { collect } from '../../src/filesystem/walk.ts'
import {
  memoryFileSystem,
  plantLocal,
  plantRemote,
  remoteFiles,
  temporaryDirectory,
} from '../support/file-system.ts'

/** From here on the store refuses to list `box/secret/`. */
function guard(store: BlobStore): void {
  const list = store.listPage.bind(store)
  store.listPage = async (prefix, options) => {
    // As where an access list forbids it: neither alone nor with all around it.
    const isFlat = options?.delimiter === undefined
    if (prefix.name.startsWith('secret') || (isFlat && prefix.name === ''))
      throw new FileSystemError('EACCES', 'blob.list')
    return list(prefix, options)
  }
}

t.test('a walk rejects at a directory that it may not list, unless told otherwise', async (t) => {
  const { fs, store } = await memoryFileSystem()
  await plantRemote(fs, 'box', { 'a/f': '', 'secret/f': '', 'z/f': '' })
  fs.invalidateCache()
  guard(store)
  const told: string[] = []
  const paths = async (onError?: 'raise' | 'omit' | ((error: FileSystemError) => void)) =>
    (await collect(fs.walk('box', { onError }))).map(({ path }) => path)

  await t.rejects(paths(), { code: 'EACCES' })
  await t.rejects(paths('raise'), { code: 'EACCES' })
  t.strictSame(await paths('omit'), ['box', 'box/a', 'box/z'])
  t.strictSame(await paths((error) => told.push(error.code)), ['box', 'box/a', 'box/z'])
  t.strictSame(told, ['EACCES'])
})

t.test('a walk of what is missing is empty, and an error when told', async (t) => {
  const { fs } = await memoryFileSystem()

  t.strictSame(await collect(fs.walk('box/missing')), [])
  await t.rejects(collect(fs.walk('box/missing', { onError: 'raise' })), { code: 'ENOENT' })
})

t.test('what vanishes during a copy is an error, or skipped when told', async (t) => {
  const { fs, store } = await memoryFileSystem()
  await plantRemote(fs, 'box/from', { a: 'A', b: 'B' })
  const copy = store.copy.bind(store)
  store.copy = async (from, to, options) => {
    if (from.name.endsWith('/b')) await store.delete(from)
    return copy(from, to, options)
  }

  const options = { recursive: true }
  await t.rejects(fs.copy('box/from', 'box/to', options), { code: 'ENOENT' })
  await fs.writeText('box/from/b', 'B')
  const result = await fs.copy('box/from', 'box/new', { ...options, onError: 'ignore' })

  t.match(result, { files: 1, skipped: ['box/from/b'] })
  t.strictSame(await remoteFiles(fs, 'box/new'), { a: 'A' })
  await t.rejects(fs.copy('box/typo', 'box/new', { ...options, onError: 'ignore' }), {
    code: 'ENOENT',
  })
})

t.test('a target that cannot be is no vanished source', async (t) => {
  const { fs } = await memoryFileSystem()
  const local = await temporaryDirectory(t)
  await plantLocal(local, { a: 'A' })

  const work = fs.put(`${local}/a`, 'missing-container/a', { onError: 'ignore' })

  await t.rejects(work, { code: 'ENOENT' })
})
