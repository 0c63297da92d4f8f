import type { HierarchyOf } from '../blob/hierarchy.ts'
import type { BlobStore, CallOptions } from '../blob/store.ts'
import type { Clock } from '../clock.ts'
import type { BlobPath } from '../path.ts'
import type { PosixAttributes } from './entry.ts'
import type { TagsOf } from './kept-by-renames.ts'
import type { LookupOptions } from './lookup.ts'

/**
 * What makes a directory on flat names: `marker`, a blob of its own, so that an empty one stays; or `virtual`,
 * nothing but the files in it, so that none is written and the last file takes its directory along. Markers
 * that are there are seen in both.
 */
export type DirectoryMode = 'marker' | 'virtual'

export interface NamespaceOptions {
  readonly store: BlobStore
  /** The hierarchy of an account that has one. Absent: names are flat. */
  readonly hierarchyOf?: HierarchyOf | undefined
  readonly clock?: Clock | undefined
  /** Reads index tags, so that what is renamed keeps them. Absent: it does not, where the service copies it. */
  readonly tagsOf?: TagsOf | undefined
  /** Default `marker`. Without effect on an account with a hierarchy, whose directories are its own. */
  readonly directoryMode?: DirectoryMode | undefined
  /**
   * How long a listing answers without being asked again; milliseconds. Default 5,000; 0 asks every
   * time. A long one answers longer: a tenth for each 5,000 names, up to five times.
   */
  readonly listingTtlMs?: number | undefined
  /** How many entries listings may hold in memory altogether, at least 1. Default 200,000. */
  readonly listingCacheEntries?: number | undefined
  /**
   * Lists trees of flat names as a whole, by the page, while `list` is asked for one directory after the
   * other. Default false.
   */
  readonly scanTrees?: boolean | undefined
  /** Called for each blob a listing meets whose name cannot be a path (`a//b`, `../c`). */
  readonly onUnreachable?: ((path: BlobPath) => void) | undefined
}

const mostEntries = 200_000
/** A name of 60 characters with what a listing tells of it, and its place in a `Map`; more with metadata. */
const bytesAnEntry = 512

/** How many entries listings hold where transfers hold `budgetBytes`: of half as many bytes, and no more than the default. */
export function entriesWithin(budgetBytes: number = Number.MAX_SAFE_INTEGER): number {
  return Math.max(1, Math.min(mostEntries, Math.floor(budgetBytes / 2 / bytesAnEntry)))
}

/** An account without a hierarchy. */
export async function flatNames(): Promise<undefined> {
  return undefined
}

/** Options of `stat`, `exists` and `list`; `fresh` asks the service whatever the cache knows. */
export type StatOptions = LookupOptions

export interface MakeDirectoryOptions extends CallOptions {
  readonly posix?: PosixAttributes | undefined
  /** Missing directories above are no error: the new one implies them. */
  readonly parents?: boolean | undefined
}

export interface TreeListingOptions extends CallOptions {
  /** Whether directories are told too. Default false. */
  readonly directories?: boolean | undefined
  readonly metadata?: boolean | undefined
  /** What names begin with below the directory: others are not listed where the service can leave them out. */
  readonly prefix?: string | undefined
}
