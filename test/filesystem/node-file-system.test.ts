import { constants } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { memoryFileSystem, remoteFiles, temporaryDirectory } from '../support/file-system.ts'

t.test('files are written, read and told about as in node:fs/promises', async (t) => {
  const { fs } = await memoryFileSystem()
  const node = fs.asNodeFs()

  await node.mkdir('/box/d')
  await node.writeFile('/box/d/f', 'text', 'utf8')
  await node.appendFile('/box/d/f', ' more')
  await t.rejects(node.writeFile('/box/d/f', 'x', { flag: 'wx' }), { code: 'EEXIST' })

  t.equal(await node.readFile('box/d/f', 'utf8'), 'text more')
  t.ok(Buffer.isBuffer(await node.readFile('/box/d/f')))
  const stats = await node.stat('/box/d/f')
  t.ok(stats.isFile())
  t.equal(stats.size, 9)
  t.equal(stats.mode & (constants.S_IFMT | 0o600), constants.S_IFREG | 0o600)
  t.equal(stats.ino, (await node.lstat('box/d/f')).ino)
  t.ok((await node.stat('/box/d')).isDirectory())
  t.strictSame(await node.readdir('/box', { recursive: true }), ['d', 'd/f'])
  const [entry] = await node.readdir('/box', { withFileTypes: true })
  t.match(entry, { name: 'd', parentPath: '/box' })
  t.ok(entry?.isDirectory())
  t.strictSame(await node.readdir('/'), ['box'])
})

t.test('names are changed as Node changes them', async (t) => {
  const { fs } = await memoryFileSystem()
  const node = fs.asNodeFs()
  for (const name of ['a', 'b', 'd/f', '[x]']) await fs.writeText(`box/${name}`, name)

  await node.rename('/box/a', '/box/b')
  await t.rejects(node.rename('/box/b', '/box/d'), { code: 'EISDIR' })
  await node.copyFile('/box/b', '/box/c')
  await t.rejects(node.copyFile('/box/b', '/box/c', constants.COPYFILE_EXCL), { code: 'EEXIST' })
  await node.cp('/box/d', '/box/e', { recursive: true })
  await t.rejects(node.cp('/box/d', '/box/g'), { code: 'EISDIR' })
  await node.rm('/box/[x]')
  await node.rm('/box/missing', { force: true })
  await node.rm('/box/d', { recursive: true })
  await node.unlink('/box/c')

  t.strictSame(await remoteFiles(fs, 'box'), { b: 'a', 'e/f': 'd/f' })
})

t.test('mkdir tells the first directory that it made, as Node does', async (t) => {
  const { fs } = await memoryFileSystem()
  const node = fs.asNodeFs()
  const local = await temporaryDirectory(t)
  const inner = fs.asNodeFs({ root: 'box/root' })
  await mkdir(join(local, 'box', 'root'), { recursive: true })
  await node.mkdir('/box/root')

  for (const path of ['a/b/c', 'a/b/c', 'a/b/d', 'e']) {
    const expected = await mkdir(join(local, 'box', path), { recursive: true })
    const made = await node.mkdir(`/box/${path}`, { recursive: true })
    t.equal(made, expected?.slice(local.length), path)
  }
  t.equal(await inner.mkdir('/p/q', { recursive: true }), '/p')
  t.equal(await node.mkdir('/other/dir', { recursive: true }), '/other')
  t.equal(await node.mkdir('/box/f'), undefined)
  await fs.writeText('box/file', 'x')
  await t.rejects(node.mkdir('/box/file', { recursive: true }), { code: 'EEXIST' })
})

t.test('errors have the codes of Node', async (t) => {
  const { fs } = await memoryFileSystem()
  const node = fs.asNodeFs()
  await fs.writeText('box/d/f', 'x')

  await t.rejects(node.readFile('/box/missing'), { code: 'ENOENT', errno: -2 })
  await t.rejects(node.access('/box/missing'), { code: 'ENOENT' })
  await t.rejects(node.readdir('/box/d/f'), { code: 'ENOTDIR' })
  await t.rejects(node.mkdir('/box/d'), { code: 'EEXIST' })
  await t.rejects(node.mkdir('/box/x/y/z'), { code: 'ENOENT' })
  await node.mkdir('/box/x/y/z', { recursive: true })
  await t.rejects(node.rmdir('/box/d'), { code: 'ENOTEMPTY' })
  await t.rejects(node.rm('/box/d'), { code: 'EISDIR' })
  await t.rejects(node.unlink('/box/d'), { code: 'EISDIR' })
  await t.rejects(node.rm('/box', { recursive: true }), { code: 'EPERM' })
  await t.rejects(node.writeFile('/box/f', 'x', { flag: 'r+' }), TypeError)
})

t.test('a handle reads at its position and elsewhere', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/f', 'one\ntwo\nthree\n')
  const file = await fs.asNodeFs().open('/box/f')
  const buffer = Buffer.alloc(6, '.')

  t.match(await file.read(buffer, 1, 3), { bytesRead: 3, buffer })
  t.equal(buffer.toString(), '.one..')
  t.match(await file.read({ buffer, offset: 0, length: 5, position: 8 }), { bytesRead: 5 })
  t.equal(buffer.toString(), 'three.')
  t.match(await file.read(buffer, { position: 100 }), { bytesRead: 0 })
  t.equal((await file.stat()).size, 14)
  t.equal(await file.readFile('utf8'), '\ntwo\nthree\n', 'from where the first read ended')
  t.match(await file.read(), { bytesRead: 0 })
  await t.rejects(file.write('x'), { code: 'EBADF' })
  await t.rejects(file.read(buffer, 0, 7), RangeError)
  await file.sync()
  await file.close()
  await t.rejects(file.read(buffer), { code: 'EBADF' })
  const lines: string[] = []
  for await (const line of (await fs.asNodeFs().open('box/f')).readLines()) lines.push(line)
  t.strictSame(lines, ['one', 'two', 'three'])
})

t.test(
  'a handle writes anew, at the end and in place, and nothing before it is closed',
  async (t) => {
    const { fs } = await memoryFileSystem()
    const node = fs.asNodeFs()

    const made = await node.open('/box/f', 'wx')
    t.match(await made.write('abc'), { bytesWritten: 3, buffer: 'abc' })
    t.match(await made.write(Buffer.from('xdefx'), 1, 3), { bytesWritten: 3 })
    t.equal((await made.stat()).size, 6)
    await t.rejects(made.write('x', 0), { code: 'ENOTSUP', message: /'r\+'/ })
    await t.rejects(made.sync(), { code: 'ENOTSUP' })
    await t.rejects(made.read(), { code: 'EBADF' })
    t.notOk(await fs.exists('box/f'))
    await made.close()
    t.equal(await fs.readText('box/f'), 'abcdef')
    await t.rejects(node.open('/box/f', 'wx'), { code: 'EEXIST' })

    {
      await using added = await node.open('/box/f', 'a')
      await added.appendFile('g')
    }
    await node.appendFile('/box/f', 'h')
    const changed = await node.open('/box/f', 'r+')
    await changed.write('B', 1)
    t.equal(await changed.readFile('utf8'), 'aBcdefgh')
    await changed.truncate(4)
    await changed.sync()
    t.equal(await fs.readText('box/f', {}), 'aBcd')
    await changed.close()
    await node.truncate('/box/f', 2)
    t.equal(await fs.readText('box/f'), 'aB')
    await t.rejects(node.open('/box/none', 'r+'), { code: 'ENOENT' })
    await t.rejects(node.open('/box', 'r'), { code: 'EISDIR' })
    const flags: { f: 'r' } = Object.assign({ f: 'r' as const }, { f: 'w+' })
    await t.rejects(node.open('/box/f', flags.f), {
      message: /flags: expected one of r, r\+, w, wx, a/,
    })
  },
)

t.test('what is appended leaves metadata as it is', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.pipeFile('box/f', 'text', { metadata: { mine: 'kept' } })

  await fs.asNodeFs().appendFile('/box/f', ' end')

  t.equal(await fs.readText('box/f'), 'text end')
  t.match(await fs.getMetadata('box/f'), { mine: 'kept' })
})

t.test('streams read ranges, write whole files, and leave nothing when destroyed', async (t) => {
  const { fs } = await memoryFileSystem()
  const node = fs.asNodeFs()
  const content = 'abcdefghij'.repeat(20_000)

  await pipeline(
    Readable.from([content.slice(0, 5), content.slice(5)]),
    node.createWriteStream('/box/f'),
  )

  t.equal(await text(node.createReadStream('/box/f', { highWaterMark: 7_001 })), content)
  t.equal(await text(fs.createReadStream('box/f', { start: 3, end: 8 })), 'defgh')
  await t.rejects(text(node.createReadStream('/box/missing')), { code: 'ENOENT' })
  const reason = new Error('no more')
  const broken = async function* () {
    yield content
    throw reason
  }
  await t.rejects(pipeline(broken, fs.createWriteStream('box/half')), reason)
  t.notOk(await fs.exists('box/half', { refresh: true }))
  const taken = node.createWriteStream('/box/f', { flags: 'wx' })
  await t.rejects(pipeline(Readable.from(['x']), taken), { code: 'EEXIST' })
})

t.test('streams of the web read, write whole files, and leave nothing when aborted', async (t) => {
  const { fs } = await memoryFileSystem()
  const content = 'abcdefghij'.repeat(20_000)

  await new Blob([content]).stream().pipeTo(Writable.toWeb(fs.createWriteStream('box/f')))
  t.equal(await text(Readable.toWeb(fs.createReadStream('box/f'))), content)

  const reader = Readable.toWeb(fs.createReadStream('box/f', { highWaterMark: 1000 })).getReader()
  t.equal((await reader.read()).value?.length, 1000)
  await reader.cancel()
  const writer = Writable.toWeb(fs.createWriteStream('box/half')).getWriter()
  await writer.write(Buffer.from(content))
  await writer.abort(new Error('no more')).catch(() => undefined)
  t.notOk(await fs.exists('box/half', { refresh: true }))
})

t.test('streams end with the byte that Node ends with, and decode', async (t) => {
  const { fs } = await memoryFileSystem()
  const node = fs.asNodeFs()
  await node.writeFile('/box/f', 'ab\u20acdefghij')

  const decoded = node.createReadStream('/box/f', { encoding: 'utf8', highWaterMark: 1 })

  t.strictSame((await decoded.toArray()).slice(0, 4), ['a', 'b', '\u20ac', 'd'])
  t.equal(await text(node.createReadStream('/box/f', { start: 5, end: 7 })), 'def')
  t.equal(await text(node.createReadStream('/box/f', { start: 5, end: Infinity })), 'defghij')
  const handle = await node.open('/box/f')
  t.equal(await text(handle.createReadStream({ start: 5, end: 5 })), 'd')
  await handle.close()
  await pipeline(Readable.from(['kl']), node.createWriteStream('/box/f', { flags: 'a' }))
  t.match(await node.readFile('/box/f', 'utf8'), /ijkl$/)
  t.throws(() => node.createWriteStream('/box/f', { flags: 'r+' }), { name: 'TypeError' })
})

t.test('modes, owners and times are changed, and read back by others', async (t) => {
  const { fs } = await memoryFileSystem()
  const node = fs.asNodeFs()
  await node.writeFile('/box/f', 'x')

  await node.chmod('/box/f', constants.S_IFREG | 0o640)
  await node.chown('/box/f', 7, 8)
  await node.lchown('/box/f', -1, 9)
  await node.utimes('/box/f', 0, new Date(1_700_000_000_123))

  const stats = await fs.asNodeFs().stat('/box/f')
  t.match(stats, { uid: 7, gid: 9, mtimeMs: 1_700_000_000_123, mode: constants.S_IFREG | 0o640 })
  await node.chmod('/box/f', '755')
  await node.utimes('/box/f', 0, 1_700_000_000.5)
  t.match(await node.stat('/box/f'), {
    mode: constants.S_IFREG | 0o755,
    mtimeMs: 1_700_000_000_500,
  })
  t.equal(await node.readFile('/box/f', 'utf8'), 'x')
  await t.rejects(node.chmod('/box/f', 'rwx'), { name: 'TypeError', message: /^mode: expected/ })
  await t.rejects(node.chown('/box/f', -2, 0), { message: /^uid: expected/ })
  await t.rejects(node.utimes('/box/f', 0, 'soon'), { message: /^mtime: expected/ })
  await t.rejects(node.chmod('/box/missing', 0o600), { code: 'ENOENT' })
})

t.test('links are made and read, hard ones refused', async (t) => {
  const { fs } = await memoryFileSystem()
  const node = fs.asNodeFs()
  await node.writeFile('/box/f', 'x')

  await node.symlink('../box/f', '/box/l')

  t.equal(await node.readlink('/box/l'), '../box/f')
  t.ok((await node.lstat('/box/l')).isSymbolicLink())
  await t.rejects(node.symlink('f', '/box/l'), { code: 'EEXIST' })
  await t.rejects(node.symlink('f', '/box/.abfs/l'), { code: 'EPERM' })
  await t.rejects(node.link('/box/f', '/box/g'), { code: 'EPERM', dest: /box\/g$/ })
})

t.test('directories of a random name are made, and gone through by entry', async (t) => {
  const { fs } = await memoryFileSystem()
  const node = fs.asNodeFs()

  const made = await node.mkdtemp('/box/run-')
  for (const name of ['a', 'b']) await node.writeFile(`${made}/${name}`, name)

  t.match(made, /^\/box\/run-\w{6}$/)
  const directory = await node.opendir(made)
  t.equal((await directory.read())?.name, 'a')
  const rest: string[] = []
  for await (const { name, parentPath } of directory) rest.push(`${parentPath}/${name}`)
  t.strictSame(rest, [`${made}/b`])
  t.equal(await directory.read(), null)
  await directory.close()
  await directory.close()
  await t.rejects(directory.read(), { code: 'EBADF', path: made })
  await t.rejects(node.opendir('/box/missing'), { code: 'ENOENT' })
})
