import { type CallOptions, listAll } from '../blob/store.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { Remote } from './remote.ts'

/** Makes a directory, or a container for a path without a name. `EEXIST` when the name is taken. */
export async function makeDirectory(
  remote: Remote,
  path: BlobPath,
  options: CallOptions & { readonly createParents?: boolean } = {},
): Promise<void> {
  const { signal, createParents = true } = options
  if (path.container === '')
    throw new FileSystemError('EEXIST', 'mkdir', { path: formatPath(path) })
  if (path.name === '') return makeContainer(remote, path, { signal })
  const make = () => remote.namespace.makeDirectory(path, { signal, parents: createParents })
  try {
    await make()
  } catch (error) {
    if (!createParents || !(await lacksContainer(remote, path, { error, signal }))) throw error
    await makeContainer(remote, path, { signal })
    await make()
  }
}

/** As `mkdir -p` with `existOk`: a directory that exists is then no error, a file still is. */
export async function makeDirectories(
  remote: Remote,
  path: BlobPath,
  options: CallOptions & { readonly existOk?: boolean } = {},
): Promise<void> {
  const { signal, existOk = false } = options
  try {
    await makeDirectory(remote, path, { signal, createParents: true })
  } catch (error) {
    if (!existOk || !isFileSystemError(error, 'EEXIST')) throw error
    if (path.name === '') return
    const entry = await remote.namespace.stat(path, { signal })
    if (entry.type !== 'directory') throw error
  }
}

/** Removes an empty directory, or an empty container when that is asked for. */
export async function removeDirectory(
  remote: Remote,
  path: BlobPath,
  options: CallOptions & { readonly allowContainer?: boolean } = {},
): Promise<void> {
  const { signal } = options
  signal?.throwIfAborted()
  if (path.name !== '') return remote.namespace.removeDirectory(path, { signal })
  demandContainerConsent(path, 'rmdir', options.allowContainer)
  for await (const _entry of listAll(remote.store, path, { signal, maxResults: 1 })) {
    throw new FileSystemError('ENOTEMPTY', 'rmdir', { path: formatPath(path) })
  }
  await removeContainer(remote, path, { signal })
}

/** Deletes a container with all that it holds. */
export async function removeContainer(
  remote: Remote,
  path: BlobPath,
  options: CallOptions,
): Promise<void> {
  await remote.store.deleteContainer(path.container, options)
  remote.namespace.invalidate(path)
}

/** `EPERM` unless the caller said that a container may go. The account's root never may. */
export function demandContainerConsent(
  path: BlobPath,
  syscall: string,
  allowContainer: boolean | undefined,
): void {
  if (path.container !== '' && allowContainer === true) return
  const detail =
    path.container === ''
      ? 'the root of an account cannot be deleted'
      : 'this would delete the container; pass allowContainer: true if that is meant'
  throw new FileSystemError('EPERM', syscall, { path: formatPath(path), detail })
}

async function makeContainer(remote: Remote, path: BlobPath, options: CallOptions): Promise<void> {
  await remote.store.createContainer(path.container, options)
  remote.namespace.invalidate(path)
}

/** Whether `error` says that the container is missing, rather than something in it. */
async function lacksContainer(
  remote: Remote,
  path: BlobPath,
  { error, signal }: CallOptions & { readonly error: unknown },
): Promise<boolean> {
  if (!isFileSystemError(error, 'ENOENT')) return false
  try {
    await remote.store.headContainer(path.container, { signal })
    return false
  } catch (cause) {
    if (isFileSystemError(cause, 'ENOENT')) return true
    throw cause
  }
}
