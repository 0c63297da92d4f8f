import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import t from 'tap'
import { MiB } from '../../src/byte-range.ts'
import { systemClock } from '../../src/clock.ts'
import { isFileSystemError } from '../../src/errors.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { testArtifactStore } from '../conformance/artifact-store.ts'
import { azureStore } from '../support/azure-store.ts'
import { localFiles, plantLocal, remoteFiles, temporaryDirectory } from '../support/file-system.ts'
import { unsignedToken } from '../support/unsigned-token.ts'

const sandbox = await startSandbox()
const { account, caPem: ca, blobEndpoint: endpoint } = sandbox
const provider = { getCredential: async () => unsignedToken(account, systemClock.nowMs()) }
const { store, close } = azureStore({ account, endpoint, provider, ca })
t.teardown(async () => {
  await close()
  await sandbox.close()
})

async function emptyBox(): Promise<{ readonly fs: AzureBlobFileSystem }> {
  try {
    await store.deleteContainer('box')
  } catch (error) {
    if (!isFileSystemError(error, 'ENOENT')) throw error
  }
  await store.createContainer('box')
  return { fs: new AzureBlobFileSystem({ store, blockBytes: MiB }) }
}

t.test('artifacts over Azurite', async (t) => {
  testArtifactStore(t, emptyBox)
})

t.test('a tree with odd names goes to Azurite and comes back', async (t) => {
  const { fs } = await emptyBox()
  const local = await temporaryDirectory(t)
  const names = ['a b', 'é/ü', '100%', 'a%20b', 'a#b', 'a+b', 'a?b', '[x].txt', 'deep/er/f', '*']
  await plantLocal(join(local, 'in'), {
    ...Object.fromEntries(names.map((name) => [name, name])),
    large: randomBytes(2 * MiB + 5).toString('hex'),
  })

  await fs.put(join(local, 'in'), 'box/tree', { recursive: true, preserve: true })
  fs.invalidateCache()
  await fs.copy('box/tree', 'box/copy', { recursive: true })
  await fs.get('abfs://box/copy', join(local, 'out'), { recursive: true, preserve: true })

  const sent = await localFiles(join(local, 'in'))
  t.strictSame(await localFiles(join(local, 'out')), sent)
  t.strictSame(await remoteFiles(fs, 'box/tree'), sent)
})
