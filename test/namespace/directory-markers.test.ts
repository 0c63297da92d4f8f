import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { systemClock } from '../../src/clock.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { checkDirectoryMarkers } from '../conformance/directory-markers.ts'
import { azureStore } from '../support/azure-store.ts'
import { unsignedToken } from '../support/unsigned-token.ts'

t.test('directories in memory', (t) => checkDirectoryMarkers(t, new MemoryBlobStore()))

t.test('directories in Azurite', async (t) => {
  const sandbox = await startSandbox()
  const { account, caPem: ca, blobEndpoint: endpoint } = sandbox
  const provider = { getCredential: async () => unsignedToken(account, systemClock.nowMs()) }
  const { store, close } = azureStore({ account, endpoint, provider, ca })
  t.teardown(async () => {
    await close()
    await sandbox.close()
  })

  await checkDirectoryMarkers(t, store)
})
