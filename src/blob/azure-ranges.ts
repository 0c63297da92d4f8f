import type { ByteRange } from '../byte-range.ts'
import { FileSystemError } from '../errors.ts'
import type { HttpResponse } from '../http/handler.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { AzureCall } from './azure-client.ts'
import { baseHeaders, formerQuery, rangeHeader } from './azure-request.ts'
import { propertiesFrom } from './azure-response.ts'
import type { BlobContent, GetOptions } from './store.ts'
import { maxBlobPutBytes } from './validate.ts'

/** The request for a range of a blob, or for all of it. */
export function rangeCall(
  { path, url }: { readonly path: BlobPath; readonly url: URL },
  { range, former, ifMatch, into, signal }: GetOptions,
): AzureCall {
  const headers = baseHeaders()
  if (ifMatch !== undefined) headers['if-match'] = ifMatch
  if (range !== undefined) headers['x-ms-range'] = rangeHeader(range)
  const length = range === undefined ? 0 : range.end - range.start
  const isLong = range === undefined || range.end === Number.MAX_SAFE_INTEGER
  const isLonger = range !== undefined && into !== undefined && into.length !== length
  return {
    operation: 'blob.get',
    method: 'GET',
    path,
    url: former === undefined ? url : undefined,
    query: formerQuery(former),
    headers,
    into: isLonger ? into.subarray(0, length) : into,
    maxBodyBytes: isLong ? maxBlobPutBytes : length,
    signal,
    accept: range === undefined ? undefined : 416,
  }
}

/** Checks that the answer is the range asked for: a wrong one would be silent corruption. */
export function contentFrom(
  response: HttpResponse,
  path: BlobPath,
  range: ByteRange | undefined,
): BlobContent {
  const properties = propertiesFrom(response.headers)
  const asked = { range, sizeBytes: properties.sizeBytes }
  checkLength(response.body.length, path, asked)
  checkStatus(response.status, path, asked)
  return { data: response.body, properties }
}

/** What was asked for, of how much there is. */
export interface Asked {
  readonly range: ByteRange | undefined
  readonly sizeBytes: number
}

/** Rejects a body that is not as long as the range asked for. */
export function checkLength(received: number, path: BlobPath, { range, sizeBytes }: Asked): void {
  const { start, end } = range ?? { start: 0, end: sizeBytes }
  const expected = Math.max(0, Math.min(end, sizeBytes) - start)
  if (received !== expected) throw wrongRange(path, { range, sizeBytes }, `${received}`)
}

/** A server that ignores the range sends the blob from its beginning. */
export function checkStatus(status: number, path: BlobPath, asked: Asked): void {
  if (status === 200 && (asked.range?.start ?? 0) > 0) throw wrongRange(path, asked, 'all')
}

function wrongRange(path: BlobPath, { range, sizeBytes }: Asked, got: string): FileSystemError {
  const { start, end } = range ?? { start: 0, end: sizeBytes }
  return new FileSystemError('EIO', 'blob.get', {
    path: formatPath(path),
    detail: `asked for bytes ${start} to ${end} of ${sizeBytes}, got ${got}`,
    retryable: true,
  })
}
