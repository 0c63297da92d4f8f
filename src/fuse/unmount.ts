import { constants } from 'node:os'
import { FileSystemError } from '../errors.ts'
import { unmountByHelper } from './fusermount.ts'
import { isGivenPlace } from './given-place.ts'
import { canonicalMountpoint, findMount, ourMountType } from './mount-table.ts'
import { loadNativeMounting } from './native-channel.ts'

/** How to unmount. */
export interface UnmountOptions {
  /** Detaches at once, even while files are open; the mount goes when the last is closed. */
  readonly lazy?: boolean | undefined
}

/**
 * Unmounts the drive at `mountpoint`, from any process. Rejects with ENOENT when there is no such
 * path, or nothing mounted there, EINVAL when what is mounted there is no drive, EBUSY when it is in use and
 * `lazy` is not set, EPERM when it is another user's.
 */
export async function unmount(mountpoint: string, options: UnmountOptions = {}): Promise<void> {
  const place = await placeOf(mountpoint)
  const record = await findMount(place)
  if (isGivenPlace(place)) throw refusal('EINVAL', place, givenAdvice)
  if (record === undefined) throw refusal('ENOENT', place, 'nothing is mounted there')
  if (record.type !== ourMountType) {
    throw refusal('EINVAL', place, `what is mounted there is ${record.type}, not a drive of abfs`)
  }
  await detach(place, options.lazy ?? false)
}

const givenAdvice =
  'another process has mounted it and unmounts it; SIGTERM to its daemon stores what was written'

/** Takes away what is mounted on top at `place`, a canonical path, whatever it is. */
export async function detach(place: string, lazy: boolean): Promise<void> {
  try {
    if (isRoot()) await detachAsRoot(place, lazy)
    else await unmountByHelper(place, lazy)
  } catch (error) {
    if (!(error instanceof FileSystemError && error.code === 'EBUSY')) throw error
    throw inUse(place, error)
  }
}

/** Whether this process may mount by itself. */
export function isRoot(): boolean {
  return process.geteuid?.() === 0
}

async function detachAsRoot(place: string, lazy: boolean): Promise<void> {
  const result = await loadNativeMounting().unmount(place, lazy)
  if (result === 0) return
  if (-result === constants.errno.EBUSY) throw refusal('EBUSY', place)
  if (-result === constants.errno.EINVAL) throw refusal('ENOENT', place, 'it is no longer mounted')
  throw refusal('EPERM', place, `the kernel refused: errno ${-result}`)
}

async function placeOf(mountpoint: string): Promise<string> {
  try {
    return await canonicalMountpoint(mountpoint)
  } catch (cause) {
    throw noDirectory(mountpoint, cause)
  }
}

function noDirectory(path: string, cause: unknown): FileSystemError {
  const detail = 'there is no such directory'
  return new FileSystemError('ENOENT', 'unmount', { path, detail, cause })
}

function inUse(path: string, cause: FileSystemError): FileSystemError {
  const detail =
    'a program has a file or its working directory there: ' +
    `close it (\`fuser -vm ${path}\` names it), or unmount lazily`
  return new FileSystemError('EBUSY', 'unmount', { path, detail, cause })
}

function refusal(
  code: 'EBUSY' | 'EINVAL' | 'ENOENT' | 'EPERM',
  path: string,
  detail?: string,
): FileSystemError {
  return new FileSystemError(code, 'unmount', { path, ...(detail === undefined ? {} : { detail }) })
}
