import { type ErrnoCode, FileSystemError } from '../errors.ts'
import type { NearDisk } from '../transfer/near-disk.ts'

const codes: ReadonlySet<string> = new Set<ErrnoCode>([
  'EACCES',
  'EBADF',
  'EBUSY',
  'EEXIST',
  'EFBIG',
  'EINTR',
  'EINVAL',
  'EISDIR',
  'ENAMETOOLONG',
  'ENOENT',
  'ENOSPC',
  'ENOTDIR',
  'ENOTEMPTY',
  'EPERM',
  'EREMOTEIO',
  'EROFS',
  'ETIMEDOUT',
  'EXDEV',
])

/** Node's error for `path` as the one that crosses folders; what is no system error stays. */
export function localError(error: unknown, path: string): unknown {
  if (error instanceof FileSystemError || !isSystemError(error)) return error
  const syscall = error.syscall ?? 'open'
  if (isErrnoCode(error.code))
    return new FileSystemError(error.code, syscall, { path, cause: error })
  return new FileSystemError('EIO', syscall, { path, detail: error.message, cause: error })
}

/** Whether Node says that nothing has that name. */
export function isMissing(error: unknown): boolean {
  return isSystemError(error) && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}

/** Runs `work`; a failure of the local disk becomes a `FileSystemError` about `path`. */
export async function onLocalDisk<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw localError(error, path)
  }
}

/** The same of short synchronous calls on a disk that is near. */
export function runNear<T>(disk: NearDisk, path: string, work: () => T): T {
  try {
    return disk.run(work)
  } catch (error) {
    throw localError(error, path)
  }
}

interface SystemError extends Error {
  readonly code: string
  readonly syscall?: string
}

function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && 'errno' in error && 'code' in error
}

function isErrnoCode(code: string): code is ErrnoCode {
  return codes.has(code)
}
