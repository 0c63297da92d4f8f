import { MiB } from '../byte-range.ts'
import { nextTurn } from '../clock.ts'
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { AzureCall } from './azure-client.ts'
import { baseHeaders, listQuery, startFromVersion } from './azure-request.ts'
import { scanInTurns } from './list-scanner.ts'
import { scanDirectories } from './scan-directories.ts'
import type { ListOptions, ListPage } from './store.ts'

const operation = 'blob.list'
/** 5,000 entries with 8 KiB of metadata each, in XML. */
const maxListPageBytes = 128 * MiB

/** List Blobs; its answer lies in `room` if there is room for it. */
export function listCall(
  { container, name }: BlobPath,
  options: ListOptions,
  room: Uint8Array | undefined,
): AzureCall {
  const headers = baseHeaders()
  if (options.startFrom !== undefined) headers['x-ms-version'] = startFromVersion
  return {
    operation,
    method: 'GET',
    path: { container, name: '' },
    headers,
    query: listQuery(name, options),
    maxBodyBytes: maxListPageBytes,
    room,
    signal: options.signal,
  }
}

/** The page that an answer to `listCall` is; `EIO` when it cannot be read. */
export async function readListing(
  page: Buffer,
  prefix: BlobPath,
  options: ListOptions,
): Promise<ListPage> {
  const directories = options.directoriesOnly === true ? scanDirectories(page) : undefined
  if (directories !== undefined) return directories
  try {
    return await scanInTurns(page, { ...options, pause: nextTurn })
  } catch (cause) {
    throw unreadable(prefix, cause)
  }
}

function unreadable(prefix: BlobPath, cause: unknown): FileSystemError {
  const detail = 'the service sent a listing that cannot be read'
  return new FileSystemError('EIO', operation, { path: formatPath(prefix), detail, cause })
}
