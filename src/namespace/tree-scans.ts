import type { BlobStore, CallOptions } from '../blob/store.ts'
import type { Clock } from '../clock.ts'
import { isFileSystemError } from '../errors.ts'
import type { BlobPath } from '../path.ts'
import { childPrefix } from './blob-name.ts'
import { DirectoryCollector } from './directory-collector.ts'
import type { HiddenListener, UnreachableListener } from './listing.ts'
import type { ListingCache, PendingTree } from './listing-cache.ts'
import { Traversals } from './traversal.ts'

interface ScanParts {
  readonly store: BlobStore
  readonly cache: ListingCache
  readonly clock: Clock
  readonly onUnreachable: UnreachableListener
  readonly onHidden: HiddenListener
  /** The most entries of a directory that is kept. */
  readonly maxEntries: number
}

/** Directories that may be asked for in vain before a scan is given up. */
const maxMisses = 2
/** Trees that are gone through at the same time. */
const maxScans = 4

/**
 * Lists trees as a whole, page by page, ahead of those who go through them directory by directory:
 * a request then answers for as many directories as a page tells of. Fills the cache of listings.
 */
export class TreeScans {
  readonly #parts: ScanParts
  readonly #traversals: Traversals
  readonly #scans: TreeScan[] = []

  constructor(parts: ScanParts) {
    this.#parts = parts
    this.#traversals = new Traversals(parts.clock)
  }

  /** Notes that `directory` was listed by itself. */
  listed(directory: BlobPath): void {
    this.#traversals.listed(directory.container, directory.name)
  }

  /** Gets `directory` into the cache where whoever asks for it seems to go through a tree. */
  async cover(directory: BlobPath, options: CallOptions): Promise<void> {
    for (const scan of this.#scans.filter(({ stale }) => stale)) this.#drop(scan)
    const under = this.#scans.find((scan) => scan.leadsTo(directory))
    if (under !== undefined) return this.#advance(under, directory, { ...options, requests: 1 })
    const { container, name } = directory
    const suspect = this.#traversals.suspect(container, name)
    if (suspect === undefined) return
    const scan = new TreeScan({ container, name: suspect.above }, this.#parts)
    this.#scans.push(scan)
    const [oldest] = this.#scans
    if (oldest !== undefined && this.#scans.length > maxScans) this.#drop(oldest)
    await this.#advance(scan, directory, { ...options, requests: suspect.requests })
  }

  async #advance(
    scan: TreeScan,
    directory: BlobPath,
    options: CallOptions & { readonly requests: number },
  ): Promise<void> {
    try {
      for (let sent = 0; sent < options.requests && scan.leadsTo(directory); sent++) {
        await scan.advance(options)
      }
    } catch (error) {
      this.#fail(scan)
      // The listing of the directory alone will say what is wrong.
      if (!isFileSystemError(error)) throw error
      return
    }
    if (scan.ended) this.#drop(scan)
    else if (!scan.leadsTo(directory)) scan.misses = 0
    else if (++scan.misses >= maxMisses) this.#fail(scan)
  }

  #fail(scan: TreeScan): void {
    this.#traversals.failed(scan.root.container, scan.root.name)
    this.#drop(scan)
  }

  #drop(scan: TreeScan): void {
    scan.close()
    const index = this.#scans.indexOf(scan)
    if (index >= 0) this.#scans.splice(index, 1)
  }
}

/** A flat listing under way. */
class TreeScan {
  readonly root: BlobPath
  misses = 0
  ended = false
  readonly #parts: ScanParts
  readonly #pending: PendingTree
  #collector: DirectoryCollector | undefined
  #continuation: string | undefined
  #lastName = ''
  #page: Promise<void> | undefined

  constructor(root: BlobPath, parts: ScanParts) {
    this.root = root
    this.#parts = parts
    this.#pending = parts.cache.beginTree(root)
  }

  /** Whether what it tells is too old to be kept. */
  get stale(): boolean {
    return this.#pending.stale
  }

  /** Whether what `directory` holds is to come. */
  leadsTo({ container, name }: BlobPath): boolean {
    if (this.ended || this.stale || container !== this.root.container) return false
    const prefix = childPrefix(name)
    if (!prefix.startsWith(childPrefix(this.root.name)) || name === this.root.name) return false
    return this.#lastName <= prefix || this.#lastName.startsWith(prefix)
  }

  /** Reads the next page; callers that overlap share it. */
  async advance(options: CallOptions): Promise<void> {
    this.#page ??= this.#read(options).finally(() => {
      this.#page = undefined
    })
    await this.#page
  }

  close(): void {
    this.ended = true
    this.#parts.cache.endTree(this.#pending)
  }

  async #read({ signal }: CallOptions): Promise<void> {
    const { store, clock } = this.#parts
    const sinceMs = clock.nowMs()
    const prefix = { ...this.root, name: childPrefix(this.root.name) }
    const page = await store.listPage(prefix, { signal, continuation: this.#continuation })
    if (this.ended) return
    this.#collector ??= this.#newCollector(sinceMs)
    this.#collector.add(page.entries, sinceMs)
    this.#lastName = page.entries.at(-1)?.name ?? this.#lastName
    this.#continuation = page.continuation
    if (page.continuation !== undefined) return
    this.#collector.end()
    this.ended = true
  }

  #newCollector(sinceMs: number): DirectoryCollector {
    const { cache, maxEntries, onUnreachable, onHidden } = this.#parts
    const { container } = this.root
    return new DirectoryCollector(this.root.name, sinceMs, {
      maxEntries,
      onUnreachable: (name) => onUnreachable({ container, name }),
      onHidden: (name) => onHidden({ container, name }),
      onDirectory: (found) => {
        const path = { container, name: found.name }
        // What is there already may know of changes that the page did not.
        const isKnown = this.#pending.hasChanged(path) || cache.fresh(path) !== undefined
        if (!isKnown) cache.keep(path, found.entries, found)
      },
    })
  }
}
