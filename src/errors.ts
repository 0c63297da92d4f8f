import { constants } from 'node:os'

/** The errno names that abfs reports; the words that Node's own `fs` errors and the kernel use. */
export type ErrnoCode =
  | 'EACCES'
  | 'EAGAIN'
  | 'EBADF'
  | 'EBADMSG'
  | 'EBUSY'
  | 'EEXIST'
  | 'EFBIG'
  | 'EINTR'
  | 'EINVAL'
  | 'EIO'
  | 'EISDIR'
  | 'ENAMETOOLONG'
  | 'ENOENT'
  | 'ENOSPC'
  | 'ENOSYS'
  | 'ENOTDIR'
  | 'ENOTEMPTY'
  | 'ENOTSUP'
  | 'EPERM'
  | 'EREMOTEIO'
  | 'EROFS'
  | 'ESTALE'
  | 'ETIMEDOUT'
  | 'EXDEV'

/** What happened beyond the errno name. */
export interface FileSystemErrorOptions {
  /** What the user reads after `CODE, `: the cause and what to do, without secrets. */
  readonly detail?: string
  readonly path?: string
  /** The second path of a copy or rename. */
  readonly dest?: string
  /** Azure's `x-ms-error-code`. */
  readonly serviceCode?: string
  /** Azure's `x-ms-request-id`. */
  readonly requestId?: string
  /** The HTTP status that Azure answered. */
  readonly statusCode?: number
  /** Whether the same call may succeed if it is made again later. */
  readonly retryable?: boolean
  readonly cause?: unknown
}

/**
 * The one error that crosses folders. It has the shape of a Node `fs` error: `code` is the errno
 * name, `errno` its negative number on this platform, `syscall` the operation (`blob.get`, `open`).
 * Programs test `code`, never the message.
 */
export class FileSystemError extends Error {
  override readonly name = 'FileSystemError'
  readonly code: ErrnoCode
  readonly errno: number
  readonly syscall: string
  readonly path: string | undefined
  readonly dest: string | undefined
  readonly serviceCode: string | undefined
  readonly requestId: string | undefined
  readonly statusCode: number | undefined
  readonly retryable: boolean

  constructor(code: ErrnoCode, syscall: string, options: FileSystemErrorOptions = {}) {
    super(
      describe(code, syscall, options),
      options.cause === undefined ? undefined : { cause: options.cause },
    )
    this.code = code
    this.errno = -errnoOf(code)
    this.syscall = syscall
    this.path = options.path
    this.dest = options.dest
    this.serviceCode = options.serviceCode
    this.requestId = options.requestId
    this.statusCode = options.statusCode
    this.retryable = options.retryable ?? false
  }
}

/** Linux's, which `node:os` leaves out. */
const remoteIo = 121

/** The positive errno number of a name on this platform. */
export function errnoOf(code: ErrnoCode): number {
  return code === 'EREMOTEIO' ? remoteIo : constants.errno[code]
}

/** Whether `error` is a `FileSystemError` with one of `codes` (any code when none is given). */
export function isFileSystemError(
  error: unknown,
  ...codes: readonly ErrnoCode[]
): error is FileSystemError {
  return error instanceof FileSystemError && (codes.length === 0 || codes.includes(error.code))
}

function describe(code: ErrnoCode, syscall: string, options: FileSystemErrorOptions): string {
  const path = options.path === undefined ? '' : ` '${options.path}'`
  const dest = options.dest === undefined ? '' : ` -> '${options.dest}'`
  const service = options.serviceCode === undefined ? '' : ` [${options.serviceCode}]`
  const request = options.requestId === undefined ? '' : ` (request ${options.requestId})`
  const detail = options.detail ?? PHRASES[code]
  return `${code}: ${detail}, ${syscall}${path}${dest}${service}${request}`
}

const PHRASES: Record<ErrnoCode, string> = {
  EACCES: 'permission denied',
  EAGAIN: 'resource is locked',
  EBADF: 'bad file handle',
  EBADMSG: 'the bytes are not those that were written',
  EBUSY: 'resource busy or leased',
  EEXIST: 'file already exists',
  EFBIG: 'file too large',
  EINTR: 'interrupted call',
  EINVAL: 'invalid argument',
  EIO: 'input/output error',
  EISDIR: 'is a directory',
  ENAMETOOLONG: 'name too long',
  ENOENT: 'no such file or directory',
  ENOSPC: 'no space left on device',
  ENOSYS: 'function not implemented',
  ENOTDIR: 'not a directory',
  ENOTEMPTY: 'directory not empty',
  ENOTSUP: 'operation not supported',
  EPERM: 'operation not permitted',
  EREMOTEIO: 'the bytes are in the archive',
  EROFS: 'read-only file system',
  ESTALE: 'the blob changed since it was opened',
  ETIMEDOUT: 'operation timed out',
  EXDEV: 'source and destination are in different containers',
}
