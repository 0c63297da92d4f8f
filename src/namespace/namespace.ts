import type { BlobStore, CallOptions } from '../blob/store.ts'
import type { Clock } from '../clock.ts'
import type { BlobPath } from '../path.ts'
import type { Entry, PosixAttributes } from './entry.ts'

export interface NamespaceOptions {
  readonly store: BlobStore
  readonly clock?: Clock
  /** How long a listing answers without being asked again; milliseconds. 0 asks every time. */
  readonly listingTtlMs?: number
  /** How many entries listings may hold in memory altogether. */
  readonly maxEntries?: number
  /** Called for each blob a listing meets whose name cannot be a path (`a//b`, `../c`). */
  readonly onUnreachable?: (path: BlobPath) => void
}

export interface StatOptions extends CallOptions {
  /** Asks the service even when a cached listing knows. */
  readonly fresh?: boolean | undefined
}

/** One file or directory that an operation on a tree has dealt with. */
export interface TreeProgress {
  readonly path: BlobPath
  readonly sizeBytes: number
}

export interface TreeOptions extends CallOptions {
  /** Requests under way at once. */
  readonly concurrency?: number | undefined
  readonly onProgress?: ((progress: TreeProgress) => void) | undefined
}

/**
 * Directories and files over the flat names of blobs: what `stat`, `list` and the operations on
 * names mean. Both the library and the drive stand on it.
 */
export class Namespace {
  readonly store: BlobStore

  constructor(options: NamespaceOptions) {
    this.store = options.store
  }

  stat(_path: BlobPath, _options?: StatOptions): Promise<Entry> {
    throw new Error('not written')
  }

  /** Whether `path` exists; only ENOENT and ENOTDIR give false. */
  exists(_path: BlobPath, _options?: StatOptions): Promise<boolean> {
    throw new Error('not written')
  }

  list(_directory: BlobPath, _options?: StatOptions): Promise<readonly Entry[]> {
    throw new Error('not written')
  }

  listTree(
    _directory: BlobPath,
    _options?: CallOptions & { readonly directories?: boolean | undefined },
  ): AsyncGenerator<Entry, void, undefined> {
    throw new Error('not written')
  }

  makeDirectory(
    _path: BlobPath,
    _options?: CallOptions & { readonly posix?: PosixAttributes; readonly parents?: boolean },
  ): Promise<Entry> {
    throw new Error('not written')
  }

  removeDirectory(_path: BlobPath, _options?: CallOptions): Promise<void> {
    throw new Error('not written')
  }

  removeFile(
    _path: BlobPath,
    _options?: CallOptions & { readonly ifMatch?: string },
  ): Promise<void> {
    throw new Error('not written')
  }

  removeTree(_path: BlobPath, _options?: TreeOptions): Promise<void> {
    throw new Error('not written')
  }

  copyFile(_from: BlobPath, _to: BlobPath, _options?: CallOptions): Promise<Entry> {
    throw new Error('not written')
  }

  rename(
    _from: BlobPath,
    _to: BlobPath,
    _options?: TreeOptions & { readonly noReplace?: boolean },
  ): Promise<void> {
    throw new Error('not written')
  }

  setAttributes(
    _path: BlobPath,
    _attributes: PosixAttributes,
    _options?: CallOptions,
  ): Promise<Entry> {
    throw new Error('not written')
  }

  /** Makes a symbolic link: a blob whose body is `target`. `EEXIST` when the name is taken. */
  createSymlink(
    _path: BlobPath,
    _target: string,
    _options?: CallOptions & { readonly posix?: PosixAttributes },
  ): Promise<Entry> {
    throw new Error('not written')
  }

  /** The target of a symbolic link; `EINVAL` when `path` is something else. */
  readSymlink(_path: BlobPath, _options?: CallOptions): Promise<string> {
    throw new Error('not written')
  }

  /** Tells the cache of a blob that was committed elsewhere in this process (by a writer). */
  noteCommitted(_path: BlobPath, _entry: Entry): void {
    throw new Error('not written')
  }

  /** Forgets listings at and, unless `recursive` is false, below `path`; all when absent. */
  invalidate(_path?: BlobPath, _options?: { readonly recursive?: boolean }): void {
    throw new Error('not written')
  }
}
