import type { ArtifactStore } from '../artifact-store/artifact-store.ts'
import {
  AzureBlobFileSystem,
  type AzureBlobFileSystemOptions,
} from '../filesystem/azure-blob-file-system.ts'
import { type Account, partsOf } from './compose.ts'

/** The library on an account. */
export function composeFileSystem(
  account: Account,
  options: Pick<AzureBlobFileSystemOptions, 'blockBytes' | 'concurrency' | 'recipe'> = {},
): AzureBlobFileSystem {
  return new AzureBlobFileSystem({ ...options, ...partsOf(account) })
}

/** Named artifacts below `root`, an `abfs://` URL, on an account. */
export async function composeArtifactStore(account: Account, root: string): Promise<ArtifactStore> {
  const { AzureArtifactStore } = await import('../artifact-store/azure-artifact-store.ts')
  return new AzureArtifactStore({ fileSystem: composeFileSystem(account), root })
}
