/** What becomes of calls that do not go as they should, and of which that may be. */
import { constants } from 'node:os'
import { KiB } from '../byte-range.ts'
import { errnoOf, FileSystemError } from '../errors.ts'
import { type FaultEvent, faultChannel } from '../telemetry.ts'
import { FUSE_KERNEL_VERSION, minKernelMinor, opcodes } from './abi.ts'
import type { Call } from './call.ts'
import type { Message } from './reply.ts'

/** The errno that the caller gets. What is neither an answer nor an interruption is reported. */
export function errnoOfFailure(error: unknown, call: Call): number {
  const isAnswer = error instanceof FileSystemError
  const isInterruption = call.interrupted && error instanceof Error && error.name === 'AbortError'
  // Nobody is told the outcome of a release.
  const unheard = call.kind === 'release' || call.kind === 'releasedir'
  if (unheard || !(isAnswer || isInterruption)) reportFault(call.kind, call.header.nodeid, error)
  if (isAnswer) return errnoOf(error.code)
  return isInterruption ? constants.errno.EINTR : constants.errno.EIO
}

/** Tells those who watch over the mount of what no caller hears. */
export function reportFault(operation: string, nodeid: number, error: unknown): void {
  const event: FaultEvent = {
    operation: `fuse.${operation}`,
    path: `inode ${nodeid}`,
    error: error instanceof Error ? error : new Error(String(error), { cause: error }),
  }
  faultChannel.publish(event)
}

/** The kernel cannot be served. */
export function tooOld(request: {
  readonly major: number
  readonly minor: number
}): FileSystemError {
  const detail =
    `the kernel speaks FUSE ${request.major}.${request.minor}, ` +
    `${FUSE_KERNEL_VERSION}.${minKernelMinor} or later (Linux 5.4) is needed`
  return new FileSystemError('ENOTSUP', 'mount', { detail })
}

/** Its mounts end with the process that serves them. */
export function noFailover(): FileSystemError {
  const detail = '--failover needs a kernel that sends requests again: Linux 6.9 or later'
  return new FileSystemError('ENOTSUP', 'mount', { detail })
}

/** There is nobody to serve. */
export function hungUp(cause: Error | undefined): FileSystemError {
  const detail = 'the kernel ended the connection before the mount was ready'
  return new FileSystemError('EIO', 'mount', { detail, cause })
}

/** Copying less takes no longer than handing it to another thread. */
const longReplyBytes = 128 * KiB

/** Whether copying `reply` is worth another thread. */
export function isLong(call: Call, reply: Message): boolean {
  if (call.kind !== 'read') return false
  return reply.reduce((sum, part) => sum + part.length, 0) >= longReplyBytes
}

/** Interrupts that are remembered for requests to come. */
export const maxEarlyInterrupts = 256

/** Requests that the kernel expects no reply to. */
export const withoutReply: ReadonlySet<number> = new Set([
  opcodes.forget,
  opcodes.batchForget,
  opcodes.interrupt,
])

/** Calls whose deadline no answer of the service prolongs: they wait for few, or for memory alone. */
export const ofOneAnswer: ReadonlySet<string> = new Set([
  'lookup',
  'getattr',
  'read',
  'readlink',
  'statfs',
  'getxattr',
  'listxattr',
  'releasedir',
])

/** Calls that go on when the mount is gone: what they save was promised to a caller. */
export const mayBeSaving: ReadonlySet<string> = new Set(['write', 'flush', 'fsync', 'release'])

/** Refusals of a reply that say: nobody waits for it any more. */
export const goneErrnos: ReadonlySet<number> = new Set([
  constants.errno.ENOENT,
  constants.errno.ENODEV,
  constants.errno.EPERM,
  constants.errno.EBADF,
  constants.errno.ECONNABORTED,
])
