/** The file system's own tests again, on a hierarchical account. */
import { useHierarchicalMemory } from '../support/file-system.ts'

useHierarchicalMemory()

await import('./azure-blob-file-system.test.ts')
await import('./blob-file.test.ts')
await import('./transfer-tree.test.ts')
