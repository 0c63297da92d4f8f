import t from 'tap'
import { type BlobStore, listAll } from '../../src/blob/store.ts'
import { systemClock } from '../../src/clock.ts'
import { createFileSystem, fromJSON } from '../../src/create-file-system.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { keySignatures } from '../../src/given-credential.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { hierarchicalMemory, memoryFileSystem } from '../support/file-system.ts'

/** The same account, read without markers' making. */
async function bothModes() {
  const { fs: marking, store } = await memoryFileSystem()
  const fs = new AzureBlobFileSystem({ store, listingTtlMs: 0, directoryMode: 'virtual' })
  return { fs, marking, store }
}

async function namesIn(store: BlobStore): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of listAll(store, { container: 'box', name: '' })) names.push(name)
  return names
}

t.test('a virtual directory is there while a file is in it', async (t) => {
  const { fs, store } = await bothModes()
  await fs.mkdir('box/a/b')
  t.equal(await fs.exists('box/a'), false)
  t.same(await namesIn(store), [], 'nothing was written')

  await fs.writeText('box/a/b/f', 'f')
  t.equal(await fs.isDir('box/a/b'), true)
  await t.rejects(fs.mkdir('box/a/b'), { code: 'EEXIST' })
  await t.rejects(fs.mkdir('box/a/b/f'), { code: 'EEXIST' })
  await t.rejects(fs.rmdir('box/a/b'), { code: 'ENOTEMPTY' })

  await fs.rmFile('box/a/b/f')
  t.equal(await fs.exists('box/a'), false)
  t.same(await namesIn(store), [], 'nor left behind')
})

t.test('a rename out of a virtual directory leaves nothing', async (t) => {
  const { fs, store } = await bothModes()
  await fs.writeText('box/a/f', 'f')
  await fs.mv('box/a/f', 'box/c')
  await fs.writeText('box/d/e/f', 'f')
  await fs.mv('box/d/e', 'box/g')
  t.same(await namesIn(store), ['c', 'g/f'])
})

t.test('markers of others are seen and can be removed', async (t) => {
  const { fs, marking } = await bothModes()
  await marking.mkdir('box/kept')
  t.equal(await fs.isDir('box/kept'), true)
  await fs.rmdir('box/kept')
  t.equal(await fs.exists('box/kept'), false)
})

t.test('a hierarchical account has directories whatever the mode', async (t) => {
  const parts = await hierarchicalMemory(new FakeClock())
  await parts.store.createContainer('box')
  const fs = new AzureBlobFileSystem({ ...parts, directoryMode: 'virtual' })
  await fs.mkdir('box/a')
  t.equal(await fs.isDir('box/a'), true)
})

t.test(
  'createFileSystem takes the mode, its recipe keeps it, and a wrong one is told',
  async (t) => {
    const sandbox = await startSandbox({ containers: ['box'] })
    t.teardown(() => sandbox.close())
    const { account, accountKey, blobEndpoint, caFile } = sandbox
    const credential = keySignatures(account, accountKey, systemClock)
    const options = {
      account,
      blobEndpoint: blobEndpoint.href,
      caFile,
      credential,
      environment: {},
    }
    await using fs = await createFileSystem({ ...options, directoryMode: 'virtual' })
    await fs.mkdir('box/a')
    t.equal(await fs.exists('box/a'), false)
    await using again = await fromJSON(fs.toJSON(), { credential, environment: {} })
    await again.mkdir('box/a')
    t.equal(await again.exists('box/a'), false)
    await t.rejects(createFileSystem({ ...options, directoryMode: 'hns' as 'marker' }), {
      code: 'EINVAL',
      message: /expected 'marker' or 'virtual'.*got "hns".*'directoryMode'/,
    })
  },
)
