import type { AccessControl, Expiry, HierarchyOf } from '../blob/hierarchy.ts'
import type { BlobStore, CallOptions } from '../blob/store.ts'
import { MiB } from '../byte-range.ts'
import { type Clock, systemClock } from '../clock.ts'
import { Limiter } from '../concurrency.ts'
import { Namespace, type RecoveredRename, type RecoverOptions } from '../namespace/namespace.ts'
import { ChunkCache } from '../transfer/chunk-cache.ts'
import {
  type AclOptions,
  type AclResult,
  changeAcl,
  checkMode,
  getAcl,
  setAccess,
  setExpiry,
} from './access.ts'
import { BlobFileReader } from './blob-file-reader.ts'
import { BlobFileWriter } from './blob-file-writer.ts'
import { type CatRangesOptions, catFile, catRanges, type RangeRequest } from './cat.ts'
import { makeDirectories, makeDirectory, removeDirectory } from './directories.ts'
import { drawTree, type TreeDrawingOptions } from './draw-tree.ts'
import { type ExpandOptions, expandPath } from './expand-path.ts'
import { type FileInfo, fullName, toFileInfo } from './file-info.ts'
import { glob } from './glob.ts'
import { getFile, type LocalFileOptions, putFile } from './local-file.ts'
import { localName } from './local-view.ts'
import { locate, locateFile, locateName, type PathInput } from './location.ts'
import { type MoveOptions, move } from './move.ts'
import { type PipeOptions, pipeFile, touch, type WriteOptions } from './pipe.ts'
import type { Remote } from './remote.ts'
import { RemoteView } from './remote-view.ts'
import { type RemoveOptions, remove } from './remove.ts'
import {
  copyTree,
  getTree,
  putTree,
  type TransferOptions,
  type TransferResult,
} from './transfer-tree.ts'
import { type FindOptions, find, type WalkOptions, type WalkStep, walk } from './walk.ts'

export interface AzureBlobFileSystemOptions {
  /** The account. Closed by `close()`. */
  readonly store: BlobStore
  /** Its directories and listings; absent: one of its own. */
  readonly namespace?: Namespace | undefined
  /** The hierarchy of an account that has one, without `namespace`. Absent: names are flat. */
  readonly hierarchyOf?: HierarchyOf | undefined
  /** Bytes that readers share; absent: one of its own, of 64 MiB. */
  readonly chunkCache?: ChunkCache | undefined
  readonly clock?: Clock | undefined
  /** Requests under way at once, and files of a tree. Default 16. */
  readonly concurrency?: number | undefined
  /** How long a listing answers without being asked again, without `namespace`. Default 5,000 ms. */
  readonly listingTtlMs?: number | undefined
  /** Bytes per request of a transfer. Default 8 MiB. */
  readonly blockBytes?: number | undefined
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

const defaultListingTtlMs = 5000

/**
 * One storage account as a file system, with fsspec's verbs.
 *
 * Paths are strings or URLs in every form of `parseAzureUrl`. Names in results are
 * `container/path`. All methods reject with `FileSystemError` (`ENOENT`, `EEXIST`, `EISDIR`,
 * `ENOTDIR`, `EACCES`, `ESTALE`, …), with `TypeError` or `RangeError` for a wrong argument, and with
 * `signal.reason` when aborted. Listings are kept for a few seconds and changed with each write made
 * here; writes made elsewhere show when they expire, or at once with `refresh`. What is read comes
 * from one version of a blob; what is written becomes visible at once and whole, or not at all.
 */
export class AzureBlobFileSystem {
  readonly #remote: Remote

  constructor(options: AzureBlobFileSystemOptions) {
    const { store, clock = systemClock, concurrency = 16 } = options
    const listingTtlMs = options.listingTtlMs ?? defaultListingTtlMs
    const { hierarchyOf } = options
    const namespace =
      options.namespace ?? new Namespace({ store, hierarchyOf, clock, listingTtlMs })
    this.#remote = {
      store,
      namespace,
      clock,
      concurrency,
      chunkCache: options.chunkCache ?? new ChunkCache({ maxBytes: 64 * MiB }),
      limiter: new Limiter(concurrency),
      largeUploads: new Limiter(Math.ceil(concurrency / 4)),
      blockBytes: options.blockBytes ?? 8 * MiB,
      view: new RemoteView(namespace),
      wholeView: new RemoteView(namespace, { metadata: true }),
    }
  }

  /** The account that all paths are in. */
  get account(): string {
    return this.#remote.store.account
  }

  /** The children of a directory by name; a file's own entry; the containers at the root. */
  async ls(path: PathInput, options: InfoOptions = {}): Promise<FileInfo[]> {
    const place = locate(this.account, path, 'ls')
    return this.#remote.view.listOrSelf(fullName(place), {
      signal: options.signal,
      fresh: options.refresh,
      metadata: options.metadata,
    })
  }

  /** What is known of `path`; `ENOENT` when nothing has that name. */
  async info(path: PathInput, options: InfoOptions = {}): Promise<FileInfo> {
    const place = locate(this.account, path, 'info')
    return this.#remote.view.info(fullName(place), {
      signal: options.signal,
      fresh: options.refresh,
    })
  }

  /** The same as {@link info}. */
  stat(path: PathInput, options?: InfoOptions): Promise<FileInfo> {
    return this.info(path, options)
  }

  /** Whether anything has that name; false on `ENOENT` and `ENOTDIR` only, others are thrown. */
  async exists(path: PathInput, options?: InfoOptions): Promise<boolean> {
    return (await this.#infoIfAny(path, options)) !== undefined
  }

  /** Whether `path` is a directory; false when it is missing. */
  async isDir(path: PathInput, options?: InfoOptions): Promise<boolean> {
    return (await this.#infoIfAny(path, options))?.type === 'directory'
  }

  /** Whether `path` is a file; false when it is missing. */
  async isFile(path: PathInput, options?: InfoOptions): Promise<boolean> {
    return (await this.#infoIfAny(path, options))?.type === 'file'
  }

  /** Files below `path` (or the file itself) by name; with `withDirs` directories and `path` too. */
  async find(path: PathInput, options: FindOptions = {}): Promise<FileInfo[]> {
    return find(this.#remote.view, fullName(locate(this.account, path, 'find')), options)
  }

  /** Directory by directory; see {@link WalkStep}. */
  walk(path: PathInput, options: WalkOptions = {}): AsyncGenerator<WalkStep<FileInfo>, void> {
    return walk(this.#remote.view, fullName(locate(this.account, path, 'walk')), options)
  }

  /** What matches `pattern`, by name; see `compilePattern` for the rules. */
  async glob(
    pattern: PathInput,
    options: CallOptions & { readonly maxDepth?: number | undefined } = {},
  ): Promise<FileInfo[]> {
    return glob(this.#remote.view, locateName(this.account, pattern, 'glob'), options)
  }

  /** The entries that patterns and directories stand for; `ENOENT` when there are none. */
  async expandPath(
    paths: PathInput | readonly PathInput[],
    options: ExpandOptions = {},
  ): Promise<FileInfo[]> {
    return expandPath(this.#remote.view, this.#names(paths, 'expandPath'), options)
  }

  /** Bytes of all files below `path`. */
  async du(path: PathInput, options: FindOptions = {}): Promise<number> {
    const files = await this.find(path, options)
    return files.reduce((total, file) => total + file.size, 0)
  }

  /** The lines of a drawing of what lies below `path`. */
  tree(path: PathInput, options: TreeDrawingOptions = {}): AsyncGenerator<string, void> {
    return drawTree(this.#remote.view, fullName(locate(this.account, path, 'tree')), options)
  }

  /** The bytes `[start, end)`; negative ones count from the end. Absent: the whole file. */
  async catFile(
    path: PathInput,
    options: CallOptions & { readonly start?: number; readonly end?: number } = {},
  ): Promise<Uint8Array> {
    return catFile(this.#remote, locateFile(this.account, path, 'catFile'), options)
  }

  /** Many ranges, in the order asked; near ones of a file share a request. */
  async catRanges(
    requests: readonly RangeRequest[],
    options: CatRangesOptions & { readonly onError: 'return' },
  ): Promise<(Uint8Array | Error)[]>
  async catRanges(
    requests: readonly RangeRequest[],
    options?: CatRangesOptions & { readonly onError?: 'raise' | undefined },
  ): Promise<Uint8Array[]>
  async catRanges(
    requests: readonly RangeRequest[],
    options: CatRangesOptions = {},
  ): Promise<(Uint8Array | Error)[]> {
    return catRanges(this.#remote, requests, options)
  }

  /** The first `size` bytes (default 1,024). */
  head(path: PathInput, size = 1024, options: CallOptions = {}): Promise<Uint8Array> {
    return this.catFile(path, { ...options, end: size })
  }

  /** The last `size` bytes (default 1,024). */
  tail(path: PathInput, size = 1024, options: CallOptions = {}): Promise<Uint8Array> {
    return size === 0
      ? Promise.resolve(new Uint8Array())
      : this.catFile(path, { ...options, start: -size })
  }

  /** The whole file as UTF-8. */
  async readText(path: PathInput, options: CallOptions = {}): Promise<string> {
    return new TextDecoder().decode(await this.catFile(path, options))
  }

  /** Makes `text` in UTF-8 the file. */
  writeText(path: PathInput, text: string, options?: PipeOptions): Promise<FileInfo> {
    return this.pipeFile(path, new TextEncoder().encode(text), options)
  }

  /** Makes `data` the file, at once. `mode: 'create'` fails with `EEXIST` when there is one. */
  async pipeFile(path: PathInput, data: Uint8Array, options: PipeOptions = {}): Promise<FileInfo> {
    return pipeFile(this.#remote, locateFile(this.account, path, 'pipeFile'), data, options)
  }

  /** Makes an empty file; with `truncate: false` keeps the bytes of one and only dates it anew. */
  async touch(
    path: PathInput,
    options: CallOptions & { readonly truncate?: boolean } = {},
  ): Promise<FileInfo> {
    return touch(this.#remote, locateFile(this.account, path, 'touch'), options)
  }

  /**
   * Opens a file: `r` reads the version that it has at this moment, `w` writes it anew, `x` writes
   * it unless it exists (checked here and again at the end, `EEXIST`). A writer's bytes become
   * visible when it is closed, and never when it is aborted, disposed of or left.
   */
  async open(path: PathInput, mode?: 'r', options?: CallOptions): Promise<BlobFileReader>
  async open(path: PathInput, mode: 'w' | 'x', options?: WriteOptions): Promise<BlobFileWriter>
  async open(
    path: PathInput,
    mode: 'r' | 'w' | 'x' = 'r',
    options: WriteOptions = {},
  ): Promise<BlobFileReader | BlobFileWriter> {
    const place = locateFile(this.account, path, 'open')
    if (mode === 'r') return BlobFileReader.open(this.#remote, place, options)
    if (mode === 'w' || mode === 'x') {
      return BlobFileWriter.open(this.#remote, place, { ...options, exclusive: mode === 'x' })
    }
    throw new TypeError(`mode: expected 'r', 'w' or 'x', got ${JSON.stringify(mode)}`)
  }

  /** Downloads one file; the local one is replaced when all bytes are there. */
  async getFile(
    remotePath: PathInput,
    localPath: string | URL,
    options: LocalFileOptions = {},
  ): Promise<void> {
    const place = locateFile(this.account, remotePath, 'getFile')
    await getFile(this.#remote, { remote: place, local: localName(localPath) }, options)
  }

  /** Uploads one local file; the remote one is replaced when all bytes are there. */
  async putFile(
    localPath: string | URL,
    remotePath: PathInput,
    options: LocalFileOptions & WriteOptions = {},
  ): Promise<FileInfo> {
    const place = locateFile(this.account, remotePath, 'putFile')
    return putFile(this.#remote, { remote: place, local: localName(localPath) }, options)
  }

  /** Downloads files, directories (`recursive`) and patterns; see `planTransfers` for what lands where. */
  async get(
    source: PathInput | readonly PathInput[],
    target: string | readonly string[],
    options: TransferOptions = {},
  ): Promise<TransferResult> {
    const request = { source: this.#names(source, 'get'), target: mapNames(target, localName) }
    return getTree(this.#remote, request, options)
  }

  /** Uploads files, directories (`recursive`) and patterns; see `planTransfers` for what lands where. */
  async put(
    source: string | readonly string[],
    target: PathInput | readonly PathInput[],
    options: TransferOptions = {},
  ): Promise<TransferResult> {
    const request = { source: mapNames(source, localName), target: this.#names(target, 'put') }
    return putTree(this.#remote, request, options)
  }

  /** Copies files, directories (`recursive`) and patterns on the server's side. */
  async copy(
    source: PathInput | readonly PathInput[],
    target: PathInput | readonly PathInput[],
    options: TransferOptions = {},
  ): Promise<TransferResult> {
    const request = { source: this.#names(source, 'copy'), target: this.#names(target, 'copy') }
    return copyTree(this.#remote, request, options)
  }

  /** Copies one file on the server's side, with its metadata. */
  async cpFile(from: PathInput, to: PathInput, options: CallOptions = {}): Promise<FileInfo> {
    const source = locateFile(this.account, from, 'cpFile')
    const target = locateFile(this.account, to, 'cpFile')
    const entry = await this.#remote.namespace.copyFile(source, target, options)
    return toFileInfo(target.container, entry)
  }

  /** Renames a file or directory; into `to` when that is a directory. See {@link MoveOptions}. */
  async mv(from: PathInput, to: PathInput, options: MoveOptions = {}): Promise<void> {
    const source = locateName(this.account, from, 'mv')
    await move(this.#remote, { source, target: locateName(this.account, to, 'mv') }, options)
  }

  /**
   * Finishes the renames of directories in the container of `path` that were interrupted, and tells
   * what became of each. See {@link RecoverOptions}.
   */
  async recover(
    path: PathInput,
    options: RecoverOptions = {},
  ): Promise<readonly RecoveredRename[]> {
    const { container } = locate(this.account, path, 'recover')
    const { concurrency } = this.#remote
    return this.#remote.namespace.recoverRenames(container, { concurrency, ...options })
  }

  /** Deletes files, patterns and (`recursive`) directories; containers with `allowContainer` only. */
  async rm(paths: PathInput | readonly PathInput[], options: RemoveOptions = {}): Promise<void> {
    await remove(this.#remote, this.#names(paths, 'rm'), options)
  }

  /** Makes a directory or container; `EEXIST` when the name is taken. */
  async mkdir(
    path: PathInput,
    options: CallOptions & { readonly createParents?: boolean } = {},
  ): Promise<void> {
    await makeDirectory(this.#remote, locate(this.account, path, 'mkdir'), options)
  }

  /** Makes a directory with those above it, the container included. */
  async makedirs(
    path: PathInput,
    options: CallOptions & { readonly existOk?: boolean } = {},
  ): Promise<void> {
    await makeDirectories(this.#remote, locate(this.account, path, 'makedirs'), options)
  }

  /** Removes an empty directory (`ENOTEMPTY`); an empty container with `allowContainer` only. */
  async rmdir(
    path: PathInput,
    options: CallOptions & { readonly allowContainer?: boolean } = {},
  ): Promise<void> {
    await removeDirectory(this.#remote, locate(this.account, path, 'rmdir'), options)
  }

  /** The target of a symbolic link; `EINVAL` when `path` is something else. */
  readLink(path: PathInput, options: CallOptions = {}): Promise<string> {
    const place = locateFile(this.account, path, 'readLink')
    return this.#remote.namespace.readSymlink(place, options)
  }

  /** Whether the account that `path` is in has a hierarchical namespace; asked of it once. */
  isHierarchical(path: PathInput, options: CallOptions = {}): Promise<boolean> {
    const { container } = locate(this.account, path, 'isHierarchical')
    return this.#remote.namespace.isHierarchical(container, options)
  }

  /** Who owns a path and who may do what; this and the next: `ENOTSUP` on flat accounts. */
  getAcl(path: PathInput, options: CallOptions = {}): Promise<AccessControl> {
    return getAcl(this.#remote, locate(this.account, path, 'getAcl'), options)
  }

  /** Replaces access control lists: `user::rwx,group::r-x,other::---,default:user:ID:r-x`. */
  setAcl(path: PathInput, acl: string, options: AclOptions = {}): Promise<AclResult> {
    return this.#changeAcl(path, { ...options, mode: 'set', acl })
  }

  /** Adds entries to access control lists, or changes those of the same name. */
  updateAcl(path: PathInput, acl: string, options: AclOptions = {}): Promise<AclResult> {
    return this.#changeAcl(path, { ...options, mode: 'modify', acl })
  }

  /** Takes entries out of access control lists; `acl` names them without permissions: `user:ID`. */
  removeAcl(path: PathInput, acl: string, options: AclOptions = {}): Promise<AclResult> {
    return this.#changeAcl(path, { ...options, mode: 'remove', acl })
  }

  /** Sets the permission bits `mode`, as `0o750`. */
  chmod(path: PathInput, mode: number, options: CallOptions = {}): Promise<void> {
    checkMode(mode)
    return this.#setAccess(path, { ...options, changes: { mode }, syscall: 'chmod' })
  }

  /** Sets owner and group: object ids or user principal names; `undefined` leaves one. */
  chown(
    path: PathInput,
    owners: { readonly owner?: string | undefined; readonly group?: string | undefined },
    options: CallOptions = {},
  ): Promise<void> {
    return this.#setAccess(path, { ...options, changes: owners, syscall: 'chown' })
  }

  /** Says when the service removes a file by itself. */
  setExpiry(path: PathInput, expiry: Expiry, options: CallOptions = {}): Promise<void> {
    const place = locateFile(this.account, path, 'setExpiry')
    return setExpiry(this.#remote, place, { ...options, expiry })
  }

  /** Forgets listings at and below `path`; all when absent. */
  invalidateCache(path?: PathInput): void {
    const place = path === undefined ? undefined : locate(this.account, path, 'invalidateCache')
    this.#remote.namespace.invalidate(place?.container === '' ? undefined : place)
  }

  /** Closes the store and lets go of what is in memory. */
  async close(): Promise<void> {
    this.#remote.chunkCache.clear()
    await this.#remote.store.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #changeAcl(path: PathInput, change: Parameters<typeof changeAcl>[2]): Promise<AclResult> {
    return changeAcl(this.#remote, locate(this.account, path, `${change.mode}Acl`), change)
  }

  #setAccess(path: PathInput, options: Parameters<typeof setAccess>[2]): Promise<void> {
    return setAccess(this.#remote, locate(this.account, path, options.syscall), options)
  }

  async #infoIfAny(path: PathInput, options: InfoOptions = {}): Promise<FileInfo | undefined> {
    const place = locate(this.account, path, 'info')
    return this.#remote.view.stat(fullName(place), {
      signal: options.signal,
      fresh: options.refresh,
    })
  }

  #names(paths: PathInput | readonly PathInput[], syscall: string): string | string[] {
    return mapNames(paths, (path) => locateName(this.account, path, syscall))
  }
}

function mapNames<T extends string | URL>(
  paths: T | readonly T[],
  toName: (path: T) => string,
): string | string[] {
  return isList(paths) ? paths.map(toName) : toName(paths)
}

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value)
}
