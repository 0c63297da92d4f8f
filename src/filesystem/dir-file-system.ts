import type { CallOptions } from '../blob/store.ts'
import type { BulkResult } from '../bulk.ts'
import type { BlobMap } from './blob-map.ts'
import { DirAdministration } from './dir-administration.ts'
import type { InnerPaths } from './dir-paths.ts'
import type { ExpandOptions } from './expand-path.ts'
import type { FileInfo } from './file-info.ts'
import type { GetFileOptions, LocalFileOptions } from './local-file.ts'
import type { MoveOptions } from './move.ts'
import type { NodeFileSystem } from './node-file-system.ts'
import type { WriteOptions } from './pipe.ts'
import type { OperationPlan, PlannedOperation } from './plan-operation.ts'
import type { RemoveOptions } from './remove.ts'
import type { Transaction } from './transaction.ts'
import type { TransferOptions, TransferResult } from './transfer-run.ts'

/**
 * One directory of an account as a file system of its own, with every verb of the account's. Paths go in and names come
 * out relative to it, with or without a slash in front; the root is `''`. Nothing outside can be reached: `..` and URLs
 * are `EINVAL`. It has no lifetime of its own and shares everything with the file system it is of. Errors
 * name the whole path.
 */
export class DirFileSystem extends DirAdministration {
  async getFile(
    remotePath: string,
    localPath: string | URL,
    options?: GetFileOptions,
  ): Promise<void> {
    await this.fs.getFile(this.inside(remotePath, 'getFile'), localPath, options)
  }

  async putFile(
    localPath: string | URL,
    remotePath: string,
    options?: LocalFileOptions & WriteOptions,
  ): Promise<FileInfo> {
    const path = this.inside(remotePath, 'putFile')
    return this.outside(await this.fs.putFile(localPath, path, options))
  }

  async get(
    source: InnerPaths,
    target: InnerPaths,
    options: TransferOptions & Pick<GetFileOptions, 'consistency'> = {},
  ): Promise<TransferResult> {
    const how = this.reporting(options, ({ phase }) => phase === 'listing')
    const result = await this.fs.get(this.patterns(source, 'get'), target, how)
    return this.transferred(result, { isTarget: false, isSource: true })
  }

  download(...args: Parameters<DirFileSystem['get']>): Promise<TransferResult> {
    return this.get(...args)
  }

  async put(
    source: InnerPaths,
    target: InnerPaths,
    options: TransferOptions = {},
  ): Promise<TransferResult> {
    const to = this.patterns(target, 'put')
    const how = this.reporting(options, ({ phase }) => phase !== 'listing')
    const result = await this.fs.put(source, to, how)
    return this.transferred(result, { isTarget: true, isSource: false })
  }

  upload(...args: Parameters<DirFileSystem['put']>): Promise<TransferResult> {
    return this.put(...args)
  }

  async copy(
    source: InnerPaths,
    target: InnerPaths,
    options: TransferOptions = {},
  ): Promise<TransferResult> {
    const [from, to] = [this.patterns(source, 'copy'), this.patterns(target, 'copy')]
    const result = await this.fs.copy(from, to, this.reporting(options))
    return this.transferred(result, { isTarget: true, isSource: true })
  }

  cp(...args: Parameters<DirFileSystem['copy']>): Promise<TransferResult> {
    return this.copy(...args)
  }

  async cpFile(
    from: string,
    to: string,
    options?: CallOptions & { readonly leaseId?: string | undefined },
  ): Promise<FileInfo> {
    const source = this.inside(from, 'cpFile')
    return this.outside(await this.fs.cpFile(source, this.inside(to, 'cpFile'), options))
  }

  async mv(from: string, to: string, options: MoveOptions = {}): Promise<void> {
    await this.fs.mv(this.pattern(from, 'mv'), this.pattern(to, 'mv'), this.reporting(options))
  }

  move(from: string, to: string, options?: MoveOptions): Promise<void> {
    return this.mv(from, to, options)
  }

  rename(from: string, to: string, options?: MoveOptions): Promise<void> {
    return this.mv(from, to, options)
  }

  async rm(
    paths: InnerPaths,
    options: Omit<RemoveOptions, 'allowContainer'> = {},
  ): Promise<BulkResult> {
    return this.bulk(await this.fs.rm(this.patterns(paths, 'rm'), this.reporting(options)))
  }

  delete(...args: Parameters<DirFileSystem['rm']>): Promise<BulkResult> {
    return this.rm(...args)
  }

  async rmFile(
    path: string,
    options?: CallOptions & { readonly leaseId?: string | undefined },
  ): Promise<void> {
    await this.fs.rmFile(this.inside(path, 'rmFile'), options)
  }

  async mkdir(
    path: string,
    options?: CallOptions & { readonly createParents?: boolean },
  ): Promise<void> {
    await this.fs.mkdir(this.inside(path, 'mkdir'), options)
  }

  async makedirs(
    path: string,
    options?: CallOptions & { readonly existOk?: boolean },
  ): Promise<void> {
    await this.fs.makedirs(this.inside(path, 'makedirs'), options)
  }

  async rmdir(path: string, options?: CallOptions): Promise<void> {
    await this.fs.rmdir(this.inside(path, 'rmdir'), options)
  }

  /** What a transfer would do; of `get` the paths are of the local disk. */
  plan(
    operation: 'put' | 'get' | 'copy',
    source: InnerPaths,
    target: InnerPaths,
    options?: ExpandOptions,
  ): Promise<OperationPlan>
  /** What {@link rm} would delete. */
  plan(operation: 'rm', paths: InnerPaths, options?: ExpandOptions): Promise<OperationPlan>
  async plan(
    operation: PlannedOperation,
    source: InnerPaths,
    target: InnerPaths | ExpandOptions = {},
    options: ExpandOptions = {},
  ): Promise<OperationPlan> {
    if (operation === 'rm') {
      if (isPaths(target)) throw new TypeError('options: expected no target of rm')
      return this.#shown(await this.fs.plan('rm', this.patterns(source, 'rm'), target))
    }
    if (!isPaths(target)) throw new TypeError(`target: ${operation} needs one`)
    const from = operation === 'put' ? source : this.patterns(source, operation)
    const to = operation === 'get' ? target : this.patterns(target, operation)
    const plan = await this.fs.plan(operation, from, to, options)
    return operation === 'get' ? plan : this.#shown(plan)
  }

  /** The files below `path` as a map of bytes. */
  getMapper(path = ''): BlobMap {
    return this.fs.getMapper(this.inside(path, 'getMapper'))
  }

  /** A directory of this one. */
  sub(path: string): DirFileSystem {
    return new DirFileSystem(this.fs, this.inside(path, 'sub'))
  }

  /** The directory in the shape of `node:fs/promises`: it is `/`. */
  asNodeFs(): NodeFileSystem {
    return this.fs.asNodeFs({ root: this.root })
  }

  /** See `AzureBlobFileSystem.transaction`; its paths are relative to the directory, too. */
  transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.fs.transaction(work, { root: this.root })
  }

  startTransaction(): Transaction {
    return this.fs.startTransaction({ root: this.root })
  }

  #shown(plan: OperationPlan): OperationPlan {
    return { ...plan, paths: plan.paths.map((name) => this.relative(name)) }
  }
}

function isPaths(value: InnerPaths | ExpandOptions): value is InnerPaths {
  return typeof value === 'string' || Array.isArray(value)
}
