import { join } from 'node:path'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { BulkError } from '../../src/bulk.ts'
import { FileSystemError } from '../../src/errors.ts'
import { CountingStore, type Verb } from '../support/counting-store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import {
  localFiles,
  memoryFileSystem,
  plantLocal,
  plantRemote,
  remoteFiles,
  temporaryDirectory,
} from '../support/file-system.ts'

const files = { a: 'A', b: 'BB', 'c/d': 'D', 'c/e': 'E' }

/** A file system whose store refuses `verb` for the names in `bad`. */
async function refusing(verb: Verb) {
  const bad = new Set<string>()
  const memory = new MemoryBlobStore({ account: 'acct', clock: new FakeClock() })
  const store = new CountingStore(memory)
  const { fs } = await memoryFileSystem({ store })
  store.before = (request) => {
    if (request.verb !== verb || !bad.has(request.name)) return
    throw new FileSystemError('EACCES', verb, { path: `abfs://box/${request.name}` })
  }
  return { fs, store, bad }
}

async function bulkErrorOf(work: Promise<unknown>): Promise<BulkError> {
  const error = await work.catch((error: unknown) => error)
  if (error instanceof BulkError) return error
  throw new Error('expected a BulkError', { cause: error })
}

t.test('an upload tells all files that failed, and a retry sends those alone', async (t) => {
  const { fs, store, bad } = await refusing('put')
  const local = await temporaryDirectory(t)
  await plantLocal(local, files)
  bad.add('up/b').add('up/c/e')
  const progress: number[] = []

  const error = await bulkErrorOf(
    fs.put(local, 'box/up', {
      recursive: true,
      onProgress: ({ bytes }) => progress.push(bytes),
    }),
  )

  t.strictSame(
    error.failed.map(({ path }) => path),
    ['box/up/b', 'box/up/c/e'],
  )
  t.strictSame(await remoteFiles(fs, 'box/up'), { a: 'A', 'c/d': 'D' })
  bad.clear()
  store.take()
  t.match(await error.retry(), { files: 4, bytes: 5, failed: [] })
  t.equal(progress.at(-1), 5)
  t.strictSame(
    store.take().filter((line) => line.startsWith('put')),
    ['put up/b', 'put up/c/e'],
  )
  t.strictSame(await remoteFiles(fs, 'box/up'), files)
})

t.test('a download returns what failed when told to, and can be retried', async (t) => {
  const { fs, bad } = await refusing('get')
  const local = await temporaryDirectory(t)
  await plantRemote(fs, 'box/from', files)
  bad.add('from/a').add('from/c/d')

  const result = await fs.get('box/from/', join(local, 'to'), {
    recursive: true,
    onError: 'return',
  })

  t.match(result, { files: 2, failed: [{ path: join(local, 'to/a') }, { path: /c\/d$/ }] })
  t.strictSame(await localFiles(join(local, 'to')), { b: 'BB', 'c/e': 'E' })
  bad.clear()
  t.match(await result.retry(), { files: 4, failed: [], waiting: 0 })
  t.strictSame(await localFiles(join(local, 'to')), files)
})

t.test('a removal of a tree tells every blob that stays, and goes on when retried', async (t) => {
  const { fs, bad } = await refusing('delete')
  await plantRemote(fs, 'box/gone', files)
  bad.add('gone/a').add('gone/c/e')

  const error = await bulkErrorOf(fs.rm('box/gone', { recursive: true }))

  t.strictSame(error.failed.map(({ path }) => path).sort(), [
    'abfs://box/gone/a',
    'abfs://box/gone/c/e',
  ])
  t.strictSame(await remoteFiles(fs, 'box/gone'), { a: 'A', 'c/e': 'E' })
  bad.clear()
  await error.retry()
  t.notOk(await fs.exists('box/gone'))
})

t.test('a removal of several paths returns what failed when told to', async (t) => {
  const { fs, bad } = await refusing('delete')
  await plantRemote(fs, 'box', files)
  bad.add('a').add('c/d')

  const result = await fs.rm(['box/a', 'box/b', 'box/c'], { recursive: true, onError: 'return' })

  t.strictSame(result.ok, ['box/b'])
  t.match(result.failed, [{ path: 'box/a' }, { path: 'box/c' }])
  bad.clear()
  t.match(await result.retry(), { failed: [], ok: ['box/b', 'box/a', 'box/c'] })
  t.ok(await fs.exists('box'), 'the container stays')
})
