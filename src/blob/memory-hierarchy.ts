import type { BlobPath } from '../path.ts'
import {
  aclOfMode,
  formatAcl,
  mergeAcl,
  parseAcl,
  permissionsOf,
  withMode,
  withoutAcl,
} from './acl.ts'
import type {
  AccessChanges,
  AccessControl,
  AclPage,
  AppendOptions,
  ChangeAclOptions,
  ChangedPath,
  CreatePathOptions,
  DeletePathOptions,
  Expiry,
  HierarchyStore,
  ListPathsOptions,
  PathPage,
  PathProperties,
  RenamePathOptions,
} from './hierarchy.ts'
import { factsOf, type MemoryAccess, type MemoryBlob } from './memory-container.ts'
import { isDirectory, type MemoryTree, parentOf, refusal, type TreeSubject } from './memory-tree.ts'
import type { CallOptions, Conditions } from './store.ts'
import { checkBlobPath, checkContainer, checkMetadata, maxListResults } from './validate.ts'

/** The dfs face of a hierarchical account in memory. */
export class MemoryHierarchy implements HierarchyStore {
  readonly account: string
  readonly #tree: MemoryTree
  readonly #pageSize: number
  /** Appended and not flushed, by `container/name`. */
  readonly #appended = new Map<string, Uint8Array[]>()

  /** `pageSize` is how many paths one request deletes or changes at most. */
  constructor(account: string, tree: MemoryTree, pageSize = 2000) {
    this.account = account
    this.#tree = tree
    this.#pageSize = pageSize
  }

  async createDirectory(path: BlobPath, options: CreatePathOptions = {}): Promise<ChangedPath> {
    const subject = begin(path, 'path.create-directory', options)
    const there = this.#checkCreate(subject, options)
    if (there !== undefined && !isDirectory(there))
      throw refusal('EEXIST', subject, 'PathAlreadyExists')
    return this.#make(subject, { isDirectory: true, writtenBy: 'dfs', mode: options.mode }, options)
  }

  async createFile(path: BlobPath, options: CreatePathOptions = {}): Promise<ChangedPath> {
    const subject = begin(path, 'path.create-file', options)
    const there = this.#checkCreate(subject, options)
    if (isDirectory(there)) throw refusal('EEXIST', subject, 'PathAlreadyExists')
    this.#appended.delete(keyOf(path))
    return this.#make(
      subject,
      { isDirectory: false, writtenBy: 'dfs', mode: options.mode },
      options,
    )
  }

  async append(path: BlobPath, data: Uint8Array, options: AppendOptions): Promise<void> {
    const subject = begin(path, 'path.append', options)
    const file = this.#appendable(subject)
    const pending = this.#appended.get(keyOf(path)) ?? []
    const end = file.data.length + lengthOf(pending)
    if (options.position !== end) throw refusal('EINVAL', subject, 'InvalidFlushPosition')
    this.#appended.set(keyOf(path), [...pending, new Uint8Array(data)])
  }

  async flush(path: BlobPath, options: AppendOptions): Promise<ChangedPath> {
    const subject = begin(path, 'path.flush', options)
    const file = this.#appendable(subject)
    const pending = this.#appended.get(keyOf(path)) ?? []
    const data = new Uint8Array(Buffer.concat([file.data, ...pending]))
    if (options.position !== data.length) throw refusal('EINVAL', subject, 'InvalidFlushPosition')
    this.#appended.delete(keyOf(path))
    const properties = { ...file.properties, sizeBytes: data.length }
    return this.#tree.change(path, file, { data, properties }).properties
  }

  async rename(from: BlobPath, to: BlobPath, options: RenamePathOptions = {}): Promise<void> {
    checkBlobPath(from, 'path.rename')
    const subject = { ...begin(to, 'path.rename', options), path: from, dest: to }
    const target = { ...subject, path: to }
    const source = this.#tree.existing(subject, 'SourcePathNotFound')
    checkVersion(source, { ifMatch: options.sourceIfMatch }, subject)
    if (to.container === from.container && `${to.name}/`.startsWith(`${from.name}/`)) {
      throw refusal('EINVAL', subject, 'InvalidRenameSourcePath')
    }
    this.#checkParent(target)
    const there = this.#tree.find(target)
    checkVersion(there, options, target)
    if (there !== undefined) this.#checkReplaceable(subject, source, there)
    this.#tree.move(from, to)
  }

  async deletePath(path: BlobPath, options: DeletePathOptions = {}): Promise<string | undefined> {
    const subject = begin(path, 'path.delete', options)
    // A page that goes on may come after one that finished by itself.
    const there = this.#tree.existing(subject)
    checkVersion(there, options, subject)
    const below = this.#tree.below(path)
    if (below.length > 0 && options.recursive !== true) {
      throw refusal('ENOTEMPTY', subject, 'DirectoryNotEmpty')
    }
    // What is deepest goes first: until the end every path has its directories.
    const page = below.reverse().slice(0, this.#pageSize)
    for (const name of page) this.#tree.delete({ ...path, name })
    if (page.length < below.length) return `after ${page.length}`
    this.#tree.delete(path)
    return undefined
  }

  async listPaths(directory: BlobPath, options: ListPathsOptions = {}): Promise<PathPage> {
    const subject = beginAnywhere(directory, 'path.list', options)
    if (!isDirectory(this.#tree.existing(subject))) throw refusal('ENOENT', subject, 'PathNotFound')
    const skip = directory.name === '' ? 0 : directory.name.length + 1
    const names = this.#tree
      .below(directory)
      .filter((name) => options.recursive === true || !name.includes('/', skip))
      .filter((name) => this.#tree.find({ ...subject, path: { ...directory, name } }) !== undefined)
    const start = options.continuation === undefined ? 0 : names.indexOf(options.continuation)
    const limit = Math.min(options.maxResults ?? maxListResults, maxListResults)
    const paths = names
      .slice(start, start + limit)
      .map((name) => this.#describe({ ...subject, path: { ...directory, name } }))
    return { paths, continuation: names[start + limit] }
  }

  async headPath(path: BlobPath, options: CallOptions = {}): Promise<PathProperties> {
    return this.#describe(beginAnywhere(path, 'path.getStatus', options))
  }

  async getAccessControl(path: BlobPath, options: CallOptions = {}): Promise<AccessControl> {
    const blob = this.#tree.existing(beginAnywhere(path, 'path.getAccessControl', options))
    const { owner, group, acl, sticky } = accessOf(blob)
    const permissions = permissionsOf(acl, sticky)
    return { owner, group, permissions, acl: formatAcl(acl), etag: blob.properties.etag }
  }

  async setAccessControl(
    path: BlobPath,
    changes: AccessChanges,
    options: CallOptions & { readonly ifMatch?: string | undefined } = {},
  ): Promise<ChangedPath> {
    const subject = beginAnywhere(path, 'path.setAccessControl', options)
    const blob = this.#tree.existing(subject)
    checkVersion(blob, options, subject)
    return this.#tree.change(path, blob, { access: changed(accessOf(blob), changes) }).properties
  }

  async changeAcl(path: BlobPath, options: ChangeAclOptions): Promise<AclPage> {
    const subject = beginAnywhere(path, 'path.changeAcl', options)
    this.#tree.existing(subject)
    const all = [path.name, ...this.#tree.below(path)]
    const start = options.continuation === undefined ? 0 : Number(options.continuation)
    const end = start + Math.min(options.maxRecords ?? this.#pageSize, this.#pageSize)
    const count = { directories: 0, files: 0 }
    for (const name of all.slice(start, end)) {
      const blob = this.#tree.existing({ ...subject, path: { ...path, name } })
      count[isDirectory(blob) ? 'directories' : 'files'] += 1
      const access = { ...accessOf(blob), acl: nextAcl(accessOf(blob), options) }
      this.#tree.change({ ...path, name }, blob, { access })
    }
    const continuation = end < all.length ? String(end) : undefined
    return { ...count, failures: [], failureCount: 0, continuation }
  }

  async setExpiry(path: BlobPath, expiry: Expiry, options: CallOptions = {}): Promise<ChangedPath> {
    const subject = begin(path, 'path.setExpiry', options)
    const blob = this.#tree.existing(subject)
    if (isDirectory(blob)) throw refusal('EISDIR', subject, 'ResourceTypeMismatch')
    const expiresMs = this.#expiresMs(blob, expiry)
    return this.#tree.change(path, blob, { access: { ...accessOf(blob), expiresMs } }).properties
  }

  #expiresMs(blob: MemoryBlob, expiry: Expiry): number | undefined {
    if (expiry.kind === 'never') return undefined
    if (expiry.kind === 'at') return expiry.epochMs
    const nowMs = this.#tree.account.nowMs()
    const fromMs = expiry.kind === 'after-now' ? nowMs : (blob.properties.createdMs ?? nowMs)
    return fromMs + expiry.durationMs
  }

  #checkCreate(subject: TreeSubject, options: CreatePathOptions): MemoryBlob | undefined {
    if (options.metadata !== undefined) {
      checkMetadata(options.metadata, subject.path, subject.syscall)
    }
    this.#tree.checkParents(subject)
    const there = this.#tree.find(subject)
    checkVersion(there, options, subject)
    return there
  }

  #make(
    subject: TreeSubject,
    made: Parameters<MemoryTree['newAccess']>[1],
    options: CreatePathOptions,
  ): ChangedPath {
    const { path } = subject
    this.#tree.makeParents(subject)
    const record = this.#tree.empty(made, { path, metadata: options.metadata ?? {} })
    return this.#tree.put(path, record).properties
  }

  #appendable(subject: TreeSubject): MemoryBlob {
    const file = this.#tree.existing(subject)
    if (isDirectory(file)) throw refusal('EISDIR', subject, 'ResourceTypeMismatch')
    if (file.access?.writtenBy === 'dfs') return file
    throw refusal('ENOTSUP', subject, 'InvalidFlushOperation')
  }

  #checkParent(target: TreeSubject): void {
    const parent = parentOf(target.path)
    if (isDirectory(this.#tree.existing({ ...target, path: parent }, missingParent))) return
    throw refusal('ENOTDIR', target, 'PathConflict')
  }

  #checkReplaceable(subject: TreeSubject, source: MemoryBlob, there: MemoryBlob): void {
    if (isDirectory(source) !== isDirectory(there)) {
      throw refusal('EISDIR', subject, 'InvalidSourceOrDestinationResourceType')
    }
    if (!isDirectory(there) || this.#tree.isEmpty(subject.dest ?? subject.path)) return
    throw refusal('EEXIST', subject, 'PathAlreadyExists')
  }

  #describe(subject: TreeSubject): PathProperties {
    const blob = this.#tree.existing(subject)
    const { sizeBytes, etag, lastModifiedMs, createdMs } = blob.properties
    const properties = { sizeBytes, etag, lastModifiedMs, createdMs }
    return { name: subject.path.name, ...factsOf(accessOf(blob)), ...properties }
  }
}

const missingParent = 'RenameDestinationParentPathNotFound'

function begin(path: BlobPath, syscall: string, { signal }: CallOptions): TreeSubject {
  signal?.throwIfAborted()
  checkBlobPath(path, syscall)
  return { path, syscall }
}

/** The same, where the root is a path too. */
function beginAnywhere(path: BlobPath, syscall: string, options: CallOptions): TreeSubject {
  if (path.name !== '') return begin(path, syscall, options)
  options.signal?.throwIfAborted()
  checkContainer(path.container, syscall)
  return { path, syscall }
}

function checkVersion(
  there: MemoryBlob | undefined,
  conditions: Conditions,
  subject: TreeSubject,
): void {
  const { ifMatch, ifNoneMatch } = conditions
  if (ifNoneMatch === '*' && there !== undefined)
    throw refusal('EEXIST', subject, 'PathAlreadyExists')
  if (ifMatch === undefined || ifMatch === there?.properties.etag) return
  throw refusal('ESTALE', subject, 'ConditionNotMet')
}

function accessOf(blob: MemoryBlob): MemoryAccess {
  if (blob.access !== undefined) return blob.access
  throw new Error('a path of a hierarchical account has no owner')
}

function changed(access: MemoryAccess, changes: AccessChanges): MemoryAccess {
  const { owner = access.owner, group = access.group, mode, acl } = changes
  if (acl !== undefined) return { ...access, owner, group, acl: parseAcl(acl) }
  if (mode === undefined) return { ...access, owner, group }
  const sticky = access.isDirectory && (mode & 0o1000) !== 0
  return { ...access, owner, group, acl: withMode(access.acl, mode), sticky }
}

/** Files have no entries for newcomers. */
function nextAcl(access: MemoryAccess, options: ChangeAclOptions): MemoryAccess['acl'] {
  const parsed = parseAcl(options.acl, { keys: options.mode === 'remove' })
  const entries = parsed.filter((entry) => access.isDirectory || !entry.isDefault)
  if (options.mode === 'remove') return withoutAcl(access.acl, entries)
  if (options.mode === 'modify') return mergeAcl(access.acl, entries)
  return entries.length > 0 ? entries : aclOfMode(0)
}

function lengthOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0)
}

function keyOf(path: BlobPath): string {
  return `${path.container}/${path.name}`
}
