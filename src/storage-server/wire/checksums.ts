import { createHash } from 'node:crypto'
import { crc64Header, md5Header } from './content-headers.ts'
import { crc64 } from './crc64.ts'
import { refusal } from './refusals.ts'
import type { StorageRequest } from './request.ts'

/** Base64 of the MD5. */
export function md5(data: Uint8Array): string {
  return createHash('md5').update(data).digest('base64')
}

/**
 * Checks a body against `Content-MD5` and `x-ms-content-crc64`: 400 `Md5Mismatch`,
 * `Crc64Mismatch`; 400 `UnsupportedHeader` for a framed body. Returns the headers that confirm what was checked.
 */
export function checkBody(
  request: StorageRequest,
  data: Uint8Array,
): Readonly<Record<string, string | undefined>> {
  // Framed bodies with checksums inside are not read: taken as they are they would be stored wrong.
  const framed = request.headers['x-ms-structured-body']
  if (framed !== undefined) {
    throw refusal('UnsupportedHeader', { details: { HeaderName: 'x-ms-structured-body' } })
  }
  const wantedMd5 = md5Header(request.headers, 'content-md5')
  const wantedCrc = crc64Header(request.headers, 'x-ms-content-crc64')
  if (wantedMd5 !== undefined && wantedMd5 !== md5(data)) throw refusal('Md5Mismatch')
  if (wantedCrc !== undefined && wantedCrc !== crc64(data)) throw refusal('Crc64Mismatch')
  return { 'content-md5': wantedMd5, 'x-ms-content-crc64': wantedCrc }
}
