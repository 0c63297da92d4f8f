import type { TokenCredential } from '@azure/core-auth'
import { FileSystemError } from '../errors.ts'
import type { HttpHandler } from '../http/handler.ts'

const maxSecretBytes = 64 * 1024

/**
 * Reads the newest version of a secret of a Key Vault with an identity of Entra. Rejects with
 * `EACCES` when the vault refuses, `EIO` when it does not answer; never with what it said.
 */
export async function readVaultSecret(
  secret: URL,
  credential: TokenCredential,
  http: HttpHandler,
): Promise<string> {
  const token = await credential.getToken(`${vaultAudience(secret)}/.default`)
  const url = new URL(`${secret.href}?api-version=7.4`)
  const response = await http({
    method: 'GET',
    url,
    headers: { accept: 'application/json', authorization: `Bearer ${token?.token ?? ''}` },
    operation: 'connector.vault',
    path: secret.href,
    maxBodyBytes: maxSecretBytes,
    idempotent: true,
  })
  const { value } = parsed(response.body)
  if (response.status === 200 && typeof value === 'string') return value
  throw new FileSystemError(response.status < 500 ? 'EACCES' : 'EIO', 'connector.vault', {
    path: secret.href,
    statusCode: response.status,
    retryable: response.status >= 500,
    detail: `the vault does not give the secret (HTTP ${response.status}): give the connector's identity the role Key Vault Secrets User on it`,
  })
}

/** `https://vault.azure.net`, or that of another cloud: the host without the vault's name. */
function vaultAudience({ hostname }: URL): string {
  return `https://${hostname.slice(hostname.indexOf('.') + 1)}`
}

function parsed(body: Uint8Array): { readonly value?: unknown } {
  try {
    return Object(JSON.parse(Buffer.from(body).toString('utf8')))
  } catch {
    // It is no answer of a vault; the caller says so with the status.
    return {}
  }
}
