import { FileSystemError } from '../errors.ts'

/** The error for what was typed wrongly: exit code 2. `detail` says what was expected. */
export function usageError(detail: string, cause?: unknown): FileSystemError {
  return new FileSystemError('EINVAL', 'usage', { detail, cause })
}
