import type { CallOptions } from '../blob/store.ts'
import type { BulkResult } from '../bulk.ts'
import { expectCall, shown } from '../expect-option.ts'
import type { RecoverOptions } from '../namespace/namespace.ts'
import type { Recovered } from '../namespace/recovery.ts'
import { mapNames } from './account-places.ts'
import { AccountSearch } from './account-search.ts'
import { BlobMap } from './blob-map.ts'
import { copyAcross } from './copy-across.ts'
import { copyTree } from './copy-tree.ts'
import { demandWord } from './demand-word.ts'
import { DirFileSystem } from './dir-file-system.ts'
import { makeDirectories, makeDirectory, removeDirectory } from './directories.ts'
import type { ExpandOptions } from './expand-path.ts'
import { type FileInfo, fullName, toFileInfo } from './file-info.ts'
import { getTree } from './get-tree.ts'
import { type GetFileOptions, getFile, type LocalFileOptions, putFile } from './local-file.ts'
import { localName } from './local-view.ts'
import type { PathInput } from './location.ts'
import { type MoveOptions, move } from './move.ts'
import { NodeFileSystem, type NodeFileSystemOptions } from './node-file-system.ts'
import type { WriteOptions } from './pipe.ts'
import {
  type OperationPlan,
  type PlannedOperation,
  planRemoval,
  planTransfer,
} from './plan-operation.ts'
import { putTree } from './put-tree.ts'
import { type RemoveOptions, remove, removeFile } from './remove.ts'
import { runTransaction, Transaction, type TransactionOptions } from './transaction.ts'
import type { TransferOptions, TransferResult } from './transfer-run.ts'

export type {
  AzureBlobFileSystemOptions,
  InfoOptions,
  ListingOptions,
  Preference,
} from './account-tree.ts'

/** Where copies come from. */
export interface CopySource {
  /** The file system of the account that the sources are in. Default: the one that copies. */
  readonly from?: AzureBlobFileSystem | undefined
}

/** For files that somebody has locked. */
export interface Fenced {
  /** Of the lock that the caller holds on the file that is written or deleted; see `FileLock`. */
  readonly leaseId?: string | undefined
}

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
export class AzureBlobFileSystem extends AccountSearch {
  /** Downloads one file; the local one is replaced when all bytes are there. */
  async getFile(
    remotePath: PathInput,
    localPath: string | URL,
    options: GetFileOptions = {},
  ): Promise<void> {
    const place = this.filePlace(remotePath, 'getFile', options)
    await getFile(this.remote, { remote: place, local: localName(localPath) }, options)
  }

  /** Uploads one local file; the remote one is replaced when all bytes are there. */
  async putFile(
    localPath: string | URL,
    remotePath: PathInput,
    options: LocalFileOptions & WriteOptions = {},
  ): Promise<FileInfo> {
    const place = this.filePlace(remotePath, 'putFile', options)
    return putFile(this.remote, { remote: place, local: localName(localPath) }, options)
  }

  /** Downloads files, directories (`recursive`) and patterns; see `planTransfers` for what lands where. */
  async get(
    source: PathInput | readonly PathInput[],
    target: string | readonly string[],
    options: TransferOptions & Pick<GetFileOptions, 'consistency'> = {},
  ): Promise<TransferResult> {
    const request = {
      source: this.names(source, 'get', options),
      target: mapNames(target, localName),
    }
    return getTree(this.remote, request, options)
  }

  /** The same as {@link get}. */
  download(...args: Parameters<AzureBlobFileSystem['get']>): Promise<TransferResult> {
    return this.get(...args)
  }

  /** Uploads files, directories (`recursive`) and patterns; see `planTransfers` for what lands where. */
  async put(
    source: string | readonly string[],
    target: PathInput | readonly PathInput[],
    options: TransferOptions = {},
  ): Promise<TransferResult> {
    const request = {
      source: mapNames(source, localName),
      target: this.names(target, 'put', options),
    }
    return putTree(this.remote, request, options)
  }

  /** The same as {@link put}. */
  upload(...args: Parameters<AzureBlobFileSystem['put']>): Promise<TransferResult> {
    return this.put(...args)
  }

  /**
   * Copies files, directories (`recursive`) and patterns on the server's side; with `from` out of another
   * account, which the service reads with that account's credential.
   */
  async copy(
    source: PathInput | readonly PathInput[],
    target: PathInput | readonly PathInput[],
    options: TransferOptions & CopySource = {},
  ): Promise<TransferResult> {
    expectCall(options)
    const { from = this, ...more } = options
    demandSource(from)
    const request = { source: from.names(source, 'copy'), target: this.names(target, 'copy') }
    return copyTree(this.remote, request, { ...more, source: from.remote })
  }

  /** The same as {@link copy}. */
  cp(...args: Parameters<AzureBlobFileSystem['copy']>): Promise<TransferResult> {
    return this.copy(...args)
  }

  /** Copies one file on the server's side, with its metadata; with `from` out of another account. */
  async cpFile(
    path: PathInput,
    to: PathInput,
    given: CallOptions & CopySource & Fenced = {},
  ): Promise<FileInfo> {
    expectCall(given)
    const { from = this, ...options } = given
    demandSource(from)
    const source = from.filePlace(path, 'cpFile')
    const target = this.filePlace(to, 'cpFile', options)
    if (from.remote !== this.remote) {
      const places = [
        { remote: from.remote, path: source },
        { remote: this.remote, path: target },
      ] as const
      return copyAcross(...places, options)
    }
    const entry = await this.remote.namespace.copyFile(source, target, options)
    return toFileInfo(target.container, entry)
  }

  /** Renames a file or directory; into `to` when that is a directory. See {@link MoveOptions}. */
  async mv(from: PathInput, to: PathInput, options: MoveOptions = {}): Promise<void> {
    const source = this.namePlace(from, 'mv', options)
    await move(this.remote, { source, target: this.namePlace(to, 'mv') }, options)
  }

  /** The same as {@link mv}. */
  move(from: PathInput, to: PathInput, options?: MoveOptions): Promise<void> {
    return this.mv(from, to, options)
  }

  /** The same as {@link mv}. */
  rename(from: PathInput, to: PathInput, options?: MoveOptions): Promise<void> {
    return this.mv(from, to, options)
  }

  /**
   * Finishes the renames of directories and the commits of transactions in the container of `path` that were
   * interrupted, and tells what became of each. See {@link RecoverOptions}.
   */
  async recover(path: PathInput, options: RecoverOptions = {}): Promise<readonly Recovered[]> {
    const { container } = this.place(path, 'recover', options)
    const { namespace, concurrency, clock } = this.remote
    const { recoverAll } = await import('../namespace/recovery.ts')
    return recoverAll(namespace, container, { concurrency, clock, ...options })
  }

  /** Deletes files, patterns and (`recursive`) directories; containers with `allowContainer` only. */
  async rm(
    paths: PathInput | readonly PathInput[],
    options: RemoveOptions = {},
  ): Promise<BulkResult> {
    return remove(this.remote, this.names(paths, 'rm', options), options)
  }

  /** What {@link put}, {@link get} or {@link copy} would do with these arguments. Does nothing but look. */
  plan(
    operation: 'put' | 'get' | 'copy',
    source: PathInput | readonly PathInput[],
    target: PathInput | readonly PathInput[],
    options?: ExpandOptions,
  ): Promise<OperationPlan>
  /** What {@link rm} would delete. */
  plan(
    operation: 'rm',
    paths: PathInput | readonly PathInput[],
    options?: ExpandOptions,
  ): Promise<OperationPlan>
  async plan(
    operation: PlannedOperation,
    source: PathInput | readonly PathInput[],
    target: PathInput | readonly PathInput[] | ExpandOptions = {},
    options: ExpandOptions = {},
  ): Promise<OperationPlan> {
    demandWord('operation', operation, ['put', 'get', 'copy', 'rm'] satisfies PlannedOperation[])
    if (operation === 'rm') {
      if (isPaths(target)) throw new TypeError('options: expected no target of rm')
      expectCall(target)
      return planRemoval(this.remote, this.names(source, 'rm'), target)
    }
    if (!isPaths(target)) throw new TypeError(`target: ${operation} needs one`)
    const nameOn = (side: 'local' | 'remote', paths: PathInput | readonly PathInput[]) =>
      side === 'local' ? mapNames(paths, localName) : this.names(paths, operation, options)
    const request = {
      source: nameOn(operation === 'put' ? 'local' : 'remote', source),
      target: nameOn(operation === 'get' ? 'local' : 'remote', target),
    }
    return planTransfer(this.remote, operation, request, options)
  }

  /** The same as {@link rm}. */
  delete(paths: PathInput | readonly PathInput[], options?: RemoveOptions): Promise<BulkResult> {
    return this.rm(paths, options)
  }

  /** Deletes one file; `EISDIR` for a directory. What looks like a pattern is a name here. */
  async rmFile(path: PathInput, options: CallOptions & Fenced = {}): Promise<void> {
    await removeFile(this.remote, this.filePlace(path, 'rmFile', options), options)
  }

  /** Makes a directory or container; `EEXIST` when the name is taken. */
  async mkdir(
    path: PathInput,
    options: CallOptions & { readonly createParents?: boolean } = {},
  ): Promise<void> {
    await makeDirectory(this.remote, this.place(path, 'mkdir', options), options)
  }

  /** Makes a directory with those above it, the container included. */
  async makedirs(
    path: PathInput,
    options: CallOptions & { readonly existOk?: boolean } = {},
  ): Promise<void> {
    await makeDirectories(this.remote, this.place(path, 'makedirs', options), options)
  }

  /** Removes an empty directory (`ENOTEMPTY`); an empty container with `allowContainer` only. */
  async rmdir(
    path: PathInput,
    options: CallOptions & { readonly allowContainer?: boolean } = {},
  ): Promise<void> {
    await removeDirectory(this.remote, this.place(path, 'rmdir', options), options)
  }

  /** The files below `root` as a map of bytes. */
  getMapper(root: PathInput): BlobMap {
    return new BlobMap(this.remote, fullName(this.place(root, 'getMapper')))
  }

  /** A directory as a file system of its own, which reaches nothing outside. */
  sub(root: PathInput): DirFileSystem {
    return new DirFileSystem(this, fullName(this.place(root, 'sub')))
  }

  /** The account in the shape of `node:fs/promises`, for libraries that take one. */
  asNodeFs(options?: NodeFileSystemOptions): NodeFileSystem {
    return new NodeFileSystem(this.remote, options)
  }

  /**
   * Runs `work` with a {@link Transaction}: what it writes and deletes becomes visible when it ends
   * well, and is given up when it throws.
   */
  async transaction<T>(
    work: (transaction: Transaction) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T> {
    return runTransaction(this.startTransaction(options), work)
  }

  /** A transaction that the caller commits. */
  startTransaction(options?: TransactionOptions): Transaction {
    return new Transaction(this.remote, options)
  }

  /** Closes the store and lets go of what is in memory. */
  async close(): Promise<void> {
    this.remote.chunkCache.clear()
    this.remote.namespace.invalidate()
    await this.remote.store.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function isPaths(
  value: PathInput | readonly PathInput[] | ExpandOptions,
): value is PathInput | readonly PathInput[] {
  return typeof value === 'string' || value instanceof URL || Array.isArray(value)
}

function demandSource(from: unknown): void {
  if (from instanceof AzureBlobFileSystem) return
  throw new TypeError(`from: expected an AzureBlobFileSystem, got ${shown(from)}`)
}
