import type { Environment } from '../../config.ts'
import { usageError } from '../usage.ts'

/** Variables that blobfuse2 reads, and those that say the same here. */
const same: Readonly<Record<string, string>> = {
  AZURE_STORAGE_BLOB_ENDPOINT: 'ABFS_BLOB_ENDPOINT',
  AZURE_STORAGE_SPN_TENANT_ID: 'AZURE_TENANT_ID',
  AZURE_STORAGE_SPN_CLIENT_ID: 'AZURE_CLIENT_ID',
  AZURE_STORAGE_SPN_CLIENT_SECRET: 'AZURE_CLIENT_SECRET',
  AZURE_STORAGE_IDENTITY_CLIENT_ID: 'AZURE_CLIENT_ID',
  AZURE_STORAGE_AAD_ENDPOINT: 'AZURE_AUTHORITY_HOST',
  AZURE_OAUTH_TOKEN_FILE: 'AZURE_FEDERATED_TOKEN_FILE',
}

/** Sets what a variable of blobfuse2 says and ours does not. The account's name is one for both. */
export function adoptBlobfuseVariables(environment: NodeJS.ProcessEnv): void {
  for (const [theirs, ours] of Object.entries(same)) {
    const value = environment[theirs]
    if (value && !environment[ours]) environment[ours] = value
  }
}

/**
 * Refuses a kind of sign-in that wants a secret on this machine. A key or signature that is merely
 * there is left alone: other programs have them.
 */
export function checkAuthType(environment: Environment): void {
  const type = environment['AZURE_STORAGE_AUTH_TYPE']?.toLowerCase()
  if (type !== 'key' && type !== 'sas') return
  if (environment['ABFS_CONNECTOR_URL']) return
  throw usageError(
    `AZURE_STORAGE_AUTH_TYPE is ${type}, a secret on this machine: drives sign in by identity (msi, spn, azcli, workloadidentity), or ask a connector (ABFS_CONNECTOR_URL)`,
  )
}

/** `abfs://CONTAINER` of blobfuse2's variable, for a mount that names a directory alone. */
export function containerOf(environment: Environment): string | undefined {
  const container = environment['AZURE_STORAGE_ACCOUNT_CONTAINER']
  return container ? `abfs://${container}` : undefined
}
