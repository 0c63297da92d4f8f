import { FileSystemError } from '../../errors.ts'
import { StorageError } from '../wire/storage-error.ts'

/** A directory that cannot be used as it is, with what to do about it: an `EIO`. */
export function damaged(path: string, detail: string): FileSystemError {
  return new FileSystemError('EIO', 'storage.open', { path, detail })
}

/** What a client is told when its bytes could not be written: 507 while there is no room. */
export function writeFailed(cause: unknown): unknown {
  if (!isFull(cause)) return cause
  return new StorageError(
    507,
    'InsufficientStorage',
    'The disk of this storage server is full. Nothing that was acknowledged is lost; free some room and repeat the request.',
  )
}

function isFull(cause: unknown): boolean {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  return code === 'ENOSPC' || code === 'EDQUOT'
}
