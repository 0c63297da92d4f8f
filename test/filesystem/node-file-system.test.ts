import { constants } from 'node:fs'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { memoryFileSystem, remoteFiles } from '../support/file-system.ts'

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
