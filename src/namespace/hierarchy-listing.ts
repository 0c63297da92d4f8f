import {
  type HierarchyStore,
  listAllPaths,
  listPathPages,
  type PathProperties,
} from '../blob/hierarchy.ts'
import { type BlobStore, type CallOptions, listAll } from '../blob/store.ts'
import { forEachConcurrent } from '../concurrency.ts'
import { isFileSystemError } from '../errors.ts'
import type { BlobPath } from '../path.ts'
import { collectPages, inTurns } from '../turns.ts'
import { bitsInMetadata, entryFromBlob, entryFromPath } from './blob-entry.ts'
import { childPrefix, isPathName, isReserved, parentName } from './blob-name.ts'
import type { Entry } from './entry.ts'
import type { LevelPart, UnreachableListener } from './listing.ts'

/** Both faces of an account. */
export interface Faces {
  readonly hierarchy: HierarchyStore
  readonly store: BlobStore
}

interface PathListingOptions extends CallOptions {
  readonly onUnreachable: UnreachableListener
  readonly metadata?: boolean | undefined
}

/** Directories whose metadata is asked for at a time. */
const headsAtOnce = 16

/**
 * What lies directly in `directory`, page by page; nothing where it is missing. With `metadata` the blobs are listed beside
 * the paths, all at first: the one tells what each entry is and who owns it, the other what is stored with it.
 * No listing of one level tells the metadata of directories: each is asked for by itself.
 */
export async function* listLevelOfPaths(
  faces: Faces,
  directory: BlobPath,
  options: PathListingOptions,
): AsyncGenerator<LevelPart, void, undefined> {
  const pages = shownPages(faces.hierarchy, directory, options)
  if (options.metadata === true) return yield* listWholeLevel(faces, { directory, pages }, options)
  for await (const paths of pages) {
    yield { entries: paths.map((path) => merged(path, undefined)), isMore: false }
  }
}

async function* listWholeLevel(
  { store }: Faces,
  { directory, pages }: Pick<Level, 'directory'> & { pages: AsyncIterable<PathProperties[]> },
  options: PathListingOptions,
): AsyncGenerator<LevelPart, void, undefined> {
  const prefix = { ...directory, name: childPrefix(directory.name) }
  const [paths, blobs] = await Promise.all([
    collectPages(pages),
    listBlobs(store, prefix, { signal: options.signal }),
  ])
  await askDirectories(store, { directory, paths, blobs }, options)
  for await (const part of inTurns(paths)) {
    yield { entries: part.map((path) => merged(path, blobs.get(path.name))), isMore: false }
  }
}

interface Level {
  readonly directory: BlobPath
  readonly paths: readonly PathProperties[]
  /** Gets the directories, but those that have gone meanwhile or may not be asked for. */
  readonly blobs: Map<string, Entry>
}

async function askDirectories(
  store: BlobStore,
  { directory, paths, blobs }: Level,
  { signal }: CallOptions,
): Promise<void> {
  const directories = paths.filter(({ isDirectory }) => isDirectory)
  await forEachConcurrent(directories, headsAtOnce, async ({ name }) => {
    try {
      const properties = await store.head({ ...directory, name }, { signal })
      blobs.set(name, entryFromBlob(name, properties))
    } catch (error) {
      if (!isFileSystemError(error, 'ENOENT', 'EACCES')) throw error
    }
  })
}

interface WalkOptions extends PathListingOptions {
  readonly directories: boolean
  /** What names begin with, below the directory. */
  readonly prefix?: string | undefined
}

/** All below `directory` in the service's order. `ENOENT`. With `metadata` the blobs are held in memory. */
export async function* walkPaths(
  faces: Faces,
  directory: BlobPath,
  options: WalkOptions,
): AsyncGenerator<Entry, void, undefined> {
  const { signal, prefix = '' } = options
  const start = `${childPrefix(directory.name)}${prefix}`
  // Paths are listed by directory only: the innermost that the prefix names.
  const place = prefix.includes('/') ? { ...directory, name: parentName(start) } : directory
  if (place.name !== '' && !isPathName(place.name)) return
  const listing = { signal, recursive: true }
  const blobs =
    options.metadata === true
      ? await listBlobs(faces.store, { ...directory, name: start }, listing)
      : new Map<string, Entry>()
  for await (const path of listAllPaths(faces.hierarchy, place, listing)) {
    if (path.isDirectory && !options.directories) continue
    if (!path.name.startsWith(start)) continue
    if (isShown(path, directory, options)) yield merged(path, blobs.get(path.name))
  }
}

async function* shownPages(
  hierarchy: HierarchyStore,
  directory: BlobPath,
  options: PathListingOptions,
): AsyncGenerator<PathProperties[], void, undefined> {
  try {
    for await (const paths of listPathPages(hierarchy, directory, { signal: options.signal })) {
      yield paths.filter((path) => isShown(path, directory, options))
    }
  } catch (error) {
    // Whether it is missing or a file is asked by who needs to know.
    if (directory.name === '' || !isFileSystemError(error, 'ENOENT', 'ENOTDIR')) throw error
  }
}

/** By name. */
async function listBlobs(
  store: BlobStore,
  prefix: BlobPath,
  options: CallOptions & { readonly recursive?: boolean },
): Promise<Map<string, Entry>> {
  const entries = new Map<string, Entry>()
  const level = options.recursive === true ? {} : ({ delimiter: '/' } as const)
  for await (const row of listAll(store, prefix, { signal: options.signal, ...level })) {
    if (row.kind === 'blob') entries.set(row.name, entryFromBlob(row.name, row.properties))
  }
  return entries
}

/** What the blob tells, and who owns it as the path does. */
function merged(properties: PathProperties, blob: Entry | undefined): Entry {
  const path = entryFromPath(properties)
  // Another version is another file: what the one tells is not true of the other.
  if (blob === undefined || blob.etag !== path.etag) return path
  const { owner, group, permissions, expiresMs } = path
  const isPlain = blob.type === 'file' || blob.type === 'directory'
  const posix = isPlain ? { ...blob.posix, ...modeOf(path, blob) } : blob.posix
  return { ...blob, posix, owner, group, permissions, expiresMs }
}

function modeOf(path: Entry, blob: Entry): { readonly mode?: number } {
  const { mode } = path.posix
  return mode === undefined
    ? {}
    : { mode: mode | ((blob.posix.mode ?? 0) & bitsInMetadata(blob.type)) }
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
