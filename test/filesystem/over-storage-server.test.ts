/** The file system's own tests again, on a hierarchical account of the local storage server. */
import t from 'tap'
import { useAccounts } from '../support/file-system.ts'
import { hierarchicalServer } from '../support/hierarchical-server.ts'

useAccounts((clock) => hierarchicalServer(t, { clock, account: 'acct' }))

await import('./azure-blob-file-system.test.ts')
await import('./blob-file.test.ts')
