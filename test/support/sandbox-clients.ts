import type { TokenCredential } from '@azure/core-auth'
import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import type { Sandbox } from '../../src/sandbox/sandbox.ts'

/** A blob client of a sandbox that verifies its certificate; with the account key by default. */
export function blobServiceOf(
  sandbox: Sandbox,
  credential: TokenCredential | StorageSharedKeyCredential = new StorageSharedKeyCredential(
    sandbox.account,
    sandbox.accountKey,
  ),
): BlobServiceClient {
  const options = { retryOptions: { maxTries: 1 }, tlsOptions: { ca: sandbox.caPem } }
  return new BlobServiceClient(sandbox.blobEndpoint.href, credential, options)
}
