import { FileSystemError } from '../errors.ts'
import { type FileInfo, urlOf } from './file-info.ts'

/** A time of `info`; `ENOTSUP` where the service keeps none. */
export function timeOf(info: FileInfo, which: 'created' | 'modified'): Date {
  const time = which === 'created' ? info.created : modifiedOf(info)
  if (time !== undefined) return time
  const detail = `the service keeps no time of this ${info.type}`
  throw new FileSystemError('ENOTSUP', which, { path: urlOf(info.name), detail })
}

/** See `AzureBlobFileSystem.checksum`; `EISDIR` for directories. */
export function checksumOf(info: FileInfo): string {
  if (info.type === 'directory') throw directory(info, 'checksum')
  return info.contentMd5 === undefined ? `etag:${info.etag}` : `md5:${info.contentMd5}`
}

/** See `AzureBlobFileSystem.ukey`; `EISDIR` for directories. */
export function uniqueKeyOf(info: FileInfo): string {
  if (info.type === 'directory' || info.etag === undefined) throw directory(info, 'ukey')
  return info.etag.replaceAll('"', '')
}

/** Where metadata keeps an exact time it is the file's own, and the service's otherwise. */
function modifiedOf({ mtimeNs, lastModified }: FileInfo): Date | undefined {
  return mtimeNs === undefined ? lastModified : new Date(Number(mtimeNs / 1_000_000n))
}

function directory(info: FileInfo, syscall: string): FileSystemError {
  const detail = 'directories have no content to compare'
  return new FileSystemError('EISDIR', syscall, { path: urlOf(info.name), detail })
}
