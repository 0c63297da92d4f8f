import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { blobStoreConformance } from '../conformance/blob-store.ts'
import { azureStore } from '../support/azure-store.ts'
import { unsignedToken } from '../support/unsigned-token.ts'

const sandbox = await startSandbox()
const { account, caPem: ca, blobEndpoint: endpoint } = sandbox
const provider = { getCredential: async () => unsignedToken(account, systemClock.nowMs()) }
const { store, close } = azureStore({ account, endpoint, provider, ca })
t.teardown(async () => {
  await close()
  await sandbox.close()
})

blobStoreConformance(t, async () => store, { isAzurite: true })
