import { keySignatures } from '../../src/given-credential.ts'
import {
  blobHistoryConformance,
  hierarchicalHistoryConformance,
  type OpenKept,
} from '../conformance/blob-history.ts'
import { administeredStore } from '../support/administered.ts'
import { startBlobServer } from '../support/blob-server.ts'
import { accountKeys, accountName } from '../support/storage-request.ts'

const open =
  (hierarchical: boolean): OpenKept =>
  async (t, { versioning = false, softDeleteDays }) => {
    const server = await startBlobServer(t, { versioning, softDeleteDays, hierarchical })
    const { clock } = server
    const provider = keySignatures(accountName, accountKeys[0], clock)
    const endpoint = new URL(server.endpoint)
    const options = { account: accountName, endpoint, provider, clock }
    const { store, administration } = administeredStore(t, options)
    return { store, history: administration, clock }
  }

blobHistoryConformance(open(false))
hierarchicalHistoryConformance(open(true))
