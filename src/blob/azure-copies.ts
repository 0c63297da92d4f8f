import type { Clock } from '../clock.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import type { HttpResponse } from '../http/handler.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { AzureCall } from './azure-client.ts'
import {
  addConditions,
  addMetadata,
  addTierAndTags,
  baseHeaders,
  resourceUrl,
} from './azure-request.ts'
import { propertiesFrom } from './azure-response.ts'
import type { EncryptionScopes } from './encryption-scopes.ts'
import type { CopiedProperties, CopyOptions } from './store.ts'

interface CopyParts {
  readonly base: string
  readonly clock: Clock
  readonly call: (call: AzureCall) => Promise<HttpResponse>
  readonly scopes: Pick<EncryptionScopes, 'of'>
}

interface Copy {
  readonly from: BlobPath
  readonly to: BlobPath
}

const operation = 'blob.copy'
const pollIntervalMs = 500

/**
 * Copy Blob. Within one account a copy is nearly always complete with the answer, which then tells the
 * version that was made; otherwise the blob itself is asked until it is.
 */
export async function copyWithin(
  parts: CopyParts,
  copy: Copy,
  options: CopyOptions,
): Promise<CopiedProperties> {
  const scope = await parts.scopes.of(resourceUrl(parts.base, copy.from), options.signal)
  if (scope === undefined) return copyPlainly(parts, copy, options)
  const call = copyCall(parts.base, copy, options)
  const inScope = { ...call.headers, 'x-ms-requires-sync': 'true', 'x-ms-encryption-scope': scope }
  try {
    const { headers } = await parts.call({ ...call, headers: inScope })
    return copiedFrom(headers)
  } catch (error) {
    // Of more than 256 MiB the service makes no such copy.
    if (!isFileSystemError(error, 'EFBIG')) throw error
    return copyByDefault(parts, copy, { ...options, scope })
  }
}

type ScopedOptions = CopyOptions & { readonly scope: string }

/**
 * A copy that its container's default encrypts, where that is what the source has. Who may not ask for the container's
 * finds it out by the copy: where it is another, that is deleted, unless it took the place of something.
 */
async function copyByDefault(
  parts: CopyParts,
  copy: Copy,
  { scope, ...options }: ScopedOptions,
): Promise<CopiedProperties> {
  const usual = await defaultScope(parts, copy.to, options)
  if (usual === undefined) return copyOnTrial(parts, copy, { ...options, scope })
  if (usual !== scope) throw outOfScope(copy, scope)
  return copyPlainly(parts, copy, options)
}

/** The scope of what is put into a container; `undefined` where a credential is for its blobs alone. */
async function defaultScope(
  parts: CopyParts,
  { container }: BlobPath,
  { signal }: CopyOptions,
): Promise<string | undefined> {
  const path = { container, name: '' }
  const query = '?restype=container'
  try {
    const { headers } = await parts.call({ operation, method: 'HEAD', path, query, signal })
    return headers['x-ms-default-encryption-scope']
  } catch (error) {
    if (!isFileSystemError(error, 'EACCES')) throw error
    return undefined
  }
}

async function copyOnTrial(
  parts: CopyParts,
  copy: Copy,
  { scope, ...options }: ScopedOptions,
): Promise<CopiedProperties> {
  const { signal } = options
  const isNew = options.ifNoneMatch !== undefined || !(await exists(parts, copy.to, signal))
  const ifNoneMatch = isNew ? '*' : undefined
  const made = await copyPlainly(parts, copy, { ...options, ifNoneMatch })
  const { headers } = await parts.call({ operation, method: 'HEAD', path: copy.to, signal })
  if (headers['x-ms-encryption-scope'] === scope) return made
  const ours = addConditions(baseHeaders(), { ifMatch: made.etag })
  const remove = { operation: 'blob.delete', method: 'DELETE', path: copy.to } as const
  if (isNew) await parts.call({ ...remove, headers: ours })
  throw outOfScope(copy, scope)
}

async function exists(
  parts: CopyParts,
  path: BlobPath,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    await parts.call({ operation, method: 'HEAD', path, signal })
    return true
  } catch (error) {
    if (isFileSystemError(error, 'ENOENT')) return false
    throw error
  }
}

async function copyPlainly(
  parts: CopyParts,
  copy: Copy,
  options: CopyOptions,
): Promise<CopiedProperties> {
  let { headers } = await parts.call(copyCall(parts.base, copy, options))
  while (headers['x-ms-copy-status'] === 'pending') {
    await parts.clock.sleep(pollIntervalMs, options.signal)
    const { signal } = options
    headers = (await parts.call({ operation, method: 'HEAD', path: copy.to, signal })).headers
  }
  const status = headers['x-ms-copy-status'] ?? 'success'
  if (status !== 'success') {
    throw gaveUp(copy, headers['x-ms-copy-status-description'] ?? status)
  }
  return copiedFrom(headers)
}

function copiedFrom(headers: HttpResponse['headers']): CopiedProperties {
  const { etag, lastModifiedMs } = propertiesFrom(headers)
  return { etag, lastModifiedMs }
}

function copyCall(base: string, { from, to }: Copy, options: CopyOptions): AzureCall {
  const headers = addMetadata(addConditions(baseHeaders(), options), options.metadata)
  addTierAndTags(headers, options)
  headers['x-ms-copy-source'] = resourceUrl(base, from).href
  const { sourceIfMatch, signal } = options
  if (sourceIfMatch !== undefined) headers['x-ms-source-if-match'] = sourceIfMatch
  return {
    operation,
    method: 'PUT',
    path: from,
    dest: to,
    url: resourceUrl(base, to),
    headers,
    body: new Uint8Array(0),
    // A destination in the way is told as 409; a 412 is then about the source.
    mustNotExist: options.ifNoneMatch !== undefined && sourceIfMatch === undefined,
    signal,
  }
}

function outOfScope({ from, to }: Copy, scope: string): FileSystemError {
  const detail =
    `the service copies no blob of more than 256 MiB within the encryption scope ${scope}, unless that is the ` +
    'default of the container that it goes to'
  return new FileSystemError('ENOTSUP', operation, {
    path: formatPath(from),
    dest: formatPath(to),
    detail,
  })
}

function gaveUp({ from, to }: Copy, reason: string): FileSystemError {
  return new FileSystemError('EIO', operation, {
    path: formatPath(from),
    dest: formatPath(to),
    detail: `the service gave the copy up: ${reason}`,
  })
}
