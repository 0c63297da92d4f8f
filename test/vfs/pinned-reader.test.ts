import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { MiB } from '../../src/byte-range.ts'
import { FileSystemError } from '../../src/errors.ts'
import { entryFromBlob } from '../../src/namespace/blob-entry.ts'
import type { Entry } from '../../src/namespace/entry.ts'
import { ChunkCache } from '../../src/transfer/chunk-cache.ts'
import { PinnedReader } from '../../src/vfs/pinned-reader.ts'
import { CountingStore } from '../support/counting-store.ts'

const container = 'data'
const whole = { start: 0, end: 100 }

/** A reader of `f`, as open makes it. */
async function openFile(text = 'first') {
  const memory = new MemoryBlobStore()
  const store = new CountingStore(memory)
  await memory.createContainer(container)
  const put = async (content: string, name = 'f'): Promise<Entry> => {
    const properties = await memory.put({ container, name }, Buffer.from(content))
    return entryFromBlob(name, properties)
  }
  const entry = await put(text)
  const file = { name: 'f', refreshes: 0 }
  const refreshed = async (): Promise<Entry> => {
    file.refreshes += 1
    return entryFromBlob(file.name, await memory.head({ container, name: file.name }))
  }
  const hooks = { refresh: refreshed }
  const reader = new PinnedReader({
    store,
    chunkCache: new ChunkCache(),
    path: () => ({ container, name: file.name }),
    entry,
    refresh: () => hooks.refresh(),
  })
  const read = async (range = whole): Promise<string> => {
    const signal = new AbortController().signal
    return Buffer.concat(await reader.read(range, { signal })).toString()
  }
  return { memory, store, entry, file, hooks, reader, read, put }
}

t.test('opening asks for nothing, and the first read once', async (t) => {
  const { store, read, file } = await openFile()
  t.strictSame(store.take(), [])

  t.equal(await read(), 'first')
  t.equal(await read({ start: 1, end: 3 }), 'ir')

  t.strictSame(store.take(), ['get f'])
  t.equal(file.refreshes, 0)
})

t.test('the first read pins the version that it finds', async (t) => {
  const { read, put, reader, file } = await openFile()
  const second = await put('second, and longer')

  t.equal(await read(), 'second, and longer')

  t.equal(reader.entry.etag, second.etag)
  t.equal(file.refreshes, 1)
})

t.test('of two first reads at once neither mixes versions', async (t) => {
  const { read, put } = await openFile()
  await put('second')

  t.strictSame(await Promise.all([read({ start: 0, end: 3 }), read({ start: 3, end: 6 })]), [
    'sec',
    'ond',
  ])
})

t.test('of reads that are asked for together one asks what is there', async (t) => {
  const { read, put, file, hooks } = await openFile()
  await put('second')
  const { refresh } = hooks
  // As of a file whose name stands for another inode once somebody begins with what is there.
  hooks.refresh = async () => {
    if (file.refreshes > 0) throw new FileSystemError('ENOENT', 'read')
    return refresh()
  }

  const pieces = [0, 2, 4].map((start) => read({ start, end: start + 2 }))

  t.strictSame(await Promise.all(pieces), ['se', 'co', 'nd'])
  t.equal(file.refreshes, 1)
})

t.test('after its first read another version is ESTALE, which says what to do', async (t) => {
  const { read, put, file } = await openFile('x'.repeat(3 * MiB))
  await read({ start: 0, end: 1 })
  await put('y'.repeat(3 * MiB))

  const later = read({ start: 2 * MiB, end: 2 * MiB + 1 })
  await t.rejects(later, { code: 'ESTALE', path: 'abfs://data/f', message: /open the file again/ })
  await t.rejects(read({ start: 2 * MiB, end: 2 * MiB + 1 }), { code: 'ESTALE' })

  t.equal(file.refreshes, 1, 'for who opens it again')
  t.equal(await read({ start: 0, end: 1 }), 'x', 'what is held of the version is read still')
})

t.test('a version that was said to be kept is not given up for another', async (t) => {
  const { read, put, reader, entry, file } = await openFile()
  t.equal(reader.keeps('another'), false)
  t.equal(reader.keeps(entry.etag ?? ''), true)
  await put('other')

  await t.rejects(read(), { code: 'ESTALE', path: 'abfs://data/f', message: /open the file again/ })

  t.equal(file.refreshes, 1)
})

t.test('a question whether another version is kept pins nothing', async (t) => {
  const { read, put, reader } = await openFile()
  reader.keeps('another')
  await put('second')

  t.equal(await read(), 'second')
})

t.test('what this mount makes of the version is followed, and of others not', async (t) => {
  const { read, put, reader, entry } = await openFile()
  await read()
  const second = await put('second')
  reader.follow({ ...entry, etag: 'another' }, second)
  t.equal(reader.entry.etag, entry.etag)
  reader.follow(undefined, second)
  t.equal(reader.entry.etag, entry.etag)

  reader.follow(entry, second)

  t.equal(reader.entry.etag, second.etag)
  t.equal(await read(), 'second')
})

t.test(
  'the name that it had when it was pinned is read, until a version is followed',
  async (t) => {
    const { read, put, reader, entry, file, store } = await openFile()
    const moved = await put('moved', 'g')
    file.name = 'g'
    t.equal(await read(), 'first')

    reader.follow(entry, moved)

    t.equal(await read(), 'moved')
    t.strictSame(store.take(), ['get f', 'get g'])
  },
)

t.test('a first read whose file is gone, or no file any more, is ESTALE', async (t) => {
  const { memory, read, hooks, entry } = await openFile()
  await memory.delete({ container, name: 'f' })

  await t.rejects(read(), { code: 'ESTALE', path: 'abfs://data/f', cause: { message: /deleted/ } })
  hooks.refresh = async () => ({ ...entry, type: 'directory' })
  await t.rejects(read(), { code: 'ESTALE' })
})

t.test('other failures are told as they are, and change nothing', async (t) => {
  const { store, read, put, hooks } = await openFile()
  store.before = () => {
    throw new FileSystemError('EIO', 'get')
  }
  await t.rejects(read(), { code: 'EIO' })
  store.before = () => undefined
  await put('second')
  const { refresh } = hooks
  hooks.refresh = async () => {
    throw new FileSystemError('EACCES', 'head')
  }
  await t.rejects(read(), { code: 'EACCES' })

  hooks.refresh = refresh
  t.equal(await read(), 'second')
})

t.test('a version that was never stored cannot be read', async (t) => {
  const { read, reader, entry, hooks, store } = await openFile()
  const unborn = { ...entry, etag: undefined }
  hooks.refresh = async () => unborn
  reader.follow(entry, unborn)

  await t.rejects(read(), { code: 'ESTALE' })

  t.strictSame(store.take(), [])
})

t.test('a read under way goes on in a shorter version of this mount', async (t) => {
  const { read, put, reader, entry } = await openFile('first')

  const under = read()
  reader.follow(entry, await put('own'))

  t.equal(await under, 'own')
})
