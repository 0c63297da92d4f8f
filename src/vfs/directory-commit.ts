import { FileSystemError, isFileSystemError } from '../errors.ts'
import type { Entry, PosixAttributes } from '../namespace/entry.ts'
import type { Namespace } from '../namespace/namespace.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { publishFault } from './fault.ts'

/**
 * Makes a directory that was promised, and those above it that are missing; the directory as it is then. One that somebody
 * else has made meanwhile stays as it is, and the log tells. `EEXIST` when the name is a file's.
 */
export async function commitDirectory(
  namespace: Namespace,
  path: BlobPath,
  posix: PosixAttributes,
): Promise<Entry> {
  try {
    return await namespace.makeDirectory(path, { posix, parents: true })
  } catch (error) {
    if (!isFileSystemError(error, 'EEXIST')) throw error
    const there = await namespace.stat(path, { fresh: true })
    if (there.type !== 'directory') throw failure(path, fileIsThere, error)
    // A request that was sent again finds what it has made itself.
    const isOurs = posix.mtimeNs !== undefined && posix.mtimeNs === there.posix.mtimeNs
    if (!isOurs) publishFault('mkdir', path, failure(path, directoryIsThere, error))
    return there
  }
}

const fileIsThere =
  'somebody else has made a file of this name: neither the directory nor what is to be in it is stored before that has gone'
const directoryIsThere =
  'somebody else has made the directory too: it stays as they made it, and what was made in it here is stored in theirs'

function failure(path: BlobPath, detail: string, cause: FileSystemError): FileSystemError {
  return new FileSystemError('EEXIST', 'mkdir', { path: formatPath(path), detail, cause })
}
