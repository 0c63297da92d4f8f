import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import type { BlobContent, GetOptions } from '../../src/blob/store.ts'
import { KiB, MiB } from '../../src/byte-range.ts'
import type { CacheType } from '../../src/filesystem/cache-type.ts'
import type { BlobPath } from '../../src/path.ts'
import { memoryFileSystem } from '../support/file-system.ts'

t.test('readUntil stops behind the delimiter, wherever it lies', async (t) => {
  const { fs } = await memoryFileSystem()
  const long = 'x'.repeat(200 * KiB)
  // The delimiter crosses the boundary of what is fetched at once.
  await fs.writeText('box/f', `${long.slice(0, 64 * KiB - 1)}<>b<>${long}<>`)
  await using file = await fs.open('box/f')

  t.equal((await file.readUntil('<>')).length, 64 * KiB + 1)
  t.equal(file.tell(), 64 * KiB + 1)
  t.equal(String(await file.readUntil('<>')), 'b<>')
  t.equal((await file.readUntil('<>', { maxBytes: 10 })).length, 10)
  t.equal((await file.readUntil('<>')).length, 200 * KiB - 8)
  t.equal((await file.readUntil('<>')).length, 0)
  await t.rejects(file.readUntil(''), RangeError)
})

t.test('readLine gives lines without their ends, and undefined after the last', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/f', 'one\r\n\nü\nlast')
  await using file = await fs.open('box/f')
  const lines = []

  for (let line = await file.readLine(); line !== undefined; line = await file.readLine()) {
    lines.push(line)
  }

  t.strictSame(lines, ['one', '', 'ü', 'last'])
})

t.test('a file is appended to, with its metadata, and made when there is none', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/f', 'a'.repeat(200 * KiB), { metadata: { k: 'v' } })

  for (const path of ['box/f', 'box/fresh']) {
    const file = await fs.open(path, 'a')
    await file.write('tail')
    await file.close()
  }

  t.equal(await fs.readText('box/f'), `${'a'.repeat(200 * KiB)}tail`)
  t.strictSame(await fs.getMetadata('box/f'), { k: 'v' })
  t.equal(await fs.readText('box/fresh'), 'tail')
  await fs.mkdir('box/dir')
  await t.rejects(fs.open('box/dir', 'a'), { code: 'EISDIR' })
})

t.test('who appends to what another wrote meanwhile changes nothing', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/f', 'before')
  const old = await fs.open('box/f', 'a')
  const fresh = await fs.open('box/fresh', 'a')
  for (const file of [old, fresh]) await file.write('mine')
  for (const path of ['box/f', 'box/fresh']) await fs.writeText(path, 'theirs')

  await t.rejects(old.close(), { code: 'ESTALE' })
  await t.rejects(fresh.close(), { code: 'EEXIST' })

  t.equal(await fs.readText('box/f'), 'theirs')
  t.equal(await fs.readText('box/fresh'), 'theirs')
})

t.test('an append that is left changes nothing', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/f', 'before')
  {
    await using file = await fs.open('box/f', 'a')
    await file.write('lost')
  }

  t.equal(await fs.readText('box/f'), 'before')
})

class RangeCounter extends MemoryBlobStore {
  bytes = 0

  override async get(path: BlobPath, options?: GetOptions): Promise<BlobContent> {
    const { range } = options ?? {}
    this.bytes += range === undefined ? 0 : range.end - range.start
    return super.get(path, options)
  }
}

/** Bytes that are fetched when a quarter of a file of 4 MiB is read in sequence. */
async function fetchedWith(cacheType: CacheType): Promise<number> {
  const store = new RangeCounter()
  const { fs } = await memoryFileSystem({ store })
  await fs.pipeFile('box/f', new Uint8Array(4 * MiB))
  store.bytes = 0
  const file = await fs.open('box/f', 'r', { cacheType })
  for (let step = 0; step < 8; step += 1) await file.read(128 * KiB)
  await file.close()
  return store.bytes
}

t.test('cache types say how much is fetched ahead', async (t) => {
  for (const type of ['none', 'block', 'blockcache', 'bytes', 'first', 'mmap'] as const) {
    t.equal(await fetchedWith(type), MiB, type)
  }
  for (const type of ['readahead', 'background', 'parts', 'all'] as const) {
    t.ok((await fetchedWith(type)) > MiB, type)
  }
  const { fs } = await memoryFileSystem()
  t.equal(await fetchedWith({ aheadBytes: 0 }), MiB)
  t.ok((await fetchedWith({ aheadBytes: MiB })) > MiB)
  for (const unknown of ['rotating', 'constructor', { aheadBytes: -1 }]) {
    const cacheType = unknown as CacheType
    await t.rejects(fs.open('box/f', 'r', { cacheType }), TypeError)
  }
})

t.test('opening and reading a small file is one request, of a known empty one too', async (t) => {
  const memory = await memoryFileSystem()
  const { fs, store } = memory
  await fs.writeText('box/f', 'text')
  await fs.writeText('box/empty', '')
  await fs.writeText('box/dir/child', 'c')
  await store.put({ container: 'box', name: 'large' }, new Uint8Array(300 * KiB).fill(7))
  await fs.ls('box', { refresh: true })
  const requests: string[] = []
  const get = store.get.bind(store)
  const head = store.head.bind(store)
  store.get = (path: BlobPath, options: GetOptions = {}) => {
    requests.push(`get ${path.name} ${options.range?.start}-${options.range?.end}`)
    return get(path, options)
  }
  store.head = (path: BlobPath, options) => {
    requests.push(`head ${path.name}`)
    return head(path, options)
  }
  const readOf = async (name: string) => {
    requests.length = 0
    await using file = await fs.open(`box/${name}`)
    return (await file.readAll()).length
  }

  t.equal(await readOf('f'), 4)
  t.strictSame(requests, [`get f 0-${128 * KiB}`])
  t.equal(await readOf('empty'), 0)
  t.strictSame(requests, ['get empty undefined-undefined'])
  t.equal(await readOf('large'), 300 * KiB)
  t.strictSame(requests.slice(0, 2), [
    `get large 0-${128 * KiB}`,
    `get large ${128 * KiB}-${192 * KiB}`,
  ])
  await t.rejects(fs.open('box/dir'), { code: 'EISDIR' })
  await t.rejects(fs.open('box/none'), { code: 'ENOENT' })
})

t.test('what opening read is of the version that is read on', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.pipeFile('box/f', new Uint8Array(300 * KiB).fill(1))
  await using file = await fs.open('box/f')
  await fs.pipeFile('box/f', new Uint8Array(300 * KiB).fill(2))

  t.strictSame([...(await file.read(4))], [1, 1, 1, 1])
  await t.rejects(file.readAll(), { code: 'ESTALE' })
})
