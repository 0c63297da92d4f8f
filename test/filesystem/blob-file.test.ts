import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { FileSystemError } from '../../src/errors.ts'
import { collect } from '../../src/filesystem/walk.ts'
import { CountingStore } from '../support/counting-store.ts'
import { memoryFileSystem } from '../support/file-system.ts'

const text = (data: Uint8Array) => Buffer.from(data).toString()
const box = (name: string) => ({ container: 'box', name })

t.test('a reader reads on from its position', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/f', '0123456789')
  await using reader = await fs.open('box/f')

  t.equal(reader.size, 10)
  t.equal(text(await reader.read(3)), '012')
  t.equal(reader.tell(), 3)
  reader.seek(-2)
  t.equal(text(await reader.readAll()), '89')
  t.equal((await reader.read(5)).byteLength, 0)
  reader.seek(4)
  t.equal(text(await reader.readAll()), '456789')
  t.throws(() => reader.seek(-11), RangeError)
  await t.rejects(reader.read(-1), RangeError)
})

t.test('a reader yields all bytes, and lines', async (t) => {
  const { fs } = await memoryFileSystem()
  const lines = Array.from({ length: 60_000 }, (_, index) => `line ${index} é`)
  await fs.writeText('box/f', `${lines.join('\r\n')}\n\nlast`)
  await using whole = await fs.open('box/f')
  await using byLine = await fs.open('box/f', 'r')

  t.equal(text(Buffer.concat(await collect(whole))), `${lines.join('\r\n')}\n\nlast`)
  t.strictSame(await collect(byLine.lines()), [...lines, '', 'last'])
})

t.test('what a reader returned is the caller’s', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/f', 'abc')
  await using reader = await fs.open('box/f')

  const data = await reader.readAll()
  data.fill(0)
  reader.seek(0)

  t.equal(text(await reader.readAll()), 'abc')
})

t.test('a reader stays with one version or is ESTALE', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.pipeFile('box/f', Buffer.alloc(900_000, 'old'))
  await using reader = await fs.open('box/f')
  t.equal(text(await reader.read(3)), 'old')

  await fs.pipeFile('box/f', Buffer.alloc(900_000, 'new'))
  reader.seek(700_000)

  await t.rejects(reader.read(100_000), { code: 'ESTALE' })
})

t.test('a closed reader is EBADF, a missing file ENOENT, a directory EISDIR', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/dir/f', 'abc')
  const reader = await fs.open('box/dir/f')
  await reader.close()

  await t.rejects(reader.read(1), { code: 'EBADF' })
  await t.rejects(fs.open('box/missing'), { code: 'ENOENT' })
  await t.rejects(fs.open('box/dir'), { code: 'EISDIR' })
  // @ts-expect-error a caller without types
  await t.rejects(fs.open('box/dir/f', 'rw'), TypeError)
})

t.test('nothing of a written file is seen before it is closed', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/f', 'old')
  const writer = await fs.open('box/f', 'w', { metadata: { who: 'me' } })

  await writer.write('n'.repeat(200_000))
  await writer.write(new TextEncoder().encode('!'))
  t.equal(await fs.readText('box/f'), 'old')
  t.equal(writer.tell(), 200_001)
  const info = await writer.close()

  t.match(info, { name: 'box/f', size: 200_001, metadata: { who: 'me' } })
  t.equal(await writer.close(), info)
  t.equal(await fs.readText('box/f'), `${'n'.repeat(200_000)}!`)
  await t.rejects(writer.write('more'), { code: 'EBADF' })
})

t.test('flush sends the blocks that are full, and shows nothing', async (t) => {
  const store = new CountingStore(new MemoryBlobStore({ account: 'acct' }))
  const { fs } = await memoryFileSystem({ store, blockBytes: 1000 })
  await fs.writeText('box/f', 'old')
  const writer = await fs.open('box/f', 'w')
  const staged = () => store.requests.filter(({ verb }) => verb === 'stageBlock').length

  await writer.write('n'.repeat(999))
  await writer.flush()
  t.equal(staged(), 0, 'what fills no block waits')
  await writer.write('n'.repeat(1002))
  await writer.flush()
  t.equal(staged(), 2)
  t.equal(await fs.readText('box/f'), 'old')
  await writer.close()

  t.equal(await fs.readText('box/f'), 'n'.repeat(2001))
  await t.rejects(writer.flush(), { code: 'EBADF' })
  const appending = await fs.open('box/log', 'a', { appendBlob: true })
  await appending.write('one')
  await appending.flush()
  t.equal(await fs.readText('box/log'), 'one')
  await appending.close()
})

t.test('a writer that is closed at once makes an empty file', async (t) => {
  const { fs } = await memoryFileSystem()

  await (await fs.open('box/f', 'w')).close()

  t.equal(await fs.readText('box/f'), '')
})

t.test('a writer that is aborted, left by an error or abandoned commits nothing', async (t) => {
  const { fs, store } = await memoryFileSystem()
  const failing = async () => {
    await using writer = await fs.open('box/thrown', 'w')
    await writer.write('n'.repeat(200_000))
    throw new Error('mine')
  }

  const aborted = await fs.open('box/aborted', 'w')
  await aborted.write('n'.repeat(200_000))
  await aborted.abort()
  await t.rejects(failing(), { message: 'mine' })
  await (await fs.open('box/abandoned', 'w')).write('n')

  await t.rejects(aborted.close(), { code: 'EBADF', message: /aborted/ })
  t.strictSame((await store.listPage(box(''))).entries, [])
})

t.test('a writer that failed commits nothing', async (t) => {
  const store = new CountingStore(new MemoryBlobStore())
  const { fs } = await memoryFileSystem({ store })
  const writer = await fs.open('box/f', 'w')
  store.before = ({ verb }) => {
    if (verb === 'put') throw new FileSystemError('EIO', 'blob.put')
  }

  await writer.write('text')
  await t.rejects(writer.close(), { code: 'EIO' })
  store.before = () => undefined
  await t.rejects(writer.write('more'), { code: 'EBADF', message: /failed/ })

  t.notOk(await fs.exists('box/f', { refresh: true }))
})

t.test('a signal that aborts ends a writer', async (t) => {
  const { fs } = await memoryFileSystem()
  const controller = new AbortController()
  const writer = await fs.open('box/f', 'w', { signal: controller.signal })
  await writer.write('text')

  controller.abort(new Error('enough'))

  await t.rejects(writer.close(), { message: 'enough' })
  t.notOk(await fs.exists('box/f'))
})

t.test('x is checked at open and at close', async (t) => {
  const { fs } = await memoryFileSystem()
  const first = await fs.open('box/f', 'x')
  const second = await fs.open('box/f', 'x')
  await first.write('first')
  await second.write('second')

  await first.close()

  await t.rejects(second.close(), { code: 'EEXIST' })
  await t.rejects(fs.open('box/f', 'x'), { code: 'EEXIST' })
  t.equal(await fs.readText('box/f'), 'first')
})

t.test('of two small writers the last to close wins', async (t) => {
  const { fs } = await memoryFileSystem()
  const first = await fs.open('box/f', 'w')
  const second = await fs.open('box/f', 'w')
  await first.write('first')
  await second.write('second')

  await second.close()
  await first.close()

  t.equal(await fs.readText('box/f'), 'first')
})

t.test('of two large writers the file is one or the other, never a mixture', async (t) => {
  const { fs } = await memoryFileSystem()
  const first = await fs.open('box/f', 'w')
  const second = await fs.open('box/f', 'w')
  await first.write('1'.repeat(300_000))
  await second.write('2'.repeat(300_000))

  const ends = await Promise.allSettled([second.close(), first.close()])

  const content = await fs.readText('box/f')
  t.ok(content === '1'.repeat(300_000) || content === '2'.repeat(300_000))
  for (const end of ends) {
    if (end.status === 'rejected') t.match(end.reason, { code: 'ESTALE' })
  }
})
