import t from 'tap'
import { KiB } from '../../src/byte-range.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { encryptionScopeConformance } from '../conformance/encryption-scopes.ts'
import { faultyAccount } from '../support/faulty-account.ts'
import { hierarchicalServer } from '../support/hierarchical-server.ts'

t.test('on a flat account', async (t) => {
  encryptionScopeConformance(t, async (t, options) => {
    const { fs, box } = await faultyAccount(t, options)
    return { fs, endpoint: new URL(box.url.replace(/\/box$/, '')) }
  })
})

t.test('on a hierarchical account', async (t) => {
  encryptionScopeConformance(t, async (t, options) => {
    const server = await hierarchicalServer(t, { ...options, pathStyle: true })
    const { store, hierarchyOf, endpoint } = server
    await store.createContainer('box')
    return { fs: new AzureBlobFileSystem({ store, hierarchyOf, blockBytes: 64 * KiB }), endpoint }
  })
})
