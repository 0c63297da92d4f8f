import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { type FaultEvent, faultChannel } from '../telemetry.ts'

/** A version of a file that is not in Azure. */
export interface Unsaved {
  readonly path: string
  readonly error: FileSystemError
  /** Where it is kept; `undefined` when it is lost, or is `pending` and nowhere but in this mount. */
  readonly place: string | undefined
  /** It may be stored yet: it is tried again, or whoever has the file open may close it again. */
  readonly isPending?: true | undefined
  /** It is the removal of a file that could not be stored: there is nothing of it to keep. */
  readonly isRemoval?: true | undefined
}

/** Tells the log of a failure that no caller is left for, or that has more to it than an errno says. */
export function publishFault(operation: string, path: BlobPath, cause: unknown): void {
  const error = cause instanceof Error ? cause : new Error(String(cause))
  faultChannel.publish({ operation, path: formatPath(path), error } satisfies FaultEvent)
}

/** What a call, or the next one, fails with when `cause` is why something is not stored. */
export function asFailure(cause: unknown, syscall: string, path: BlobPath): FileSystemError {
  if (cause instanceof FileSystemError) return cause
  const detail = 'what was written could not be stored'
  return new FileSystemError('EIO', syscall, { path: formatPath(path), detail, cause })
}
