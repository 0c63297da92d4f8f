import type { BlobAdministration } from '../blob/administration.ts'
import type { HierarchyOf } from '../blob/hierarchy.ts'
import type { BlobStore, CallOptions, LendRead } from '../blob/store.ts'
import { MiB } from '../byte-range.ts'
import { type Clock, systemClock } from '../clock.ts'
import { Limiter, mapConcurrent } from '../concurrency.ts'
import {
  expectCall,
  expectDuration,
  expectList,
  expectMethod,
  expectOptions,
  expectSignal,
  expectWhole,
} from '../expect-option.ts'
import type { ListingCacheStats } from '../namespace/listing-cache.ts'
import { type DirectoryMode, Namespace } from '../namespace/namespace.ts'
import { entriesWithin } from '../namespace/namespace-options.ts'
import type { RequestCounts } from '../telemetry.ts'
import { ChunkCache } from '../transfer/chunk-cache.ts'
import type { DiskCacheStats } from '../transfer/disk-cache.ts'
import { MemoryBudget } from '../transfer/memory-budget.ts'
import { inTurns } from '../turns.ts'
import { AccountPlaces } from './account-places.ts'
import { drawTree, type TreeDrawingOptions } from './draw-tree.ts'
import { type ExpandOptions, expandPath } from './expand-path.ts'
import { checksumOf, timeOf, uniqueKeyOf } from './file-identity.ts'
import { type FileInfo, fullName } from './file-info.ts'
import { glob } from './glob.ts'
import { asksForStates, findStates, listStates, type StateChoice } from './list-states.ts'
import type { PathInput } from './location.ts'
import { checkProgress, Met, type ProgressOptions } from './progress.ts'
import { noteRemote, type Remote } from './remote.ts'
import { RemoteView } from './remote-view.ts'
import {
  everythingBelow,
  type FindOptions,
  find,
  type WalkOptions,
  type WalkStep,
  walk,
} from './walk.ts'

export interface AzureBlobFileSystemOptions {
  /** The account. Closed by `close()`. */
  readonly store: BlobStore
  /** Its directories and listings; absent: one of its own. */
  readonly namespace?: Namespace | undefined
  /** The hierarchy of an account that has one, without `namespace`. Absent: names are flat. */
  readonly hierarchyOf?: HierarchyOf | undefined
  /** Bytes that readers share; absent: one of its own, of 64 MiB. */
  readonly chunkCache?: ChunkCache | undefined
  /** The memory that all transfers share; absent: 256 MiB of its own. */
  readonly memory?: MemoryBudget | undefined
  readonly clock?: Clock | undefined
  /** Requests under way at once, and files of a tree. Default 16, and 32 of files up to 64 KiB. */
  readonly concurrency?: number | undefined
  /** How long a listing answers without being asked again, without `namespace`. Default 5,000 ms. */
  readonly listingTtlMs?: number | undefined
  /**
   * How many names listings hold in memory, without `namespace`. Default 200,000, and no more than half the bytes of
   * `memory` have room for.
   */
  readonly listingCacheEntries?: number | undefined
  /** What makes a directory on flat names, without `namespace`. Default `marker`. */
  readonly directoryMode?: DirectoryMode | undefined
  /** Bytes per request of a transfer. Default 8 MiB. */
  readonly blockBytes?: number | undefined
  /**
   * A service that begins to answer within this many milliseconds is read in one long request where
   * much is read in sequence; others in several at once. Default 50; 0 never, `Infinity` always.
   */
  readonly streamBelowMs?: number | undefined
  /** Tags, tiers, versions, deleted files and signatures. Absent: those are `ENOTSUP`. */
  readonly administration?: BlobAdministration | undefined
  /** Lends the account's credential to copies from it to another account, on the server's side. */
  readonly lendRead?: LendRead | undefined
  /** What was sent to the account so far, for `stats`. Absent: nobody counts. */
  readonly requestCounts?: (() => RequestCounts) | undefined
  /** How the file system was made, without secrets; what `toJSON` gives. */
  readonly recipe?: object | undefined
}

export interface InfoOptions extends CallOptions {
  /** Asks the service even when a listing in memory knows. */
  readonly refresh?: boolean | undefined
  /**
   * Whether a listing of a hierarchical account tells metadata, and with it links, owners' numbers
   * and exact times, which costs it a second request per page. Default false.
   */
  readonly metadata?: boolean | undefined
}

export interface Preference {
  /**
   * Which of the two is told, where a file and a directory have one name, as on flat accounts they may.
   * Absent: what a listing in memory shows (the directory), else the file.
   */
  readonly prefer?: 'file' | 'directory' | undefined
}

/** What a listing shows beside the files that are there; each state of a file is an entry of its own. */
export interface ListingOptions extends InfoOptions, StateChoice {}

/** What a file system did since it was made. */
export interface FileSystemStats {
  /** Requests to the account; `undefined` for one that was put together without a counter. */
  readonly requests: RequestCounts | undefined
  readonly memoryCache: {
    /** Bytes held now. */
    readonly bytes: number
    /** Look-ups that found their bytes in memory. */
    readonly hits: number
    /** Blocks that were fetched, ahead of readers or for them. */
    readonly loads: number
  }
  readonly listingCache: ListingCacheStats
  /** `undefined` without one. */
  readonly diskCache: DiskCacheStats | undefined
}

const defaultListingTtlMs = 5000

/** What an account holds: listing, searching and asking. See `AzureBlobFileSystem`. */
export class AccountTree extends AccountPlaces {
  readonly #remote: Remote
  readonly #recipe: object | undefined
  readonly #requestCounts: (() => RequestCounts) | undefined

  /** `TypeError` or `RangeError` that names the option. */
  constructor(options: AzureBlobFileSystemOptions) {
    super()
    expectOptions(options, '{ store }: createFileSystem() and fromUrl() connect to an account')
    expectMethod('store', options.store, {
      method: 'stageBlock',
      wanted: 'a BlobStore: createFileSystem() and fromUrl() connect to an account',
    })
    expectWhole('concurrency', options.concurrency, 'files at once', 1)
    expectWhole('blockBytes', options.blockBytes, 'bytes', 1)
    expectDuration('listingTtlMs', options.listingTtlMs)
    expectWhole('listingCacheEntries', options.listingCacheEntries, 'names', 1)
    expectDuration('streamBelowMs', options.streamBelowMs)
    const { store, clock = systemClock, concurrency = 16 } = options
    const smallConcurrency = options.concurrency ?? 2 * concurrency
    const listingTtlMs = options.listingTtlMs ?? defaultListingTtlMs
    const { administration, hierarchyOf, directoryMode } = options
    const memory = options.memory ?? new MemoryBudget()
    const { listingCacheEntries = entriesWithin(memory.maxBytes) } = options
    const kept = { listingTtlMs, listingCacheEntries }
    const tagsOf = administration?.getTags.bind(administration)
    const names = { store, hierarchyOf, clock, directoryMode, tagsOf, ...kept }
    const namespace = options.namespace ?? new Namespace(names)
    this.#recipe = options.recipe
    this.#requestCounts = options.requestCounts
    this.#remote = noteRemote(this, {
      store,
      namespace,
      clock,
      concurrency,
      smallConcurrency,
      caches: new Map(),
      chunkCache: options.chunkCache ?? new ChunkCache({ maxBytes: 64 * MiB }),
      limiter: new Limiter(concurrency),
      smallLimiter: new Limiter(smallConcurrency),
      memory,
      spareBuffers: [],
      blockBytes: options.blockBytes ?? 8 * MiB,
      streamBelowMs: options.streamBelowMs,
      lendRead: options.lendRead,
      tagsOf: administration && ((path) => administration.getTags(path)),
      view: new RemoteView(namespace),
      wholeView: new RemoteView(namespace, { metadata: true }),
    })
  }

  /** What the operations share. */
  protected get remote(): Remote {
    return this.#remote
  }

  override get account(): string {
    return this.remote.store.account
  }

  /** How it was made, without secrets, for `fromJSON`; the account alone when it was put together by hand. */
  toJSON(): object {
    return this.#recipe ?? { account: this.account }
  }

  /**
   * Requests by operation, bytes, retries, hedges and uses of the caches since it was made. Asks nobody.
   * Subtract two to know what lies between.
   */
  stats(): FileSystemStats {
    const { chunkCache } = this.remote
    return {
      requests: this.#requestCounts?.(),
      memoryCache: { bytes: chunkCache.sizeBytes, ...chunkCache.uses },
      listingCache: this.remote.namespace.listingStats,
      diskCache: chunkCache.disk?.stats,
    }
  }

  /** `container/path`, which any spelling of a path or URL stands for. `EINVAL` for another account. */
  nameOf(path: PathInput): string {
    return fullName(this.place(path, 'nameOf'))
  }

  /**
   * The children of a directory by name; a file's own entry; the containers at the root. With `versions`,
   * `snapshots` or `deleted` each state of a file is an entry, the oldest first (`isCurrent` tells the one
   * that is there); with `tags` entries tell the index tags. Those are always asked of the service.
   */
  async ls(path: PathInput, options: ListingOptions = {}): Promise<FileInfo[]> {
    const name = fullName(this.place(path, 'ls', options))
    const { refresh: fresh, ...more } = options
    if (asksForStates(options)) return listStates(this.remote, name, { ...more, fresh })
    const { signal, metadata } = options
    return this.remote.view.listOrSelf(name, { signal, fresh, metadata })
  }

  /** What is known of `path`; `ENOENT` when nothing has that name. */
  async info(path: PathInput, options: InfoOptions & Preference = {}): Promise<FileInfo> {
    const place = this.place(path, 'info', options)
    const { signal, refresh: fresh, prefer } = options
    return this.remote.view.info(fullName(place), { signal, fresh, prefer })
  }

  /** The same as {@link info}. */
  stat(path: PathInput, options?: InfoOptions & Preference): Promise<FileInfo> {
    return this.info(path, options)
  }

  /** Whether anything has that name; false on `ENOENT` and `ENOTDIR` only, others are thrown. */
  async exists(path: PathInput, options?: InfoOptions): Promise<boolean> {
    return (await this.#infoIfAny(path, options)) !== undefined
  }

  /** The same as {@link exists}: a link is never followed, so one whose target is missing exists. */
  lexists(path: PathInput, options?: InfoOptions): Promise<boolean> {
    return this.exists(path, options)
  }

  /** Whether `path` is a directory; false when it is missing. */
  async isDir(path: PathInput, options?: InfoOptions): Promise<boolean> {
    return (await this.#infoIfAny(path, options))?.type === 'directory'
  }

  /** Whether `path` is a file; false when it is missing. */
  async isFile(path: PathInput, options?: InfoOptions): Promise<boolean> {
    return (await this.#infoIfAny(path, options))?.type === 'file'
  }

  /** Bytes of a file; 0 for directories. */
  async size(path: PathInput, options?: InfoOptions): Promise<number> {
    return (await this.info(path, options)).size
  }

  /** Bytes of each, in the order asked. */
  async sizes(paths: readonly PathInput[], options?: InfoOptions): Promise<number[]> {
    expectCall(options)
    expectList('paths', paths, 'paths')
    return mapConcurrent(paths, this.remote.concurrency, (path) => this.size(path, options))
  }

  /** When the blob was made; `ENOTSUP` for a directory that nothing marks. */
  async created(path: PathInput, options?: InfoOptions): Promise<Date> {
    return timeOf(await this.info(path, options), 'created')
  }

  /** When the content was last changed; `ENOTSUP` for a directory that nothing marks. */
  async modified(path: PathInput, options?: InfoOptions): Promise<Date> {
    return timeOf(await this.info(path, options), 'modified')
  }

  /** Equal for two files only if their bytes are: the MD5 that the service keeps, else the version. */
  async checksum(path: PathInput, options?: InfoOptions): Promise<string> {
    expectCall(options)
    return checksumOf(await this.info(path, { refresh: true, ...options }))
  }

  /** Changes with every change of the file, and with nothing else; asked of the service. */
  async ukey(path: PathInput, options?: InfoOptions): Promise<string> {
    expectCall(options)
    return uniqueKeyOf(await this.info(path, { refresh: true, ...options }))
  }

  /** Whether both, in whatever spelling, name one file or directory; `ENOENT` when it is missing. */
  async isSameFile(a: PathInput, b: PathInput, options?: InfoOptions): Promise<boolean> {
    const [first, second] = await Promise.all([this.info(a, options), this.info(b, options)])
    return first.name === second.name
  }

  /**
   * Files below `path` (or the file itself) by name; with `withDirs` directories and `path` too; with `prefix` those whose
   * part below `path` begins with it. Former and deleted states and tags as in {@link ls}.
   */
  async find(path: PathInput, options: FindOptions & StateChoice = {}): Promise<FileInfo[]> {
    const name = fullName(this.place(path, 'find', options))
    if (asksForStates(options)) return findStates(this.remote, name, options)
    return find(this.remote.view, name, options)
  }

  /** Directory by directory; see {@link WalkStep}. */
  walk(path: PathInput, options: WalkOptions = {}): AsyncGenerator<WalkStep<FileInfo>, void> {
    expectSignal(options)
    return walk(this.remote.view, fullName(this.place(path, 'walk')), options)
  }

  /** What matches `pattern`, by name; see `compilePattern` for the rules. */
  async glob(
    pattern: PathInput,
    options: CallOptions & { readonly maxDepth?: number | undefined } = {},
  ): Promise<FileInfo[]> {
    return glob(this.remote.view, this.namePlace(pattern, 'glob', options), options)
  }

  /** The entries that patterns and directories stand for; `ENOENT` when there are none. */
  async expandPath(
    paths: PathInput | readonly PathInput[],
    options: ExpandOptions = {},
  ): Promise<FileInfo[]> {
    return expandPath(this.remote.view, this.names(paths, 'expandPath', options), options)
  }

  /** Bytes of all files below `path`, or with `prefix` of those that {@link find} tells. `onProgress` is told what is listed. */
  async du(path: PathInput, options: FindOptions & ProgressOptions = {}): Promise<number> {
    const name = fullName(this.place(path, 'du', options))
    checkProgress(options)
    const met = new Met(options.onProgress)
    for await (const page of everythingBelow(this.remote.view, name, options)) met.tell(name, page)
    return met.totalBytes
  }

  /** Bytes of each file below `path`, by name; with `withDirs` directories too, with 0. */
  async diskUsage(path: PathInput, options: FindOptions = {}): Promise<Map<string, number>> {
    const files = await this.find(path, options)
    const sizes = new Map<string, number>()
    for await (const part of inTurns(files))
      for (const { name, size } of part) sizes.set(name, size)
    return sizes
  }

  /** The lines of a drawing of what lies below `path`. */
  tree(path: PathInput, options: TreeDrawingOptions = {}): AsyncGenerator<string, void> {
    expectSignal(options)
    return drawTree(this.remote.view, fullName(this.place(path, 'tree')), options)
  }

  /** The target of a symbolic link; `EINVAL` when `path` is something else. */
  async readLink(path: PathInput, options: CallOptions = {}): Promise<string> {
    const place = this.filePlace(path, 'readLink', options)
    return this.remote.namespace.readSymlink(place, options)
  }

  /** Whether the account that `path` is in has a hierarchical namespace; asked of it once. */
  async isHierarchical(path: PathInput, options: CallOptions = {}): Promise<boolean> {
    const { container } = this.place(path, 'isHierarchical', options)
    return this.remote.namespace.isHierarchical(container, options)
  }

  /** Forgets listings at and below `path`; all when absent. */
  invalidateCache(path?: PathInput): void {
    const place = path === undefined ? undefined : this.place(path, 'invalidateCache')
    this.remote.namespace.invalidate(place?.container === '' ? undefined : place)
  }

  async #infoIfAny(path: PathInput, options: InfoOptions = {}): Promise<FileInfo | undefined> {
    const place = this.place(path, 'info', options)
    return this.remote.view.stat(fullName(place), {
      signal: options.signal,
      fresh: options.refresh,
    })
  }
}
