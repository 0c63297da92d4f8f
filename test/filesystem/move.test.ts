import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import type { Progress } from '../../src/filesystem/progress.ts'
import { CountingStore } from '../support/counting-store.ts'
import { memoryFileSystem, plantRemote, remoteFiles } from '../support/file-system.ts'
import { mortalStore } from '../support/mortal-store.ts'

const files = { a: 'one', 'sub/b': 'two', 'sub/c': 'three' }

t.test('mv to another container does not delete what was added meanwhile', async (t) => {
  const memory = new MemoryBlobStore({ account: 'acct' })
  const store = new CountingStore(memory)
  const { fs } = await memoryFileSystem({ store })
  await fs.mkdir('bag')
  await plantRemote(fs, 'box/tree', files)
  store.before = async ({ verb, name }) => {
    if (verb !== 'delete' || name !== 'tree/a') return
    await memory.put({ container: 'box', name: 'tree/late' }, Buffer.from('late'))
    await memory.put({ container: 'box', name: 'tree/sub/c' }, Buffer.from('newer'))
  }

  await fs.mv('box/tree', 'bag/tree')

  t.same(await remoteFiles(fs, 'bag/tree'), { ...files, 'sub/c': 'newer', late: 'late' })
  t.notOk(await fs.exists('box/tree', { refresh: true }))
})

t.test('mv of a directory reports how far it is', async (t) => {
  const { fs } = await memoryFileSystem()
  await plantRemote(fs, 'box/tree', files)
  const seen: Progress[] = []

  await fs.mv('box/tree', 'box/moved', { onProgress: (progress) => seen.push(progress) })

  const all = { files: 3, totalFiles: 3, bytes: 11, totalBytes: 11 }
  t.match(seen[2], { phase: 'transferring', ...all })
  t.match(seen.at(-1), { phase: 'deleting', ...all })
  t.strictSame(
    new Set(seen.map(({ path }) => path)),
    new Set(Object.keys(files).map((name) => `box/tree/${name}`)),
  )
})

t.test('recover finishes the mv of a client that is gone', async (t) => {
  const store = new MemoryBlobStore({ account: 'acct' })
  const { fs } = await memoryFileSystem({ store })
  await plantRemote(fs, 'box/tree', files)
  const dying = new AzureBlobFileSystem({ store: mortalStore(store, 18, 'done') })
  await t.rejects(dying.mv('box/tree', 'box/moved'), { code: 'EIO' })

  const results = await fs.recover('abfs://box', { force: true })

  t.match(results, [
    { outcome: 'completed', from: { name: 'tree' }, to: { name: 'moved' }, files: 3 },
  ])
  t.same(await remoteFiles(fs, 'box/moved'), files)
  t.notOk(await fs.exists('box/tree', { refresh: true }))
  t.same(await fs.recover('box'), [])
  await t.rejects(fs.recover('missing'), { code: 'ENOENT' })
  await t.rejects(fs.recover('/'), { code: 'EINVAL' })
})

t.test('names that belong to abfs itself are not written, shown or found', async (t) => {
  const { fs } = await memoryFileSystem()

  await t.rejects(fs.pipeFile('box/.abfs/x', Buffer.from('x')), { code: 'EPERM' })
  await t.rejects(fs.touch('box/.abfs'), { code: 'EPERM' })
  await t.rejects(fs.open('box/.abfs/x', 'w'), { code: 'EPERM' })
  await t.rejects(fs.mkdir('box/.abfs/x'), { code: 'EPERM' })
  await fs.writeText('box/a', 'x')
  await t.rejects(fs.copy('box/a', 'box/.abfs/renames/a'), { code: 'EPERM' })
  await t.rejects(fs.mv('box/a', 'box/.abfs/a'), { code: 'EPERM' })
  t.notOk(await fs.exists('box/.abfs'))
  await fs.writeText('box/sub/.abfs', 'deeper down the name is free')
  t.same(
    (await fs.find('box')).map(({ name }) => name),
    ['box/a', 'box/sub/.abfs'],
  )
})
