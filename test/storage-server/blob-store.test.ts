import t from 'tap'
import { bearerCredential } from '../../src/credential/credential.ts'
import { blobStoreConformance } from '../conformance/blob-store.ts'
import { azureStore } from '../support/azure-store.ts'
import { openAccess, startDfsServer } from '../support/dfs-server.ts'
import { accountName } from '../support/storage-request.ts'

const { url, clock } = await startDfsServer(t, { hierarchical: false }, openAccess)
const { store, close } = azureStore({
  account: accountName,
  endpoint: new URL(`${url}/${accountName}`),
  provider: { getCredential: async () => bearerCredential('token', clock.nowMs() + 3_600_000) },
})
t.teardown(close)

blobStoreConformance(t, async () => store)
