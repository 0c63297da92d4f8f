import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import type { BlobPath } from '../path.ts'
import { impliedDirectory } from './blob-entry.ts'
import { baseName, parentName } from './blob-name.ts'
import type { Entry } from './entry.ts'
import type { EntriesByName } from './entry-map.ts'

/** All that one directory holds, as of one moment and with our own changes since. */
export interface Listing {
  /** By base name. */
  readonly entries: EntriesByName
  readonly expiresAtMs: number
  /** Whether a blob `dir/` marks the directory. */
  readonly slashMarker: boolean
}

export interface ListingCacheOptions {
  readonly clock: Clock
  readonly ttlMs: number
  /** Entries of all listings together. */
  readonly maxEntries: number
}

/** How a cache of listings is used. */
export interface ListingCacheStats {
  /** Listings that are held, and the names in them. */
  readonly listings: number
  readonly entries: number
  /** How many names and listings may be held together: the one used least recently goes first. */
  readonly maxEntries: number
  /** Look-ups of names and directories that they answered, and those for which the service had to be asked. */
  readonly hits: number
  readonly misses: number
}

/** What a listing under way has missed: a change of ours makes it too old to be kept. */
export interface PendingListing {
  changed: boolean
}

/** What a listing of a whole tree under way has missed. */
export interface PendingTree {
  /** Whether all that it tells is too old. */
  readonly stale: boolean
  /** Whether what it tells of the names in `directory` is too old. */
  hasChanged(directory: BlobPath): boolean
}

class ChangesBelow implements PendingTree {
  stale = false
  readonly prefix: string
  readonly #top: string
  readonly #changed = new Set<string>()

  constructor(directory: BlobPath) {
    this.prefix = below(directory)
    this.#top = keyOf(directory)
  }

  hasChanged(directory: BlobPath): boolean {
    return this.stale || this.#changed.has(keyOf(directory))
  }

  note(key: string): void {
    if (key === this.#top || key.startsWith(this.prefix)) this.#changed.add(key)
  }
}

/**
 * Complete listings of directories, for a time. Changes that this process makes are written through,
 * so a kept listing is never behind them.
 */
export class ListingCache {
  readonly #clock: Clock
  readonly #ttlMs: number
  readonly #listings: LRUCache<string, Listing>
  readonly #pending = new Map<string, Set<PendingListing>>()
  readonly #trees = new Set<ChangesBelow>()
  #hits = 0
  #misses = 0

  constructor(options: ListingCacheOptions) {
    this.#clock = options.clock
    this.#ttlMs = options.ttlMs
    this.#listings = new LRUCache<string, Listing>({
      maxSize: options.maxEntries,
      sizeCalculation: (listing) => listing.entries.size + 1,
    })
  }

  /** The listing of `directory` while it may be believed. */
  fresh(directory: BlobPath): Listing | undefined {
    const listing = this.#listings.get(keyOf(directory))
    return listing !== undefined && listing.expiresAtMs > this.#clock.nowMs() ? listing : undefined
  }

  get stats(): ListingCacheStats {
    const { size, calculatedSize } = this.#listings
    return {
      listings: size,
      entries: calculatedSize - size,
      maxEntries: this.#listings.maxSize,
      hits: this.#hits,
      misses: this.#misses,
    }
  }

  /** Notes a look-up, and whether listings answered it. */
  count(isHit: boolean): void {
    if (isHit) this.#hits += 1
    else this.#misses += 1
  }

  /** How many entries the last known listing had, believable or not. */
  lastSize(directory: BlobPath): number | undefined {
    return this.#listings.peek(keyOf(directory))?.entries.size
  }

  /** To be called before `directory` is listed: changes made from here on are noticed. */
  begin(directory: BlobPath): PendingListing {
    const key = keyOf(directory)
    const pending = { changed: false }
    const others = this.#pending.get(key)
    if (others === undefined) this.#pending.set(key, new Set([pending]))
    else others.add(pending)
    return pending
  }

  /** Ends what `begin` began, whether or not a listing came of it. */
  end(directory: BlobPath, pending: PendingListing): void {
    const key = keyOf(directory)
    const others = this.#pending.get(key)
    others?.delete(pending)
    if (others?.size === 0) this.#pending.delete(key)
  }

  /** As `begin`, before everything below `directory` is listed. */
  beginTree(directory: BlobPath): PendingTree {
    const tree = new ChangesBelow(directory)
    this.#trees.add(tree)
    return tree
  }

  endTree(tree: PendingTree): void {
    for (const each of this.#trees) if (each === tree) this.#trees.delete(each)
  }

  /** Whether a listing of so many names may be kept. */
  hasRoomFor(names: number): boolean {
    return names < this.#listings.maxSize
  }

  /** Forgets the listing of `directory`, which was seen to be of too many names to be kept. */
  outgrown(directory: BlobPath): void {
    this.#listings.delete(keyOf(directory))
  }

  /** Keeps a complete listing; `sinceMs` is when it was begun, where that is not just now. */
  keep(
    directory: BlobPath,
    entries: EntriesByName,
    options: { readonly slashMarker: boolean; readonly sinceMs?: number | undefined },
  ): void {
    const nowMs = this.#clock.nowMs()
    const { slashMarker, sinceMs = nowMs } = options
    const expiresAtMs = sinceMs + lifeMs(this.#ttlMs, entries.size)
    if (expiresAtMs <= nowMs) return
    this.#listings.set(keyOf(directory), { entries, expiresAtMs, slashMarker })
  }

  /** Writes an entry into its parent's listing, and the directories it implies into theirs. */
  upsert(path: BlobPath, entry: Entry): void {
    if (path.name === '') return
    this.#change(parentOf(path), (entries) => entries.set(baseName(path.name), entry))
    this.#imply(parentOf(path))
  }

  /** Takes a name out of its parent's listing. What is kept below it is the caller's to forget. */
  remove(path: BlobPath): void {
    this.#change(parentOf(path), (entries) => void entries.delete(baseName(path.name)))
  }

  /** Forgets the listing of `path` and, when `recursive`, of all directories below it. */
  invalidate(path: BlobPath, recursive: boolean): void {
    const key = keyOf(path)
    this.#forget(key)
    if (!recursive) return
    const prefix = below(path)
    for (const each of [...this.#listings.keys(), ...this.#pending.keys()]) {
      if (each.startsWith(prefix)) this.#forget(each)
    }
    for (const tree of this.#trees) {
      if (tree.prefix.startsWith(prefix) || prefix.startsWith(tree.prefix)) tree.stale = true
    }
  }

  /** Forgets the listings of all directories above `path`. */
  invalidateParents(path: BlobPath): void {
    for (let each = path; each.name !== ''; each = parentOf(each))
      this.#forget(keyOf(parentOf(each)))
  }

  clear(): void {
    for (const key of [...this.#listings.keys(), ...this.#pending.keys()]) this.#forget(key)
    for (const tree of this.#trees) tree.stale = true
  }

  #imply(directory: BlobPath): void {
    for (let each = directory; each.name !== ''; each = parentOf(each)) {
      const name = baseName(each.name)
      const known = this.#listings.peek(keyOf(parentOf(each)))?.entries.get(name)
      if (known?.type === 'directory') return
      this.#change(parentOf(each), (entries) => entries.set(name, impliedDirectory(each.name)))
    }
  }

  #change(directory: BlobPath, edit: (entries: EntriesByName) => void): void {
    const key = keyOf(directory)
    this.#noteChange(key)
    const listing = this.#listings.peek(key)
    if (listing === undefined) return
    const { size } = listing.entries
    edit(listing.entries)
    // Set anew under the same expiry, so that the size that bounds the cache is counted again.
    if (listing.entries.size !== size) this.#listings.set(key, { ...listing })
  }

  #forget(key: string): void {
    this.#noteChange(key)
    this.#listings.delete(key)
  }

  #noteChange(key: string): void {
    const pending = this.#pending.get(key)
    if (pending !== undefined) for (const each of pending) each.changed = true
    for (const tree of this.#trees) tree.note(key)
  }
}

/**
 * Who was told many names is not done with them when a short life ends, and would be told all anew: `ls -l` of
 * 100,000 takes longer than 5 seconds.
 */
function lifeMs(ttlMs: number, names: number): number {
  const tenths = Math.min(Math.floor(names / namesPerTenth), maxTenths)
  return Math.min(ttlMs * (1 + tenths / 10), Number.MAX_SAFE_INTEGER)
}

/** A page of a listing. */
const namesPerTenth = 5000
/** No listing lives longer than five times as long as a short one. */
const maxTenths = 40

/** The directory that holds `path`. */
export function parentOf(path: BlobPath): BlobPath {
  return { container: path.container, name: parentName(path.name) }
}

function keyOf(path: BlobPath): string {
  return `${path.container}/${path.name}`
}

/** What the keys of all directories below `path` begin with. */
function below(path: BlobPath): string {
  return path.name === '' ? keyOf(path) : `${keyOf(path)}/`
}
