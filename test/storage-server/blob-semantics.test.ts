import { StorageSharedKeyCredential } from '@azure/storage-blob'
import t from 'tap'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { blobSemantics } from '../conformance/blob-semantics.ts'
import { blobSemanticsCases } from '../conformance/blob-semantics-cases.ts'
import { azuriteDifferences } from '../conformance/blob-semantics-differences.ts'
import { startBlobServer } from '../support/blob-server.ts'
import { semanticsSubject } from '../support/semantics-subject.ts'
import { accountKeys, accountName } from '../support/storage-request.ts'

const rules = { cases: blobSemanticsCases, differences: azuriteDifferences }

t.test('the storage server keeps the rules of blobs', async (t) => {
  const { endpoint } = await startBlobServer(t)
  const key = new StorageSharedKeyCredential(accountName, accountKeys[0])

  blobSemantics(t, semanticsSubject(t, { isAzurite: false, endpoint, key }), rules)
})

t.test('Azurite keeps the same rules but for the differences listed', async (t) => {
  const sandbox = await startSandbox()
  t.teardown(() => sandbox.close())
  const key = new StorageSharedKeyCredential(sandbox.account, sandbox.accountKey)
  const endpoint = sandbox.blobEndpoint.href.replace(/\/$/u, '')

  const subject = semanticsSubject(t, { isAzurite: true, endpoint, key, ca: sandbox.caPem })
  blobSemantics(t, subject, rules)
})
