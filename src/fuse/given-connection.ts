/**
 * libfuse's convention for mounts without privileges: another process has opened /dev/fuse and called
 * mount(2), and passes the descriptor. Whoever mounted unmounts; here the connection is served.
 */
import { fstatSync } from 'node:fs'
import { type ErrnoCode, FileSystemError } from '../errors.ts'
import type { FileOperations } from '../vfs/operations.ts'
import { maxRequestBytes } from './limits.ts'
import { NativeFuseChannel } from './native-channel.ts'
import { Session } from './session.ts'

/** How a connection is served: what of a mount's options is not the mounting process's to choose. */
export interface GivenConnectionOptions {
  readonly timeoutMs: number
  readonly readOnly: boolean
  readonly passthrough: boolean
}

/** A connection that is served. */
export interface GivenConnection {
  /** Names it on this machine: `/proc/PID/fd/N`. */
  readonly place: string
  readonly session: Session
}

/** Throws EBADF when nothing is open there, EINVAL when it is not /dev/fuse. */
export function checkGiven(descriptor: number): void {
  if (descriptor < 3)
    throw refusal('EINVAL', descriptor, 'descriptors 0 to 2 are the standard ones')
  try {
    const { rdev } = fstatSync(descriptor)
    if (rdev === fuseDevice) return
  } catch (error) {
    throw refusal('EBADF', descriptor, 'the process was started without it', error)
  }
  throw refusal('EINVAL', descriptor, 'it is not /dev/fuse')
}

/** Linux gives it this one number: character device 10, 229. */
const fuseDevice = (10 << 8) | 229

/** Serves `operations` behind `descriptor`, which becomes this call's. Resolves when the kernel has agreed. */
export async function serveGiven(
  operations: FileOperations,
  descriptor: number,
  { timeoutMs, ...how }: GivenConnectionOptions,
): Promise<GivenConnection> {
  checkGiven(descriptor)
  const channel = new NativeFuseChannel(descriptor, { timeoutMs })
  const session = new Session(channel, operations, { ...how, maxReadAheadBytes: maxRequestBytes })
  try {
    session.start()
    await session.ready
  } catch (error) {
    channel.close()
    throw error
  }
  return { session, place: `/proc/${process.pid}/fd/${descriptor}` }
}

function refusal(code: ErrnoCode, descriptor: number, why: string, cause?: unknown) {
  const detail = `${why}: open /dev/fuse, mount(2) with fd=${descriptor}, and start abfs with descriptor ${descriptor} open`
  return new FileSystemError(code, 'mount', { path: `/dev/fd/${descriptor}`, detail, cause })
}
