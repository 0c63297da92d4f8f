import type { ContentHeaders } from '../model/record.ts'
import { invalidHeader, refusal } from './refusals.ts'
import type { StorageRequest } from './request.ts'

/** The `x-ms-blob-…` content headers of a request; what is absent is `undefined`. */
export function readContentHeaders({ headers }: StorageRequest): ContentHeaders {
  return {
    contentType: headers['x-ms-blob-content-type'],
    contentEncoding: headers['x-ms-blob-content-encoding'],
    contentLanguage: headers['x-ms-blob-content-language'],
    contentDisposition: headers['x-ms-blob-content-disposition'],
    cacheControl: headers['x-ms-blob-cache-control'],
    contentMd5: md5Header(headers, 'x-ms-blob-content-md5'),
  }
}

/** As for a new blob: the standard headers count where the blob's own are absent. */
export function readNewContentHeaders(request: StorageRequest): ContentHeaders {
  const { headers } = request
  const own = readContentHeaders(request)
  return {
    contentType: own.contentType ?? headers['content-type'] ?? 'application/octet-stream',
    contentEncoding: own.contentEncoding ?? headers['content-encoding'],
    contentLanguage: own.contentLanguage ?? headers['content-language'],
    contentDisposition: own.contentDisposition,
    cacheControl: own.cacheControl ?? headers['cache-control'],
    contentMd5: own.contentMd5,
  }
}

/** A base64 MD5 in a header: 400 `InvalidMd5` when it is none. An empty header is as none. */
export function md5Header(headers: StorageRequest['headers'], name: string): string | undefined {
  const value = headers[name]
  if (value === undefined || value === '') return undefined
  if (!/^[A-Za-z0-9+/]{22}==$/.test(value)) throw refusal('InvalidMd5')
  return value
}

/** A base64 CRC64 in a header: 400 `InvalidHeaderValue` when it is none. Empty is as none. */
export function crc64Header(headers: StorageRequest['headers'], name: string): string | undefined {
  const value = headers[name]
  if (value === undefined || value === '') return undefined
  if (!/^[A-Za-z0-9+/]{11}=$/.test(value)) throw invalidHeader(name, value)
  return value
}
