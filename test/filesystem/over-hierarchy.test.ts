/** The file system's own tests again, on a hierarchical account. */
import { hierarchicalMemory, useAccounts } from '../support/file-system.ts'

useAccounts(hierarchicalMemory)

await import('./azure-blob-file-system.test.ts')
await import('./blob-file.test.ts')
await import('./transfer-tree.test.ts')
await import('./blob-map.test.ts')
await import('./dir-file-system.test.ts')
await import('./node-file-system.test.ts')
await import('./sync.test.ts')
await import('./transaction.test.ts')
