import { FileSystemError, isFileSystemError } from '../errors.ts'

/** What is read is not what the service writes. */
export function damaged(what: string, cause?: unknown): FileSystemError {
  return new FileSystemError('EIO', 'changes', {
    detail: `the change feed is damaged: ${what}`,
    cause,
  })
}

/** `error` of the file `path`, in the block that begins at `offset`; others as they are. */
export function damagedAt(path: string, offset: number, error: unknown): unknown {
  if (!isFileSystemError(error, 'EIO') || error.syscall !== 'changes') return error
  const what = error.message.replace(/^EIO: /, '').replace(/, changes$/, '')
  const detail = `${what}, in what begins at byte ${offset}`
  return new FileSystemError('EIO', 'changes', { path, detail, cause: error })
}
