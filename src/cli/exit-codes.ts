import { isFileSystemError } from '../errors.ts'

/** What the exit code of `abfs` says. */
export const exitCodes = {
  ok: 0,
  failure: 1,
  usage: 2,
  notFound: 3,
  denied: 4,
  unavailable: 5,
  conflict: 6,
  wouldDeny: 7,
  interrupted: 130,
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** Ends the program with the status of another one, which has said itself what there was to say. */
export class ExitStatus extends Error {
  readonly status: number

  constructor(status: number) {
    super(`ended with status ${status}`)
    this.status = status
  }
}

/** The table that `abfs --help` prints. */
export const exitCodesHelp: string = `Exit codes:
  0    done
  1    failed
  2    wrong usage: an argument, flag or setting cannot be used
  3    not found: the account, container, blob, file or drive does not exist
  4    denied: the caller is unknown, or may not do this
  5    unavailable: the connector or Azure did not answer; trying again may help
  6    conflict: it exists already, is not empty, is in use, or changed meanwhile
  7    would be denied: what connector policy test was answered
  130  interrupted
abfs exec ends with its command's code: 128 and the signal's number when a signal ended it, 126 when
it cannot be run, 127 when it is not found.`

/** The exit code that tells `error`. */
export function exitCodeOf(error: unknown): ExitCode {
  if (isAbort(error)) return exitCodes.interrupted
  if (isFileSystemError(error) && USAGE_CALLS.has(error.syscall)) return exitCodes.usage
  if (isFileSystemError(error) && error.retryable) return exitCodes.unavailable
  return BY_CODE[codeOf(error)] ?? exitCodes.failure
}

/** The `code` of a `FileSystemError` or a Node error; empty when it has none. */
export function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : ''
}

/** Whether `error` says that the user interrupted the work. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError'
}

/** Operations that look at what the user typed before anything is asked of anyone. */
const USAGE_CALLS: ReadonlySet<string> = new Set(['config', 'usage', 'url'])

const BY_CODE: Readonly<Record<string, ExitCode>> = {
  EINVAL: exitCodes.usage,
  ENAMETOOLONG: exitCodes.usage,
  ENOENT: exitCodes.notFound,
  ENOTDIR: exitCodes.notFound,
  EACCES: exitCodes.denied,
  EPERM: exitCodes.denied,
  EROFS: exitCodes.denied,
  ETIMEDOUT: exitCodes.unavailable,
  EEXIST: exitCodes.conflict,
  EISDIR: exitCodes.conflict,
  ENOTEMPTY: exitCodes.conflict,
  ESTALE: exitCodes.conflict,
  EBUSY: exitCodes.conflict,
  EADDRINUSE: exitCodes.conflict,
}
