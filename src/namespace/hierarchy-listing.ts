import { type HierarchyStore, listAllPaths, type PathProperties } from '../blob/hierarchy.ts'
import { type BlobStore, type CallOptions, listAll } from '../blob/store.ts'
import { isFileSystemError } from '../errors.ts'
import type { BlobPath } from '../path.ts'
import { entryFromBlob, entryFromPath } from './blob-entry.ts'
import { baseName, childPrefix, isPathName, isReserved } from './blob-name.ts'
import type { Entry } from './entry.ts'
import type { OneLevel, UnreachableListener } from './listing.ts'

/** Both faces of an account. */
export interface Faces {
  readonly hierarchy: HierarchyStore
  readonly store: BlobStore
}

interface PathListingOptions extends CallOptions {
  readonly onUnreachable: UnreachableListener
  readonly metadata?: boolean | undefined
}

/**
 * Lists what lies directly in `directory`, all pages. With `metadata` the blobs are listed beside
 * the paths: the one tells what each entry is and who owns it, the other what is stored with it.
 * Empty for a missing directory.
 */
export async function listOneLevelOfPaths(
  faces: Faces,
  directory: BlobPath,
  options: PathListingOptions,
): Promise<OneLevel> {
  const [entries, blobs] = await Promise.all([
    listPaths(faces.hierarchy, directory, options),
    options.metadata === true
      ? listBlobs(faces.store, directory, options)
      : new Map<string, Entry>(),
  ])
  for (const [key, path] of entries) {
    const blob = blobs.get(key)
    // Another version is another file: what the one tells is not true of the other.
    if (blob !== undefined && blob.etag === path.etag) entries.set(key, completed(path, blob))
  }
  return { entries, slashMarker: undefined }
}

/** All below `directory` in the service's order. `ENOENT`. */
export async function* walkPaths(
  hierarchy: HierarchyStore,
  directory: BlobPath,
  options: PathListingOptions & { readonly directories: boolean },
): AsyncGenerator<Entry, void, undefined> {
  const { signal } = options
  for await (const path of listAllPaths(hierarchy, directory, { signal, recursive: true })) {
    if (isShown(path, directory, options) && (options.directories || !path.isDirectory)) {
      yield entryFromPath(path)
    }
  }
}

async function listPaths(
  hierarchy: HierarchyStore,
  directory: BlobPath,
  options: PathListingOptions,
): Promise<Map<string, Entry>> {
  const entries = new Map<string, Entry>()
  try {
    for await (const path of listAllPaths(hierarchy, directory, { signal: options.signal })) {
      if (isShown(path, directory, options)) entries.set(baseName(path.name), entryFromPath(path))
    }
  } catch (error) {
    // Whether it is missing or a file is asked by who needs to know.
    if (directory.name === '' || !isFileSystemError(error, 'ENOENT', 'ENOTDIR')) throw error
  }
  return entries
}

async function listBlobs(
  store: BlobStore,
  directory: BlobPath,
  { signal }: CallOptions,
): Promise<Map<string, Entry>> {
  const entries = new Map<string, Entry>()
  const prefix = { ...directory, name: childPrefix(directory.name) }
  for await (const row of listAll(store, prefix, { signal, delimiter: '/' })) {
    if (row.kind !== 'blob') continue
    entries.set(baseName(row.name), entryFromBlob(row.name, row.properties))
  }
  return entries
}

/** What the blob tells, and who owns it as the path does. */
function completed(path: Entry, blob: Entry): Entry {
  const { owner, group, permissions, expiresMs } = path
  const isPlain = blob.type === 'file'
  const posix = isPlain ? { ...blob.posix, ...definedMode(path) } : blob.posix
  return { ...blob, posix, owner, group, permissions, expiresMs }
}

function definedMode({ posix }: Entry): { readonly mode?: number } {
  return posix.mode === undefined ? {} : { mode: posix.mode }
}

function isShown(
  path: PathProperties,
  directory: BlobPath,
  { onUnreachable }: PathListingOptions,
): boolean {
  if (isReserved(path.name) || path.name === directory.name) return false
  if (isPathName(path.name)) return true
  onUnreachable({ ...directory, name: path.name })
  return false
}
