import t from 'tap'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { memoryFileSystem } from '../support/file-system.ts'
import { hierarchicalServer } from '../support/hierarchical-server.ts'

async function hierarchicalFiles(t: Parameters<typeof hierarchicalServer>[0]) {
  const server = await hierarchicalServer(t)
  const { store, hierarchyOf } = server
  await store.createContainer('box')
  return { ...server, fs: new AzureBlobFileSystem({ store, hierarchyOf, blockBytes: 64 * 1024 }) }
}

void t.test('a rename of a tree is one request', async (t) => {
  const { fs, requests } = await hierarchicalFiles(t)
  for (let index = 0; index < 20; index++) await fs.writeText(`box/old/${index % 4}/${index}`, 'x')
  await fs.isHierarchical('box')
  requests.length = 0

  await fs.mv('box/old', 'box/new')

  const renames = requests.filter((request) => request.endsWith('path.rename'))
  t.same(renames, ['PUT path.rename'])
  t.ok(requests.length <= 3, requests.join(', '))
  t.equal((await fs.find('box/new')).length, 20)
  t.equal(await fs.exists('box/old'), false)
})

void t.test('a tree is removed by the service', async (t) => {
  const { fs, requests } = await hierarchicalFiles(t)
  for (let index = 0; index < 20; index++) await fs.writeText(`box/dir/${index % 4}/${index}`, 'x')
  requests.length = 0

  await fs.rm('box/dir', { recursive: true })

  const deletions = requests.filter((request) => request.startsWith('DELETE'))
  t.same(deletions, ['DELETE path.delete'])
  t.equal(await fs.exists('box/dir'), false)
})

void t.test('directories are real', async (t) => {
  const { fs } = await hierarchicalFiles(t)
  await fs.mkdir('box/dir/empty')
  await fs.writeText('box/dir/file', 'x')

  await fs.rm('box/dir/file')

  t.equal(await fs.isDir('box/dir', { refresh: true }), true)
  t.same(
    (await fs.ls('box/dir', { refresh: true })).map(({ name }) => name),
    ['box/dir/empty'],
  )
  await t.rejects(fs.rmdir('box/dir'), { code: 'ENOTEMPTY' })
  await fs.rmdir('box/dir/empty')
  await fs.rmdir('box/dir')
  t.equal(await fs.exists('box/dir', { refresh: true }), false)
})

void t.test('a large file replaces one that was appended to, at once', async (t) => {
  const { fs, hierarchy, requests } = await hierarchicalFiles(t)
  const path = { container: 'box', name: 'log' }
  await hierarchy.createFile(path)
  await hierarchy.append(path, Buffer.from('appended'), { position: 0 })
  await hierarchy.flush(path, { position: 8 })
  requests.length = 0

  await fs.writeText('box/log', 'y'.repeat(3_000_000))

  t.equal(await fs.readText('box/log'), 'y'.repeat(3_000_000))
  t.ok(requests.includes('PUT path.rename'), requests.join(', '))
  t.same(
    (await fs.ls('box', { refresh: true })).map(({ name }) => name),
    ['box/log'],
  )
})

void t.test('a large new file takes no detour', async (t) => {
  const { fs, requests } = await hierarchicalFiles(t)

  await fs.writeText('box/new', 'y'.repeat(3_000_000))

  t.notOk(requests.includes('PUT path.rename'))
})

void t.test('mode, owner and list can be set and read', async (t) => {
  const { fs } = await hierarchicalFiles(t)
  await fs.writeText('box/file', 'x')

  await fs.chmod('box/file', 0o604)
  await fs.chown('box/file', { owner: 'somebody' })
  await fs.updateAcl('box/file', 'user:reader:r--')
  const added = await fs.getAcl('box/file')
  await fs.removeAcl('box/file', 'user:reader')
  const removed = await fs.getAcl('box/file')

  t.match(added, { owner: 'somebody', permissions: /\+$/, acl: /user:reader:r--/ })
  t.notMatch(removed.acl, /reader/)
  t.match(await fs.info('box/file'), { owner: 'somebody', mode: 0o604 })
})

void t.test('lists change below a directory, with progress', async (t) => {
  const { fs } = await hierarchicalFiles(t)
  await fs.writeText('box/dir/a', 'x')
  await fs.writeText('box/dir/sub/b', 'x')
  const seen: number[] = []

  const result = await fs.updateAcl('box/dir', 'user:reader:r-x', {
    recursive: true,
    onProgress: ({ directories, files }) => seen.push(directories + files),
  })

  t.match(result, { directories: 2, files: 2, failureCount: 0 })
  t.same(seen, [4])
  t.match((await fs.getAcl('box/dir/sub/b')).acl, /user:reader:r-x/)
})

void t.test('a file can be given an end', async (t) => {
  const { fs } = await hierarchicalFiles(t)
  await fs.writeText('box/file', 'x')
  const epochMs = Date.UTC(2030, 0, 1)

  await fs.setExpiry('box/file', { kind: 'at', epochMs })

  const [listed] = await fs.ls('box')
  t.equal(listed?.expires?.getTime(), epochMs)
})

void t.test('what a listing of the hierarchy leaves out is told by info', async (t) => {
  const { fs } = await hierarchicalFiles(t)
  await fs.pipeFile('box/file', Buffer.from('x'), { metadata: { colour: 'red' } })
  fs.invalidateCache()

  const [bare] = await fs.ls('box')
  const [whole] = await fs.ls('box', { metadata: true })
  const info = await fs.info('box/file')

  t.same(bare?.metadata, {})
  t.match(bare, { permissions: 'rw-r-----', size: 1 })
  t.match(whole, { permissions: 'rw-r-----', metadata: { colour: 'red' } })
  t.match(info, { metadata: { colour: 'red' } })
})

void t.test('flat accounts have no access control', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/file', 'x')

  t.equal(await fs.isHierarchical('box'), false)
  await t.rejects(fs.getAcl('box/file'), { code: 'ENOTSUP', message: /hierarchical/ })
  await t.rejects(fs.chmod('box/file', 0o600), { code: 'ENOTSUP' })
  await t.rejects(fs.setExpiry('box/file', { kind: 'never' }), { code: 'ENOTSUP' })
})

void t.test('a list that cannot be read is refused before it is sent', async (t) => {
  const { fs } = await hierarchicalFiles(t)
  await fs.writeText('box/file', 'x')

  await t.rejects(fs.setAcl('box/file', 'user::rwz'), {
    name: 'TypeError',
    message: /acl: expected/,
  })
  await t.rejects(fs.chmod('box/file', 0o4755), { name: 'RangeError', message: /mode: expected/ })
})
