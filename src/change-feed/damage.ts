import { FileSystemError } from '../errors.ts'

/** What is read is not what the service writes. */
export function damaged(what: string, cause?: unknown): FileSystemError {
  return new FileSystemError('EIO', 'changes', {
    detail: `the change feed is damaged: ${what}`,
    cause,
  })
}
