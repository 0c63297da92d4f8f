import type { CallOptions } from '../blob/store.ts'
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { impliedDirectory } from './blob-entry.ts'
import type { NamespaceParts } from './directories.ts'
import type { Entry } from './entry.ts'

/** The account's containers as what its root has in it. */
export async function listContainers(
  { store }: NamespaceParts,
  options: CallOptions,
): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const container of store.listContainers({ signal: options.signal })) {
    entries.push(impliedDirectory(container.name, container.lastModifiedMs))
  }
  return entries
}

/** Makes a container; `EEXIST`, also for the account's root. */
export async function makeContainer(
  { store, cache }: NamespaceParts,
  path: BlobPath,
  options: CallOptions,
): Promise<Entry> {
  if (path.container === '') {
    throw new FileSystemError('EEXIST', 'mkdir', { path: formatPath(path) })
  }
  await store.createContainer(path.container, { signal: options.signal })
  cache.keep(path, new Map(), { slashMarker: false })
  return impliedDirectory('')
}
