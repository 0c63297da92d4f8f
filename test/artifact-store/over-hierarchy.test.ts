import t from 'tap'
import { testArtifactStore } from '../conformance/artifact-store.ts'
import { hierarchicalMemory, memoryFileSystem, useAccounts } from '../support/file-system.ts'
import { hierarchicalServer } from '../support/hierarchical-server.ts'

t.test('on a hierarchical account in memory', async (t) => {
  useAccounts(hierarchicalMemory)
  testArtifactStore(t, () => memoryFileSystem())
})

t.test('on a hierarchical account of the local storage server', async (t) => {
  useAccounts((clock) => hierarchicalServer(t, { clock, account: 'acct' }))
  testArtifactStore(t, () => memoryFileSystem())
})
