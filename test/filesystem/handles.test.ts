import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import type { BlobContent, GetOptions } from '../../src/blob/store.ts'
import { KiB, MiB } from '../../src/byte-range.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import type { CacheType } from '../../src/filesystem/cache-type.ts'
import type { BlobPath } from '../../src/path.ts'
import { FakeClock } from '../support/fake-clock.ts'
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
  for (const type of ['none', 'block', 'blockcache', 'bytes', 'mmap'] as const) {
    t.equal(await fetchedWith(type), MiB, type)
  }
  for (const type of ['readahead', 'background', 'parts', 'all'] as const) {
    t.ok((await fetchedWith(type)) > MiB, type)
  }
  const { fs } = await memoryFileSystem()
  t.equal(await fetchedWith({ aheadBytes: 0 }), MiB)
  t.ok((await fetchedWith({ aheadBytes: MiB })) > MiB)
  for (const cacheType of ['rotating', 'constructor']) {
    await t.rejects(fs.open('box/f', 'r', { cacheType }), TypeError)
  }
  await t.rejects(fs.open('box/f', 'r', { cacheType: { aheadBytes: -1 } }), RangeError)
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

/** A file of 10 MiB, and the ranges that are asked for it. */
async function askedFile() {
  const memory = new MemoryBlobStore()
  await memory.createContainer('box')
  const path = { container: 'box', name: 'f' }
  await memory.put(
    path,
    new Uint8Array(10 * MiB).map((_, at) => at % 251),
  )
  const asked: string[] = []
  const get = memory.get.bind(memory)
  memory.get = (path: BlobPath, options: GetOptions = {}) => {
    const { start = 0, end = 0 } = options.range ?? {}
    asked.push(`${start / KiB}-${end / KiB}`)
    return get(path, options)
  }
  const fs = new AzureBlobFileSystem({ store: memory, clock: new FakeClock() })
  const read = async (cacheType: CacheType, offset: number) => {
    await using file = await fs.open('box/f', 'r', { cacheType })
    asked.length = 0
    file.seek(offset)
    const bytes = await file.read(100)
    return bytes.length === 100 && bytes.every((byte, at) => byte === (offset + at) % 251)
  }
  return { fs, read, asked }
}

t.test('first fetches the first block at once and keeps it, and nothing behind it', async (t) => {
  const { read, asked } = await askedFile()

  t.ok(await read('first', 10))
  t.equal(asked[0]?.split('-')[0], '128', 'behind what opening brought')
  t.equal(asked.at(-1)?.split('-')[1], '4096')
  t.ok(await read('first', 3 * MiB))
  t.strictSame(asked, [])
  for (const _again of [1, 2]) {
    t.ok(await read('first', 6 * MiB))
    t.strictSame(asked, [`${6 * KiB}-${6 * KiB + 100 / KiB}`], 'as it is asked for, each time')
  }
  t.ok(await read('first', 4 * MiB - 50), 'across its end')
  t.strictSame(asked, [`${4 * KiB}-${4 * KiB + 50 / KiB}`])
})

t.test('mmap fetches whole blocks', async (t) => {
  const { read, asked } = await askedFile()

  t.ok(await read('mmap', 5 * MiB + 77))
  t.strictSame(asked, [`${5 * KiB}-${6 * KiB}`])
  t.ok(await read('mmap', 6 * MiB - 200))
  t.strictSame(asked, [])
  t.ok(await read('mmap', 8 * MiB - 50), 'of two blocks in one request')
  t.strictSame(asked, [`${7 * KiB}-${8 * KiB}`, `${8 * KiB}-${9 * KiB}`])
})

t.test('a program names ways to fetch of its own, for one file system', async (t) => {
  const { fs, read, asked } = await askedFile()
  fs.registerCache('tail', { aheadBytes: 0, blockBytes: 2 * MiB })

  t.ok(await read('tail', 9 * MiB))
  t.strictSame(asked, [`${8 * KiB}-${9 * KiB}`, `${9 * KiB}-${10 * KiB}`])
  t.throws(() => fs.registerCache('tail', { aheadBytes: 1 }), /clobber/)
  fs.registerCache('tail', { aheadBytes: 1 }, { clobber: true })
  t.throws(() => fs.registerCache('bad', { aheadBytes: -1 }), RangeError)
  t.throws(() => fs.registerCache('bad', { aheadBytes: 0, blockBytes: 0 }), RangeError)
  const other = await askedFile()
  await t.rejects(other.fs.open('box/f', 'r', { cacheType: 'tail' }), TypeError)
})
