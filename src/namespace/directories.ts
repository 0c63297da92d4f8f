import type { HierarchyOf } from '../blob/hierarchy.ts'
import type { BlobStore, CallOptions, ListEntry } from '../blob/store.ts'
import type { Clock } from '../clock.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { entryFromBlob, impliedDirectory } from './blob-entry.ts'
import { childPrefix } from './blob-name.ts'
import type { Entry, PosixAttributes } from './entry.ts'
import type { TagsOf } from './kept-by-renames.ts'
import type { Leaving } from './leaving.ts'
import { type ListingCache, parentOf } from './listing-cache.ts'
import { callOptions, type Lookup, unlessMissing } from './lookup.ts'
import type { DirectoryMode } from './namespace-options.ts'
import { withPosixAttributes } from './posix-metadata.ts'

const nothing: Uint8Array = new Uint8Array(0)

/** What the operations on names share. */
export interface NamespaceParts {
  readonly store: BlobStore
  readonly tagsOf: TagsOf | undefined
  readonly lookup: Lookup
  readonly cache: ListingCache
  readonly clock: Clock
  readonly hierarchyOf: HierarchyOf
  readonly directoryMode: DirectoryMode
  readonly leaving: Leaving
}

/**
 * The directory at `path` as the service knows it, `undefined` when nothing is there; `ENOTDIR`.
 * A file of the same name, which the directory hides, is no part of it.
 */
export async function findDirectory(
  parts: NamespaceParts,
  path: BlobPath,
  options: CallOptions,
): Promise<Entry | undefined> {
  const found = await parts.lookup.find(path, { ...callOptions(options), fresh: true })
  if (typeof found === 'string') return undefined
  if (found.type === 'directory') return found
  const [first] = await parts.lookup.firstBelow(path, 1, options)
  if (first !== undefined) return impliedDirectory(path.name)
  throw failure('ENOTDIR', 'rename', path)
}

/** `EEXIST` when something stands at `path`. A blob of that very name is left to If-None-Match. */
export async function requireAbsent(
  parts: NamespaceParts,
  path: BlobPath,
  options: CallOptions & { readonly syscall: string },
): Promise<void> {
  const known = parts.lookup.known(path)
  if (known === 'ENOENT') return
  if (known === 'ENOTDIR') throw failure('ENOTDIR', options.syscall, path)
  // A hierarchy has no implied directories: the condition of the request finds whatever is there.
  const isAsked =
    known === undefined && (await parts.hierarchyOf(path.container, options)) !== undefined
  if (isAsked) return
  const taken = known !== undefined || (await parts.lookup.firstBelow(path, 1, options)).length > 0
  if (taken) throw failure('EEXIST', options.syscall, path)
}

/** `ENOENT` when the directory above is missing, unless `parents`; `ENOTDIR` when it is a file. */
export async function requireParent(
  parts: NamespaceParts,
  path: BlobPath,
  options: CallOptions & { readonly parents?: boolean | undefined },
): Promise<void> {
  const parent = parentOf(path)
  // What has a listing is a directory.
  if (parent.name === '' || parts.cache.fresh(parent) !== undefined) return
  const found = await parts.lookup.find(parent, callOptions(options))
  if (found === 'ENOENT' && options.parents === true) return requireParent(parts, parent, options)
  if (typeof found === 'string') throw failure(found, 'mkdir', path)
  if (found.type !== 'directory') throw failure('ENOTDIR', 'mkdir', path)
}

/** Makes a directory as the mode has it: `virtual`, it is there once a file is in it. `EEXIST`. */
export async function createDirectory(
  parts: NamespaceParts,
  path: BlobPath,
  options: CallOptions & { readonly posix?: PosixAttributes | undefined },
): Promise<Entry> {
  if (parts.directoryMode === 'virtual') {
    const blob = await unlessMissing(parts.store.head(path, callOptions(options)))
    if (blob !== undefined) throw failure('EEXIST', 'mkdir', path)
    return impliedDirectory(path.name)
  }
  const entry = await writeMarker(parts, path, options)
  parts.cache.keep(path, new Map(), { slashMarker: false })
  return entry
}

/** Writes the blob that marks `path` as a directory; `EEXIST` when there is a blob of that name. */
export async function writeMarker(
  parts: NamespaceParts,
  path: BlobPath,
  options: CallOptions & { readonly posix?: PosixAttributes | undefined },
): Promise<Entry> {
  const metadata = withPosixAttributes({}, 'directory', options.posix ?? {})
  const properties = await parts.store.put(path, nothing, {
    ...callOptions(options),
    ifNoneMatch: '*',
    metadata,
  })
  const entry = entryFromBlob(path.name, { ...properties, sizeBytes: 0, metadata })
  parts.cache.upsert(path, entry)
  return entry
}

/**
 * Runs `work`, which takes `path` out of its directory, when that is sure to stay: see {@link keepParent}. What others
 * take out at the same time does not keep it.
 */
export async function takeAway<T>(
  parts: NamespaceParts,
  path: BlobPath,
  options: CallOptions,
  work: () => Promise<T>,
): Promise<T> {
  const stays = parts.leaving.add(path)
  try {
    await keepParent(parts, path, options)
    return await work()
  } finally {
    stays()
  }
}

/**
 * Keeps the directory above `path` in being when `path` is the last thing in it and no blob marks
 * it: taking a file away does not take its directory away. To be called before the removal, so that
 * the directory never vanishes; costs nothing while a listing shows that something else is there.
 */
async function keepParent(
  parts: NamespaceParts,
  path: BlobPath,
  options: CallOptions,
): Promise<void> {
  const parent = parentOf(path)
  if (parent.name === '' || parts.directoryMode === 'virtual') return
  if ((await parts.hierarchyOf(path.container, options)) !== undefined) return
  const marked = parts.leaving.marked(parent)
  if (marked !== undefined) return marked
  if (await staysWithout(parts, path, options)) return
  const known = parts.lookup.known(parent)
  if (typeof known === 'object' && known.markerName !== undefined) return
  await parts.leaving.markOnce(parent, () => markDirectory(parts, parent, options))
}

async function markDirectory(
  parts: NamespaceParts,
  path: BlobPath,
  options: CallOptions,
): Promise<void> {
  try {
    await writeMarker(parts, path, options)
  } catch (error) {
    if (!isFileSystemError(error, 'EEXIST')) throw error
    await markBesideFile(parts, path, options)
  }
}

/** Where a file has the directory's name, only `dir/` can mark the directory. */
async function markBesideFile(
  parts: NamespaceParts,
  path: BlobPath,
  options: CallOptions,
): Promise<void> {
  const blob = await unlessMissing(parts.store.head(path, callOptions(options)))
  if (blob !== undefined && entryFromBlob(path.name, blob).type === 'directory') return
  const metadata = withPosixAttributes({}, 'directory', {})
  const marker = { ...path, name: childPrefix(path.name) }
  try {
    const put = { ...callOptions(options), ifNoneMatch: '*', metadata } as const
    const properties = await parts.store.put(marker, nothing, put)
    parts.cache.upsert(path, entryFromBlob(marker.name, { ...properties, sizeBytes: 0, metadata }))
    parts.cache.invalidate(path, false)
  } catch (error) {
    if (!isFileSystemError(error, 'EEXIST')) throw error
  }
}

/** Whether the parent shows itself by other blobs than those that are being taken away. */
async function staysWithout(
  parts: NamespaceParts,
  path: BlobPath,
  options: CallOptions,
): Promise<boolean> {
  const parent = parentOf(path)
  const listing = parts.cache.fresh(parent)
  if (listing !== undefined) {
    const { entries } = listing
    return (
      listing.slashMarker || entries.size > parts.leaving.countOf(parent, (own) => entries.has(own))
    )
  }
  const leaving = parts.leaving.of(parent)
  const own = new Set(leaving.flatMap((name) => [name, childPrefix(name)]))
  // One level: however much lies in `path`, it is one row, beside a file of its name.
  const rows = await parts.lookup.firstBelow(parent, own.size + 1, { ...options, delimiter: '/' })
  return rows.some((row) => !own.has(row.name))
}

/** Removes an empty directory: its markers. `ENOTEMPTY`, `ENOTDIR`, `ENOENT`. */
export async function removeDirectory(
  parts: NamespaceParts,
  path: BlobPath,
  options: CallOptions,
): Promise<void> {
  const markers = knownMarkers(parts, path) ?? (await findMarkers(parts, path, options))
  await takeAway(parts, path, options, async () => {
    for (const name of markers) {
      await unlessMissing(parts.store.delete({ ...path, name }, callOptions(options)))
    }
    parts.cache.remove(path)
    parts.cache.invalidate(path, true)
  })
}

/** The blobs that mark an empty directory, from the cache; `undefined` when it does not know. */
function knownMarkers(parts: NamespaceParts, path: BlobPath): string[] | undefined {
  const known = parts.lookup.known(path)
  if (typeof known === 'string') throw failure(known, 'rmdir', path)
  if (known !== undefined && known.type !== 'directory') throw failure('ENOTDIR', 'rmdir', path)
  const listing = parts.cache.fresh(path)
  if (listing === undefined) return undefined
  if (listing.entries.size > 0) throw failure('ENOTEMPTY', 'rmdir', path)
  // A blob `dir/` may have content, which only a look at it tells.
  return known?.markerName !== path.name || listing.slashMarker ? undefined : [path.name]
}

/** The blobs that mark `path`, after making sure that it is an empty directory. */
async function findMarkers(
  parts: NamespaceParts,
  path: BlobPath,
  options: CallOptions,
): Promise<string[]> {
  const [blob, rows] = await Promise.all([
    unlessMissing(parts.store.head(path, callOptions(options))),
    parts.lookup.firstBelow(path, 2, options),
  ])
  const slashMarker = childPrefix(path.name)
  if (rows.some((row) => !isEmptyMarker(row, slashMarker))) {
    throw failure('ENOTEMPTY', 'rmdir', path)
  }
  const entry = blob === undefined ? undefined : entryFromBlob(path.name, blob)
  const marked = entry?.type === 'directory'
  if (entry === undefined && rows.length === 0) throw failure('ENOENT', 'rmdir', path)
  if (!marked && rows.length === 0) throw failure('ENOTDIR', 'rmdir', path)
  return [...(marked ? [path.name] : []), ...rows.map((row) => row.name)]
}

/** Not so a blob `dir/` that has content: only the removal of a tree takes that away. */
function isEmptyMarker(row: ListEntry, slashMarker: string): boolean {
  return row.kind === 'blob' && row.name === slashMarker && row.properties.sizeBytes === 0
}

function failure(
  code: 'ENOENT' | 'ENOTDIR' | 'ENOTEMPTY' | 'EEXIST',
  syscall: string,
  path: BlobPath,
): FileSystemError {
  return new FileSystemError(code, syscall, { path: formatPath(path) })
}
