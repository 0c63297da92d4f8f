import { LRUCache } from 'lru-cache'
import type { HierarchyOf } from '../blob/hierarchy.ts'
import { type BlobStore, type CallOptions, type ListEntry, listAll } from '../blob/store.ts'
import { type ErrnoCode, FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { entryFromBlob, impliedDirectory } from './blob-entry.ts'
import { baseName, childPrefix } from './blob-name.ts'
import type { Entry } from './entry.ts'
import { type EntriesByName, EntryMap } from './entry-map.ts'
import { listLevelOfPaths } from './hierarchy-listing.ts'
import {
  type HiddenListener,
  type LevelPart,
  listLevel,
  type UnreachableListener,
} from './listing.ts'
import { type ListingCache, parentOf } from './listing-cache.ts'
import type { TreeScans } from './tree-scans.ts'

export interface LookupOptions extends CallOptions {
  /** Asks the service even when a cached listing knows. */
  readonly fresh?: boolean | undefined
  /**
   * Whether a listing must tell metadata (kinds of special files, owners' numbers, exact times) on
   * a hierarchical account, where that costs a second listing. Default false.
   */
  readonly metadata?: boolean | undefined
  /** Which is told where a file and a directory have one name. */
  readonly prefer?: 'file' | 'directory' | undefined
}

/**
 * A listing that has expired is asked for again, instead of the one name, while it is this small:
 * one request then answers for all the names that will be asked next. A larger one is asked for when
 * so many names were asked for each page of it.
 */
const maxRelistedEntries = 1000
const askedPerPage = 8
const entriesPerPage = 5000

/** Finds out what names stand for, from cached listings where they know. */
export class Lookup {
  readonly #store: BlobStore
  readonly #cache: ListingCache
  readonly #onUnreachable: UnreachableListener
  readonly #onHidden: HiddenListener
  readonly #hierarchyOf: HierarchyOf
  readonly #scans: TreeScans | undefined
  /** How many names were asked for one by one, by directory. */
  readonly #askedSingly = new LRUCache<string, number>({ max: 100 })

  constructor(options: {
    readonly store: BlobStore
    readonly cache: ListingCache
    readonly onUnreachable: UnreachableListener
    readonly onHidden: HiddenListener
    readonly hierarchyOf: HierarchyOf
    /** Absent: each directory is listed by itself. */
    readonly scans?: TreeScans | undefined
  }) {
    this.#store = options.store
    this.#cache = options.cache
    this.#onUnreachable = options.onUnreachable
    this.#onHidden = options.onHidden
    this.#hierarchyOf = options.hierarchyOf
    this.#scans = options.scans
  }

  /** What `path` is; `ENOENT` or `ENOTDIR` when it is nothing. */
  async stat(path: BlobPath, options: LookupOptions = {}): Promise<Entry> {
    const found = await this.find(path, options)
    if (typeof found !== 'string') return found
    throw new FileSystemError(found, 'stat', { path: formatPath(path) })
  }

  /** As `stat`; `undefined` instead of `ENOENT`: making an error takes longer than looking a known name up. */
  async unlessAbsent(path: BlobPath, options: LookupOptions = {}): Promise<Entry | undefined> {
    const found = await this.find(path, options)
    if (found === 'ENOTDIR') throw new FileSystemError(found, 'stat', { path: formatPath(path) })
    return found === 'ENOENT' ? undefined : found
  }

  /** What `path` is, or the code that says it is nothing. */
  async find(path: BlobPath, options: LookupOptions = {}): Promise<Entry | 'ENOENT' | 'ENOTDIR'> {
    if (path.name === '') return this.#root(path, options)
    const found = (await this.#preferred(path, options)) ?? (await this.#find(path, options))
    if (typeof found === 'string' || found.partial !== true) return found
    const complete = await this.#ask(path, options)
    if (complete === undefined) return 'ENOENT'
    this.#cache.upsert(path, complete)
    return complete
  }

  /** What is asked for outright, unless what is known is that already; `undefined` where there is none. */
  async #preferred(path: BlobPath, options: LookupOptions): Promise<Entry | undefined> {
    const { prefer } = options
    if (prefer === undefined) return undefined
    if ((await this.#hierarchyOf(path.container, callOptions(options))) !== undefined)
      return undefined
    const known = options.fresh === true ? undefined : this.known(path)
    if (typeof known === 'string') return undefined
    if (prefer === 'directory') return known ?? this.#directoryAt(path, options)
    if (known !== undefined && known.type !== 'directory') return known
    const blob = await unlessMissing(this.#store.head(path, callOptions(options)))
    const entry = blob && entryFromBlob(path.name, blob)
    return entry?.type === 'directory' ? undefined : entry
  }

  async #find(path: BlobPath, options: LookupOptions): Promise<Entry | 'ENOENT' | 'ENOTDIR'> {
    const known = options.fresh === true ? undefined : this.known(path)
    if (known !== undefined) return known
    const parent = parentOf(path)
    const siblings = this.#cache.lastSize(parent)
    if (options.fresh === true || siblings === undefined || !this.#isRelisted(parent, siblings)) {
      return (await this.#ask(path, options)) ?? 'ENOENT'
    }
    return (await unlessMissing(this.#listed(path, options))) ?? 'ENOENT'
  }

  /** Lists all that is beside `path`. */
  async #listed({ container, name }: BlobPath, options: LookupOptions): Promise<Entry | undefined> {
    let found: Entry | undefined
    for await (const entries of this.pages(parentOf({ container, name }), options)) {
      found ??= entries.find((entry) => entry.name === name)
    }
    return found
  }

  /** Whether a name in `directory`, which had so many, is worth a listing. */
  #isRelisted({ container, name }: BlobPath, siblings: number): boolean {
    if (siblings <= maxRelistedEntries) return true
    const key = `${container}/${name}`
    const asked = (this.#askedSingly.get(key) ?? 0) + 1
    const isEnough = asked > askedPerPage * Math.ceil(siblings / entriesPerPage)
    if (isEnough) this.#askedSingly.delete(key)
    else this.#askedSingly.set(key, asked)
    return isEnough
  }

  /** What cached listings say of `path`; `undefined` when they do not know. */
  known(path: BlobPath): Entry | 'ENOENT' | 'ENOTDIR' | undefined {
    const said = this.#said(path)
    if (path.name !== '') this.#cache.count(said !== undefined)
    return said
  }

  #said(path: BlobPath): Entry | 'ENOENT' | 'ENOTDIR' | undefined {
    if (path.name === '') return undefined
    const parent = parentOf(path)
    const listing = this.#cache.fresh(parent)
    if (listing !== undefined) return listing.entries.get(baseName(path.name)) ?? 'ENOENT'
    const above = this.#said(parent)
    if (above === undefined || typeof above === 'string') return above
    return above.type === 'directory' ? undefined : 'ENOTDIR'
  }

  /**
   * What `directory` holds, in the service's order: at once where it is known, else as it is listed, which is all that is held
   * of a listing that is too long to be kept. `ENOENT`, `ENOTDIR`.
   */
  async *pages(
    directory: BlobPath,
    options: LookupOptions = {},
  ): AsyncGenerator<readonly Entry[], void, undefined> {
    const kept = this.#kept(directory, options)
    if (options.fresh !== true) this.#cache.count(kept !== undefined)
    // As of one moment: it changes when we change something.
    if (kept !== undefined) return yield [...kept.values()]
    const known = options.fresh === true ? undefined : this.#said(directory)
    requireDirectory(known, directory)
    await this.#cover(directory, options)
    const covered = this.#kept(directory, options)
    if (covered !== undefined) return yield [...covered.values()]
    const pending = this.#cache.begin(directory)
    try {
      const found = new FoundLevel(this.#cache)
      for await (const part of this.#level(directory, options)) {
        found.add(part)
        yield part.entries
      }
      // Not to be taken for an empty directory without asking.
      if (found.isNothing && directory.name !== '')
        await this.#requireMarked(directory, known, options)
      if (!pending.changed) found.keepAs(directory)
      this.#scans?.listed(directory)
    } finally {
      this.#cache.end(directory, pending)
    }
  }

  #kept(directory: BlobPath, options: LookupOptions): EntriesByName | undefined {
    const kept = options.fresh === true ? undefined : this.#cache.fresh(directory)
    return kept === undefined || isLacking(kept.entries, options) ? undefined : kept.entries
  }

  /** Whoever goes through a tree is given listings of many directories at once, where names are flat. */
  async #cover(directory: BlobPath, options: LookupOptions): Promise<void> {
    if (this.#scans === undefined || options.fresh === true || directory.name === '') return
    const call = callOptions(options)
    if ((await this.#hierarchyOf(directory.container, call)) !== undefined) return
    await this.#scans.cover(directory, call)
  }

  /** The first rows, at most `count`, of what lies anywhere below `directory`, or directly in it. */
  async firstBelow(
    directory: BlobPath,
    count: number,
    options: CallOptions & { readonly delimiter?: '/' | undefined },
  ): Promise<ListEntry[]> {
    const prefix = { ...directory, name: childPrefix(directory.name) }
    const rows: ListEntry[] = []
    // A page may be empty and still not be the last.
    for await (const row of listAll(this.#store, prefix, {
      ...callOptions(options),
      delimiter: options.delimiter,
      maxResults: count,
    })) {
      rows.push(row)
      if (rows.length === count) break
    }
    return rows
  }

  async *#level(
    directory: BlobPath,
    options: LookupOptions,
  ): AsyncGenerator<LevelPart, void, undefined> {
    const hierarchy = await this.#hierarchyOf(directory.container, callOptions(options))
    const { metadata } = options
    const [onUnreachable, onHidden] = [this.#onUnreachable, this.#onHidden]
    const listing = { ...callOptions(options), onUnreachable, onHidden, metadata }
    if (hierarchy === undefined) yield* listLevel(this.#store, directory, listing)
    else yield* listLevelOfPaths({ hierarchy, store: this.#store }, directory, listing)
  }

  async #root(path: BlobPath, options: LookupOptions): Promise<Entry> {
    const known = options.fresh !== true && this.#cache.fresh(path) !== undefined
    if (path.container === '' || known) return impliedDirectory('')
    return impliedDirectory('', await this.#lastModifiedOf(path.container, options))
  }

  /** A signature for a container may list it, but not ask what is known of it: then only that it exists is found. */
  async #lastModifiedOf(container: string, options: CallOptions): Promise<number | undefined> {
    try {
      return (await this.#store.headContainer(container, callOptions(options))).lastModifiedMs
    } catch (error) {
      if (!isFileSystemError(error, 'EACCES')) throw error
      await this.#store.listPage(
        { container, name: '' },
        { ...callOptions(options), maxResults: 1 },
      )
      return undefined
    }
  }

  /**
   * One HEAD finds files and marked directories. Only a name that is no blob costs a listing, which
   * tells an implied directory from nothing.
   */
  async #ask(path: BlobPath, options: CallOptions): Promise<Entry | undefined> {
    const blob = await unlessMissing(this.#store.head(path, callOptions(options)))
    if (blob !== undefined) return entryFromBlob(path.name, blob)
    if ((await this.#hierarchyOf(path.container, callOptions(options))) !== undefined)
      return undefined
    return this.#directoryAt(path, options)
  }

  /** A directory that what lies below it implies, or the blob `dir/` marks. */
  async #directoryAt(path: BlobPath, options: CallOptions): Promise<Entry | undefined> {
    const [first] = await this.firstBelow(path, 1, options)
    if (first?.kind !== 'blob') return undefined
    const marks = first.name === childPrefix(path.name)
    return marks ? entryFromBlob(first.name, first.properties) : impliedDirectory(path.name)
  }

  /** A directory in which nothing lies exists only if a blob says so. */
  async #requireMarked(
    directory: BlobPath,
    known: Entry | string | undefined,
    options: CallOptions,
  ): Promise<void> {
    if (typeof known === 'object' && known.markerName === directory.name) return
    const blob = await unlessMissing(this.#store.head(directory, callOptions(options)))
    const found = blob === undefined ? 'ENOENT' : entryFromBlob(directory.name, blob)
    requireDirectory(found, directory)
  }
}

/** What a listing has told so far, while it is short enough to be kept. */
class FoundLevel {
  readonly #cache: ListingCache
  #entries: EntryMap | undefined = new EntryMap()
  #isEmpty = true
  #isMore = false

  constructor(cache: ListingCache) {
    this.#cache = cache
  }

  get isNothing(): boolean {
    return this.#isEmpty && !this.#isMore
  }

  add({ entries, isMore }: LevelPart): void {
    this.#isEmpty &&= entries.length === 0
    this.#isMore ||= isMore
    for (const entry of entries) this.#entries?.set(baseName(entry.name), entry)
    if (this.#entries && !this.#cache.hasRoomFor(this.#entries.size)) this.#entries = undefined
  }

  /** The complete listing of `directory`. */
  keepAs(directory: BlobPath): void {
    if (this.#entries === undefined) this.#cache.outgrown(directory)
    else this.#cache.keep(directory, this.#entries, { slashMarker: this.#isMore })
  }
}

/** Whether what is known of some entry is not all that `stat` tells. */
function isLacking(entries: EntriesByName, options: LookupOptions): boolean {
  return options.metadata === true && [...entries.values()].some(({ partial }) => partial === true)
}

/** Only what the store takes: the lookup's own options stay here. */
export function callOptions(options: CallOptions): CallOptions {
  return options.signal === undefined ? {} : { signal: options.signal }
}

/** The value, or `undefined` when the promise rejects with ENOENT or ENOTDIR. */
export async function unlessMissing<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise
  } catch (error) {
    if (isFileSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
}

function requireDirectory(known: Entry | ErrnoCode | undefined, directory: BlobPath): void {
  if (known === undefined) return
  const code = typeof known === 'string' ? known : 'ENOTDIR'
  if (typeof known === 'object' && known.type === 'directory') return
  throw new FileSystemError(code, 'list', { path: formatPath(directory) })
}
