import type { Clock } from '../clock.ts'
import { FileSystemError } from '../errors.ts'
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
import type { CopiedProperties, CopyOptions } from './store.ts'

interface CopyParts {
  readonly base: string
  readonly clock: Clock
  readonly call: (call: AzureCall) => Promise<HttpResponse>
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

function gaveUp({ from, to }: Copy, reason: string): FileSystemError {
  return new FileSystemError('EIO', operation, {
    path: formatPath(from),
    dest: formatPath(to),
    detail: `the service gave the copy up: ${reason}`,
  })
}
