/**
 * What blobs are encrypted with beside the account's key: scopes and keys that requests bring. Nothing is
 * encrypted here; what the service keeps and refuses is. Any name is that of a scope.
 */
import { createHash } from 'node:crypto'
import type { ContainerProperties } from '../model/container.ts'
import type { Encryption } from '../model/record.ts'
import { invalidHeader, missingHeader, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import type { StorageError } from '../wire/storage-error.ts'

/** The container's default where none is said. */
export const accountScope = '$account-encryption-key'

/** What a request makes a blob with: 403 where its container takes no other scope than its own. */
export function newEncryption(
  request: Pick<StorageRequest, 'headers'>,
  { defaultScope = accountScope, deniesOtherScopes = false }: ContainerProperties,
): Encryption | undefined {
  const asked = askedEncryption(request)
  if (asked?.keySha256 !== undefined) return asked
  const scope = asked?.scope ?? defaultScope
  if (deniesOtherScopes && scope !== defaultScope) {
    throw refusal('RequestForbiddenByContainerEncryptionPolicy')
  }
  return scope === accountScope ? undefined : { scope }
}

/** 409 unless a request that changes a blob brings what it is encrypted with. */
export function assertEncryption(
  request: StorageRequest,
  encryption: Encryption | undefined,
  properties: ContainerProperties,
): void {
  const asked = newEncryption(request, properties)
  if (asked?.scope === encryption?.scope && asked?.keySha256 === encryption?.keySha256) return
  const said = askedEncryption(request) !== undefined
  throw refusal(
    said ? 'BlobCustomerSpecifiedEncryptionMismatch' : 'BlobUsesCustomerSpecifiedEncryption',
  )
}

/** 409 unless a request that reads a blob brings the key that it was written with: scopes are the service's. */
export function assertReadable(request: StorageRequest, encryption: Encryption | undefined): void {
  const asked = askedEncryption(request)?.keySha256
  if (asked === encryption?.keySha256) return
  if (asked === undefined) throw refusal('BlobUsesCustomerSpecifiedEncryption')
  throw otherKey(encryption)
}

function otherKey(encryption: Encryption | undefined): StorageError {
  return refusal(
    encryption?.keySha256 === undefined
      ? 'BlobDoesNotUseCustomerSpecifiedEncryption'
      : 'BlobCustomerSpecifiedEncryptionMismatch',
  )
}

/** As answers tell it. */
export function encryptionHeaders(
  encryption: Encryption | undefined,
): Record<string, string | undefined> {
  if (encryption === undefined) return {}
  return {
    'x-ms-encryption-scope': encryption.scope,
    'x-ms-encryption-key-sha256': encryption.keySha256,
  }
}

/** The key of a copy's source, which requests bring since 2026-02-06. */
export function sourceKeyOf({ headers, version }: StorageRequest): string | undefined {
  return version < '2026-02-06' ? undefined : keyIn(headers, 'x-ms-source-encryption-')
}

/** The same as who reads the source itself would bring it: names and values in turn. */
export function sourceKeyHeaders(request: StorageRequest): readonly string[] {
  if (sourceKeyOf(request) === undefined) return []
  return ['key', 'key-sha256', 'algorithm'].flatMap((name) => {
    const value = request.headers[`x-ms-source-encryption-${name}`]
    return value === undefined ? [] : [`x-ms-encryption-${name}`, value]
  })
}

function askedEncryption({ headers }: Pick<StorageRequest, 'headers'>): Encryption | undefined {
  const scope = headers['x-ms-encryption-scope']
  const keySha256 = keyIn(headers, 'x-ms-encryption-')
  if (scope !== undefined && keySha256 !== undefined) {
    throw invalidHeader('x-ms-encryption-scope', scope)
  }
  return scope === undefined && keySha256 === undefined ? undefined : { scope, keySha256 }
}

/** The sum of the key that headers bring whole: 400 for a part of them, another sum or another algorithm. */
function keyIn(headers: StorageRequest['headers'], prefix: string): string | undefined {
  const key = headers[`${prefix}key`]
  const sha256 = headers[`${prefix}key-sha256`]
  if (key === undefined && sha256 === undefined) return undefined
  const algorithm = headers[`${prefix}algorithm`]
  if (key === undefined) throw missingHeader(`${prefix}key`)
  if (sha256 === undefined) throw missingHeader(`${prefix}key-sha256`)
  const bytes = Buffer.from(key, 'base64')
  if (bytes.byteLength !== 32) throw invalidHeader(`${prefix}key`, 'REDACTED')
  if (createHash('sha256').update(bytes).digest('base64') !== sha256) {
    throw invalidHeader(`${prefix}key-sha256`, sha256)
  }
  if (algorithm !== undefined && algorithm !== 'AES256') {
    throw invalidHeader(`${prefix}algorithm`, algorithm)
  }
  return sha256
}
