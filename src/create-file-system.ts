import { parseAzureUrl } from './azure-url.ts'
import type { NamespaceChoice } from './blob/namespace-kind.ts'
import { composeFileSystem, openAccount } from './cli/compose.ts'
import { targetOf } from './cli/location.ts'
import { type ConfigFlags, type Environment, loadConfig, processEnvironment } from './config.ts'
import type { AzureBlobFileSystem } from './filesystem/azure-blob-file-system.ts'

/** Where a file system connects. What is given here beats the environment. */
export interface CreateFileSystemOptions extends Omit<ConfigFlags, 'hns'> {
  /** Whether the account's namespace is hierarchical. Default `auto`: it is asked once. */
  readonly hns?: NamespaceChoice | undefined
  /** An account in any form of `parseAzureUrl`, instead of `account`. */
  readonly url?: string | URL | undefined
  /** Credentials are asked to read and list only. */
  readonly readOnly?: boolean | undefined
  /** Variables to read instead of the process's own. */
  readonly environment?: Environment | undefined
}

/**
 * Connects to a storage account as the environment (`ABFS_*`) and `options` say, through the
 * connector that they name or with this process's own Azure identity. Sends nothing yet. Closing
 * the file system closes its connections. Rejects with `FileSystemError` `EINVAL` for a setting that
 * cannot be used.
 */
export async function createFileSystem(
  options: CreateFileSystemOptions = {},
): Promise<AzureBlobFileSystem> {
  const { url, readOnly, hns, environment = processEnvironment(), ...flags } = options
  const said = hns === undefined ? {} : { hns: String(hns) }
  const config = loadConfig({ ...flags, ...said }, environment)
  const target = targetOf(config, url === undefined ? [] : [parseAzureUrl(url)])
  return composeFileSystem(
    await openAccount(config, { target, access: readOnly === true ? 'read' : 'write' }),
  )
}
