import type { Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { azureStore } from './azure-store.ts'
import { unsignedToken } from './unsigned-token.ts'

/** A file system on an Azurite of its own, with an empty container `box`; both end with the test. */
export async function azuriteFileSystem(t: Pick<Test, 'teardown'>): Promise<AzureBlobFileSystem> {
  const sandbox = await startSandbox({ containers: ['box'] })
  const { account, caPem: ca, blobEndpoint: endpoint } = sandbox
  const provider = { getCredential: async () => unsignedToken(account, systemClock.nowMs()) }
  const { store, close } = azureStore({ account, endpoint, provider, ca })
  t.teardown(async () => {
    await close()
    await sandbox.close()
  })
  return new AzureBlobFileSystem({ store })
}
