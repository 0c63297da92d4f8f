import t from 'tap'
import { AzureArtifactStore } from '../../src/artifact-store/azure-artifact-store.ts'
import { testArtifactStore } from '../conformance/artifact-store.ts'
import { memoryFileSystem, temporaryDirectory } from '../support/file-system.ts'

t.test('in memory', async (t) => {
  testArtifactStore(t, () => memoryFileSystem())
})

t.test('a root that is no place in the account is a mistake', async (t) => {
  const { fs } = await memoryFileSystem()

  for (const root of ['', 'abfs://', 'abfs://box@other.dfs.core.windows.net/x', 's3://box']) {
    t.throws(() => new AzureArtifactStore({ fileSystem: fs, root }), TypeError)
  }
  const root = 'abfs://box/a/../b'
  t.throws(() => new AzureArtifactStore({ fileSystem: fs, root }), { code: 'EINVAL' })
})

t.test('a whole container can be the root', async (t) => {
  const { fs } = await memoryFileSystem()
  const store = new AzureArtifactStore({ fileSystem: fs, root: 'abfs://box' })

  await store.save('note', new Uint8Array(2))

  t.match(await store.list(), [{ name: 'note', sizeBytes: 2 }])
})

t.test('a manifest that names files outside the artifact is not obeyed', async (t) => {
  const { fs } = await memoryFileSystem()
  const store = new AzureArtifactStore({ fileSystem: fs, root: 'abfs://box' })
  const local = await temporaryDirectory(t)
  const sha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
  const files = [{ name: '../../evil', sizeBytes: 0, sha256, mode: 0o644 }]
  const manifest = { version: 1, generation: '0'.repeat(32), files, directories: [], links: [] }
  const metadata = { abfs_artifact: 'directory', abfs_bytes: '0', abfs_files: '1' }
  const path = 'box/model/.artifact.json'

  await fs.writeText(path, JSON.stringify(manifest), { metadata })
  await t.rejects(store.load('model', `${local}/out`), { code: 'EIO', message: /leads out/ })
  await fs.writeText(path, 'not JSON', { metadata })
  await t.rejects(store.load('model', `${local}/out`), { code: 'EIO', message: /damaged/ })
})
