import type { CallOptions } from '../blob/store.ts'
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { onCurrentEntry } from './current-entry.ts'
import { type NamespaceParts, takeAway } from './directories.ts'
import type { Entry } from './entry.ts'
import type { GatheredDeletes } from './gathered-deletes.ts'
import type { HierarchicalNames } from './hierarchical-names.ts'
import { callOptions } from './lookup.ts'
import { removeBlobs, type TreeOptions } from './tree.ts'

export interface RemoveFileOptions extends CallOptions {
  /** The version that must be there. */
  readonly ifMatch?: string | undefined
  /** Of the lease that the caller holds on the blob. */
  readonly leaseId?: string | undefined
  /** Does it with others, or later. */
  readonly deletes?: Pick<GatheredDeletes, 'delete'> | undefined
}

/** As `Namespace.removeFile`. */
export async function removeFile(
  parts: NamespaceParts,
  path: BlobPath,
  options: RemoveFileOptions,
): Promise<void> {
  await onCurrentEntry(parts, path, options, async (entry) => {
    if (entry.type === 'directory') {
      throw new FileSystemError('EISDIR', 'unlink', { path: formatPath(path) })
    }
    const ifMatch = options.ifMatch ?? entry.etag
    await takeAway(parts, path, options, async () => {
      const { leaseId, deletes } = options
      if (deletes !== undefined) await deletes.delete({ path, ifMatch })
      else await parts.store.delete(path, { ...callOptions(options), ifMatch, leaseId })
      parts.cache.remove(path)
    })
  })
}

export interface RemoveTreeOptions extends TreeOptions {
  /** Whether `path` is known to be a directory: a file that has its name is not meant. Default: what a listing told. */
  readonly isDirectory?: boolean | undefined
}

/** As `Namespace.removeTree`; `names` where the account is hierarchical. */
export async function removeTree(
  parts: NamespaceParts,
  path: BlobPath,
  removal: RemoveTreeOptions & { readonly names: HierarchicalNames | undefined },
): Promise<Entry | undefined> {
  const { names, isDirectory = isKnownDirectory(parts, path), ...options } = removal
  const entry = await parts.lookup.stat(path, { ...callOptions(options), fresh: true })
  if (entry.type !== 'directory' && !isDirectory) {
    await removeFile(parts, path, options)
    return undefined
  }
  if (names !== undefined) {
    // A hierarchy hides nothing: the directory is gone, and a file was made in its place.
    if (entry.type !== 'directory') return entry
    await names.removeTree(path, options)
    return undefined
  }
  await takeAway(parts, path, options, async () => {
    try {
      await removeBlobs(parts, path, options)
      if (entry.markerName === path.name) await parts.store.delete(path, callOptions(options))
    } finally {
      parts.cache.invalidate(path, true)
    }
    if (entry.type !== 'directory') parts.cache.upsert(path, entry)
    else if (path.name !== '') parts.cache.remove(path)
  })
  return entry.type === 'directory' ? undefined : entry
}

function isKnownDirectory(parts: NamespaceParts, path: BlobPath): boolean {
  const known = parts.lookup.known(path)
  return typeof known === 'object' && known.type === 'directory'
}
