import { createHmac } from 'node:crypto'
import type { TokenCredential } from '@azure/core-auth'
import { cloudOf } from './azure-url.ts'
import type { Clock } from './clock.ts'
import { type CredentialProvider, sasCredential } from './credential/credential.ts'
import { MultiScopeTokenProvider } from './credential/multi-scope-token-provider.ts'
import type { TextSigner } from './credential/text-signer.ts'
import { fromTokenCredential } from './credential/token-source.ts'
import { FileSystemError } from './errors.ts'

/** What a program may sign in with, instead of what the environment says. */
export type GivenCredential = CredentialProvider | TokenCredential

/** How long a signature made of an account key lives: a call that is retried outlives its clock skew. */
const signatureLifeMs = 3_600_000

/** A credential of the Azure SDKs as a provider; a provider as it is. */
export function providerOf(
  credential: GivenCredential,
  { clock, blobEndpoint }: { readonly clock: Clock; readonly blobEndpoint: URL },
): CredentialProvider {
  if ('getCredential' in credential) return credential
  const cloud = cloudOf(blobEndpoint).suffix
  return new MultiScopeTokenProvider({ source: fromTokenCredential(credential), clock, cloud })
}

/** One signature for everything, for ever. A `?` in front is left out. */
export function fixedSignature(signature: string): CredentialProvider {
  const query = signature.replace(/^\?/, '')
  return { getCredential: async () => sasCredential(query, Number.MAX_SAFE_INTEGER) }
}

/** No credential at all, for containers that everybody may read. */
export function anonymous(): CredentialProvider {
  return fixedSignature('')
}

/** Signs account signatures of an hour with an account key, which never leaves this process. */
export function keySignatures(
  account: string,
  key: string,
  clock: Clock,
): CredentialProvider & TextSigner {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(key) || key.length % 4 !== 0) {
    const detail = 'expected the key in Base64 as the portal shows it, 88 characters'
    throw new FileSystemError('EINVAL', 'config', { path: 'account key', detail })
  }
  return {
    signText: (text) =>
      createHmac('sha256', Buffer.from(key, 'base64')).update(text, 'utf8').digest('base64'),
    async getCredential() {
      const sdk = await import('@azure/storage-blob')
      const expiresAtMs = clock.nowMs() + signatureLifeMs
      const query = sdk.generateAccountSASQueryParameters(
        {
          startsOn: new Date(clock.nowMs() - signatureLifeMs),
          expiresOn: new Date(expiresAtMs),
          permissions: sdk.AccountSASPermissions.parse('rwdxlactf'),
          services: sdk.AccountSASServices.parse('b').toString(),
          resourceTypes: sdk.AccountSASResourceTypes.parse('sco').toString(),
        },
        new sdk.StorageSharedKeyCredential(account, key),
      )
      return sasCredential(query.toString(), expiresAtMs)
    },
  }
}
