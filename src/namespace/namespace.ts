import type { AccessControl, HierarchyStore } from '../blob/hierarchy.ts'
import type { BlobStore, CallOptions, Conditions, Metadata } from '../blob/store.ts'
import { systemClock } from '../clock.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { collectPages } from '../turns.ts'
import { checkPath, isReserved } from './blob-name.ts'
import { listContainers, makeContainer } from './containers.ts'
import {
  createDirectory,
  type NamespaceParts,
  removeDirectory,
  requireAbsent,
  requireParent,
} from './directories.ts'
import type { Entry, PosixAttributes } from './entry.ts'
import { type ChangeOptions, changeMetadata, setAttributes } from './entry-metadata.ts'
import { hiddenFilesTold } from './hidden-files.ts'
import { HierarchicalNames, type SettleOptions } from './hierarchical-names.ts'
import { Leaving } from './leaving.ts'
import { walkTree } from './listing.ts'
import { type Listing, ListingCache, type ListingCacheStats } from './listing-cache.ts'
import { callOptions, Lookup } from './lookup.ts'
import {
  entriesWithin,
  flatNames,
  type MakeDirectoryOptions,
  type NamespaceOptions,
  type StatOptions,
  type TreeListingOptions,
} from './namespace-options.ts'
import {
  type RemoveFileOptions,
  type RemoveTreeOptions,
  removeFile,
  removeTree,
} from './removal.ts'
import { copyFile, type Renamed, type RenameOptions, rename } from './rename.ts'
import { type RecoveredRename, type RecoverOptions, recoverRenames } from './rename-recovery.ts'
import { createSymlink, readSymlink } from './symlinks.ts'
import { TreeScans } from './tree-scans.ts'

export type { MovedBlob, RenameProgress } from './move-tree.ts'
export type * from './namespace-options.ts'
export type { CopiedEntry, RenameOptions } from './rename.ts'
export type { RecoveredRename, RecoverOptions } from './rename-recovery.ts'

/**
 * Directories and files over the flat names of blobs: what `stat`, `list` and the operations on
 * names mean. Both the library and the drive stand on it.
 *
 * A directory exists because blobs lie below it, or because a blob marks it: `dir`, empty, with
 * `hdi_isfolder=true` (which is what this writes), or `dir/`. Where a listing shows a directory and
 * a file of one name, the directory is the entry; a `stat` that no listing answers asks for the blob
 * alone and finds the file. Blobs whose names cannot be paths are left out, and counted.
 *
 * Errors are `FileSystemError`s with the codes of the system call that the method is named after.
 */
export class Namespace {
  readonly store: BlobStore
  readonly #cache: ListingCache
  readonly #lookup: Lookup
  readonly #parts: NamespaceParts
  readonly #onUnreachable: (path: BlobPath) => void
  #unreachableCount = 0
  #names: HierarchicalNames | undefined

  constructor(options: NamespaceOptions) {
    this.store = options.store
    const { clock = systemClock, listingTtlMs: ttlMs = 5000, directoryMode = 'marker' } = options
    const { listingCacheEntries: maxEntries = entriesWithin(), hierarchyOf = flatNames } = options
    this.#cache = new ListingCache({ clock, ttlMs, maxEntries })
    this.#onUnreachable = (path) => {
      this.#unreachableCount += 1
      options.onUnreachable?.(path)
    }
    const { store, tagsOf } = options
    const parts = { store, tagsOf, cache: this.#cache, clock, hierarchyOf, directoryMode }
    const onUnreachable = this.#onUnreachable
    const onHidden = hiddenFilesTold()
    const scanned = { ...parts, onUnreachable, onHidden, maxEntries: maxEntries / 2 }
    const scans = options.scanTrees === true && ttlMs > 0 ? new TreeScans(scanned) : undefined
    this.#lookup = new Lookup({ ...parts, onUnreachable, onHidden, scans })
    this.#parts = { ...parts, lookup: this.#lookup, leaving: new Leaving() }
  }

  /** How often listings have met a blob whose name cannot be a path. */
  get unreachableCount(): number {
    return this.#unreachableCount
  }

  /** How the listings in memory are used. */
  get listingStats(): ListingCacheStats {
    return this.#cache.stats
  }

  /** What `path` is. `ENOENT`; `ENOTDIR` when a file is known to stand where a directory should. */
  async stat(path: BlobPath, options: StatOptions = {}): Promise<Entry> {
    checkPath(path, 'stat')
    return this.#lookup.stat(path, options)
  }

  /** As `stat`; `undefined` instead of `ENOENT`. */
  async find(path: BlobPath, options: StatOptions = {}): Promise<Entry | undefined> {
    checkPath(path, 'stat')
    return this.#lookup.unlessAbsent(path, options)
  }

  /** What listings in memory say of `path`; asks nobody. `undefined` when they say nothing. */
  known(path: BlobPath): Entry | undefined {
    const known = this.#lookup.known(path)
    return typeof known === 'object' ? known : undefined
  }

  /** Whether `path` exists; only ENOENT and ENOTDIR give false. */
  async exists(path: BlobPath, options: StatOptions = {}): Promise<boolean> {
    if (isReserved(path.name)) return false
    checkPath(path, 'stat')
    return typeof (await this.#lookup.find(path, options).catch(missing)) !== 'string'
  }

  /** What lies directly in `directory`, in the service's order; in the account's root: containers. `ENOENT`, `ENOTDIR`. */
  list(directory: BlobPath, options: StatOptions = {}): Promise<readonly Entry[]> {
    return collectPages(this.listPages(directory, options))
  }

  /** As {@link list}, page by page: what is too much to be kept is not held. */
  async *listPages(
    directory: BlobPath,
    options: StatOptions = {},
  ): AsyncGenerator<readonly Entry[], void, undefined> {
    checkPath(directory, 'list')
    if (directory.container === '') yield await listContainers(this.#parts, options)
    else yield* this.#lookup.pages(directory, options)
  }

  /**
   * Everything below `directory` from one flat listing: files and, when asked, each directory once,
   * before what lies in it. `ENOENT`, `ENOTDIR`. Of a hierarchical account entries tell metadata
   * only when that is asked for.
   */
  async *listTree(
    directory: BlobPath,
    options: TreeListingOptions = {},
  ): AsyncGenerator<Entry, void, undefined> {
    for await (const entries of this.listTreePages(directory, options)) yield* entries
  }

  /** As {@link listTree}, as many at a time as the service gives: each step of a generator has a price. */
  async *listTreePages(
    directory: BlobPath,
    options: TreeListingOptions = {},
  ): AsyncGenerator<readonly Entry[], void, undefined> {
    checkPath(directory, 'list')
    let empty = true
    const names = await this.#hierarchical(directory, options)
    const walk = {
      ...callOptions(options),
      directories: options.directories ?? false,
      prefix: options.prefix,
      metadata: options.metadata,
      onUnreachable: this.#onUnreachable,
    }
    const pages = names?.walk(directory, walk) ?? walkTree(this.store, directory, walk)
    for await (const entries of pages) {
      empty &&= entries.length === 0
      if (entries.length > 0) yield entries
    }
    const isPart = options.prefix !== undefined && options.prefix !== ''
    if (!empty || isPart || directory.name === '') return
    const found = await this.#lookup.stat(directory, options)
    if (found.type !== 'directory') throw failure('ENOTDIR', 'list', directory)
  }

  /**
   * Makes a directory (as `directoryMode` says), or a container. `EEXIST`; `ENOENT` when the directory above
   * is missing, unless `parents`. Until the listing's time passes nothing needs to be asked about
   * names in it.
   */
  async makeDirectory(path: BlobPath, options: MakeDirectoryOptions = {}): Promise<Entry> {
    checkPath(path, 'mkdir')
    if (path.name === '') return makeContainer(this.#parts, path, options)
    const names = await this.#hierarchical(path, options)
    if (names !== undefined) return names.makeDirectory(path, options)
    await requireParent(this.#parts, path, options)
    await requireAbsent(this.#parts, path, { ...callOptions(options), syscall: 'mkdir' })
    return createDirectory(this.#parts, path, options)
  }

  /** Removes an empty directory; `ENOTEMPTY`, `ENOTDIR`, `ENOENT`; `EBUSY` for a container. */
  async removeDirectory(path: BlobPath, options: CallOptions = {}): Promise<void> {
    checkPath(path, 'rmdir')
    refuseRoot(path, 'rmdir')
    const names = await this.#hierarchical(path, options)
    if (names !== undefined) return names.removeDirectory(path, options)
    await removeDirectory(this.#parts, path, options)
  }

  /**
   * Removes a file or symbolic link. `EISDIR`, `ENOENT`; `ESTALE` when it is not at `ifMatch`. The
   * directory it was the last in stays: where nothing marks it, a marker is written first.
   */
  async removeFile(path: BlobPath, options: RemoveFileOptions = {}): Promise<void> {
    checkPath(path, 'unlink')
    await removeFile(this.#parts, path, options)
  }

  /**
   * Removes `path` and all below it, several at a time. Never a container: its root is emptied. Of a
   * directory that hides a file of its name, the file stays, and is told.
   * After a failure what is left can be seen, and removed by another call.
   */
  async removeTree(path: BlobPath, options: RemoveTreeOptions = {}): Promise<Entry | undefined> {
    checkPath(path, 'removeTree')
    if (path.container === '') refuseRoot(path, 'removeTree')
    const names = await this.#hierarchical(path, options)
    return removeTree(this.#parts, path, { ...options, names })
  }

  /** Copies a file on the server's side and waits for it. `ENOENT`; `EISDIR` on either side. */
  async copyFile(
    from: BlobPath,
    to: BlobPath,
    options: CallOptions & Pick<Conditions, 'leaseId'> = {},
  ): Promise<Entry> {
    checkPath(from, 'copy')
    checkPath(to, 'copy')
    return copyFile(this.#parts, from, to, options)
  }

  /**
   * Renames as rename(2) does: a file replaces a file, a directory an empty directory. `EEXIST` with `noReplace`, `EISDIR`,
   * `ENOTDIR`, `ENOTEMPTY`, `EINVAL` into itself, `EBUSY` for containers. One step on a hierarchical account. Elsewhere
   * not atomic: a copy is made on the server's side and checked before its source is deleted, so that at any moment each
   * file is at one place at least. The rename of a directory keeps a journal in the container: one that is interrupted is
   * finished by `recoverRenames`, or by the next rename of the same tree. A failed copy leaves the source as it was. `EBUSY`
   * while somebody else renames the tree or a part of it. Tells which version of a file was copied, and what of it was made.
   */
  async rename(from: BlobPath, to: BlobPath, options?: RenameOptions): Promise<Renamed> {
    checkPath(from, 'rename')
    checkPath(to, 'rename')
    const names = await this.#hierarchical(from, options ?? {})
    if (names === undefined) return rename(this.#parts, { from, to }, options ?? {})
    await names.rename(from, to, options ?? {})
    return undefined
  }

  /**
   * Finishes the renames of directories in `container` that were interrupted: those whose copies
   * can be completed are completed, others are undone. Tells of each; `ENOENT` without a container.
   */
  async recoverRenames(
    container: string,
    options: RecoverOptions = {},
  ): Promise<readonly RecoveredRename[]> {
    checkPath({ container, name: '' }, 'recover')
    if (container === '') {
      const detail = 'renames are recovered container by container: name one'
      throw failure('EINVAL', 'recover', { container, name: '' }, detail)
    }
    return recoverRenames(this.#parts, container, options)
  }

  /**
   * Writes attributes into the blob's metadata, which gives it another etag. An implied directory
   * gets a marker. `ENOENT`; `ENOTSUP` for a container's root, which no blob stands for.
   */
  async setAttributes(
    path: BlobPath,
    attributes: PosixAttributes,
    options: ChangeOptions = {},
  ): Promise<Entry> {
    checkPath(path, 'setattr')
    if (path.name === '') {
      const detail = 'no blob stands for the root of a container, so it keeps no attributes'
      throw failure('ENOTSUP', 'setattr', path, detail)
    }
    const names = await this.#hierarchical(path, options)
    return setAttributes(this.#parts, path, { ...options, attributes, names })
  }

  /**
   * Replaces the metadata of a file or marked directory by what `change` makes of it, on the version
   * that it was given; `undefined` changes nothing. The entry as it is then.
   */
  async changeMetadata(
    path: BlobPath,
    change: (metadata: Metadata) => Metadata | undefined,
    options: ChangeOptions = {},
  ): Promise<Entry> {
    checkPath(path, 'setxattr')
    return changeMetadata(this.#parts, path, change, options)
  }

  /** Makes a symbolic link: a blob whose body is `target`. `EEXIST` when the name is taken. */
  async createSymlink(
    path: BlobPath,
    target: string,
    options: CallOptions & { readonly posix?: PosixAttributes | undefined } = {},
  ): Promise<Entry> {
    checkPath(path, 'symlink')
    return createSymlink(this.#parts, path, target, options)
  }

  /** The target of a symbolic link; `EINVAL` when `path` is something else. */
  async readSymlink(path: BlobPath, options: CallOptions = {}): Promise<string> {
    checkPath(path, 'readlink')
    return readSymlink(this.#parts, path, options)
  }

  /**
   * Tells the cache of a blob that was committed in this process. `entry` is complete, metadata
   * included: later changes of attributes start from it.
   */
  noteCommitted(path: BlobPath, entry: Entry): void {
    this.#cache.upsert(path, entry)
  }

  /**
   * As `noteCommitted`, where the file is to have the permissions that its entry asks for: a new
   * file of a hierarchical account has others, and one that was replaced has lost its own. `before`
   * is what `accessBefore` told. The entry as it is.
   */
  async settleCommitted(path: BlobPath, entry: Entry, options: SettleOptions = {}): Promise<Entry> {
    const names = await this.#hierarchical(path, options)
    const settled = (await names?.settle(path, entry, options)) ?? entry
    this.#cache.upsert(path, settled)
    return settled
  }

  /** The access control list that a file would lose by being replaced, where it has one. */
  async accessBefore(
    path: BlobPath,
    entry: Entry | undefined,
    options: CallOptions = {},
  ): Promise<AccessControl | undefined> {
    if (entry?.permissions?.endsWith('+') !== true) return undefined
    const names = await this.#hierarchical(path, options)
    return names?.hierarchy.getAccessControl(path, callOptions(options))
  }

  /** The hierarchy that `path` is in; `ENOTSUP` where names are flat. */
  async hierarchy(
    path: BlobPath,
    syscall: string,
    options: CallOptions = {},
  ): Promise<HierarchyStore> {
    checkPath(path, syscall)
    const names = await this.#hierarchical(path, options)
    if (names !== undefined) return names.hierarchy
    const detail = 'the account has a flat namespace: only a hierarchical one has owners and lists'
    throw failure('ENOTSUP', syscall, path, detail)
  }

  /** Whether the account that `container` is in has a hierarchical namespace. */
  async isHierarchical(container: string, options: CallOptions = {}): Promise<boolean> {
    return (await this.#hierarchical({ container, name: '' }, options)) !== undefined
  }

  /**
   * The names in `directory` and what is known of each, and until when that is answered without asking;
   * milliseconds since the epoch. `undefined` when they are not known.
   */
  believed(directory: BlobPath): Pick<Listing, 'entries' | 'expiresAtMs'> | undefined {
    return this.#cache.fresh(directory)
  }

  /** Forgets listings at and, unless `recursive` is false, below `path`; all when absent. */
  invalidate(path?: BlobPath, options: { readonly recursive?: boolean } = {}): void {
    if (path === undefined) this.#cache.clear()
    else this.#cache.invalidate(path, options.recursive ?? true)
  }

  async #hierarchical(
    { container }: BlobPath,
    options: CallOptions,
  ): Promise<HierarchicalNames | undefined> {
    if (container === '') return undefined
    const hierarchy = await this.#parts.hierarchyOf(container, callOptions(options))
    if (hierarchy === undefined) return undefined
    this.#names ??= new HierarchicalNames(this.#parts, hierarchy)
    return this.#names
  }
}

function refuseRoot(path: BlobPath, syscall: string): void {
  if (path.name !== '') return
  throw failure('EBUSY', syscall, path, 'containers are not removed this way')
}

function missing(error: unknown): 'ENOENT' {
  if (isFileSystemError(error, 'ENOENT', 'ENOTDIR')) return 'ENOENT'
  throw error
}

function failure(
  code: 'EBUSY' | 'EEXIST' | 'EINVAL' | 'EISDIR' | 'ENOTDIR' | 'ENOTSUP',
  syscall: string,
  path: BlobPath,
  detail?: string,
): FileSystemError {
  return new FileSystemError(code, syscall, {
    path: formatPath(path),
    ...(detail === undefined ? {} : { detail }),
  })
}
