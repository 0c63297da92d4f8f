import { FileSystemError, isFileSystemError } from '../errors.ts'

/** What is read is not what the service writes. */
export function damaged(what: string, cause?: unknown): FileSystemError {
  return new FileSystemError('EIO', 'changes', {
    detail: `the change feed is damaged: ${what}`,
    cause,
  })
}

/** Whether `error` says that what was read is not what the service writes. */
export function isDamage(error: unknown): error is FileSystemError {
  return isFileSystemError(error, 'EIO') && error.syscall === 'changes'
}

/** `error` of the file `path`, in the block that begins at `offset`. */
export function damagedAt(path: string, offset: number, error: FileSystemError): FileSystemError {
  const what = error.message.replace(/^EIO: /, '').replace(/, changes$/, '')
  const detail = `${what}, in what begins at byte ${offset}`
  return new FileSystemError('EIO', 'changes', { path, detail, cause: error })
}
