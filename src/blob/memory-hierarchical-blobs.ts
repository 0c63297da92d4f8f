import type { Clock } from '../clock.ts'
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { type KeptStates, MemoryAccount } from './memory-account.ts'
import { withMetadata } from './memory-container.ts'
import { MemoryHierarchy } from './memory-hierarchy.ts'
import { MemoryHistory } from './memory-history.ts'
import { MemoryBlobStore } from './memory-store.ts'
import { isDirectory, MemoryTree, refusal, type TreeSubject } from './memory-tree.ts'
import type {
  AppendOptions,
  BlobContent,
  BlobProperties,
  BlobStore,
  BlockSourceRange,
  CallOptions,
  ChangedProperties,
  CommitOptions,
  CommittedBlock,
  CommittedBlocks,
  Conditions,
  ContainerProperties,
  CopyOptions,
  GetOptions,
  HeadOptions,
  ListEntry,
  ListOptions,
  ListPage,
  Metadata,
  PutOptions,
} from './store.ts'
import { checkBlobPath } from './validate.ts'

export interface MemoryHierarchicalOptions {
  /** Default `devstoreaccount1`. */
  readonly account?: string
  readonly clock?: Clock
  /** Paths that one request deletes or changes at most. Default 2,000. */
  readonly pageSize?: number
  /** Default: nothing of what was deleted. Versions, and what was written over, are not to be had. */
  readonly kept?: KeptStates
}

/**
 * A hierarchical account in memory: the blob face, and `hierarchy` over the same paths. Blobs make
 * the directories above them, directories show as blobs with `hdi_isfolder`, and block lists do not
 * replace what was written through the hierarchy, as in Azure.
 */
export class MemoryHierarchicalStore implements BlobStore {
  readonly account: string
  readonly hierarchy: MemoryHierarchy
  readonly history: MemoryHistory
  readonly #blobs: MemoryBlobStore
  readonly #tree: MemoryTree

  constructor(options: MemoryHierarchicalOptions = {}) {
    const { account = 'devstoreaccount1', clock, pageSize, kept } = options
    const state = new MemoryAccount(clock, kept, true)
    this.account = account
    this.#blobs = new MemoryBlobStore({ account, state })
    this.#tree = new MemoryTree(state)
    this.hierarchy = new MemoryHierarchy(account, this.#tree, pageSize)
    this.history = new MemoryHistory(this, state)
  }

  get endpoint(): string {
    return this.#blobs.endpoint
  }

  async head(path: BlobPath, options: HeadOptions = {}): Promise<BlobProperties> {
    this.#purge(path, 'blob.head')
    return this.#blobs.head(path, options)
  }

  async get(path: BlobPath, options: GetOptions = {}): Promise<BlobContent> {
    this.#purge(path, 'blob.get')
    return this.#blobs.get(path, options)
  }

  put(path: BlobPath, data: Uint8Array, options: PutOptions = {}): Promise<BlobProperties> {
    const subject = { path, syscall: 'blob.put' }
    return this.#write(subject, options, () => this.#blobs.put(path, data, options))
  }

  async stageBlock(
    path: BlobPath,
    blockId: string,
    data: Uint8Array,
    options: CallOptions = {},
  ): Promise<void> {
    await this.#blobs.stageBlock(path, blockId, data, options)
  }

  async stageBlockFrom(
    path: BlobPath,
    blockId: string,
    source: BlockSourceRange,
    options: CallOptions = {},
  ): Promise<void> {
    await this.#blobs.stageBlockFrom(path, blockId, source, options)
  }

  async getBlocks(path: BlobPath, options: CallOptions = {}): Promise<CommittedBlocks> {
    return this.#blobs.getBlocks(path, options)
  }

  getStagedBlocks(path: BlobPath, options: CallOptions = {}): Promise<readonly CommittedBlock[]> {
    return this.#blobs.getStagedBlocks(path, options)
  }

  commitBlocks(
    path: BlobPath,
    blockIds: readonly string[],
    options: CommitOptions = {},
  ): Promise<BlobProperties> {
    const subject = { path, syscall: 'blob.commitBlocks' }
    return this.#write(subject, options, () => {
      const there = this.#tree.find(subject)
      if (there?.access?.writtenBy === 'dfs') throw refusal('ENOTSUP', subject, mixedWrites)
      return this.#blobs.commitBlocks(path, blockIds, options)
    })
  }

  async appendBlock(
    path: BlobPath,
    data: Uint8Array,
    options: AppendOptions,
  ): Promise<BlobProperties> {
    this.#purge(path, 'blob.appendBlock')
    return this.#blobs.appendBlock(path, data, options)
  }

  async listPage(prefix: BlobPath, options: ListOptions = {}): Promise<ListPage> {
    const page = await this.#blobs.listPage(prefix, options)
    if (options.delimiter === undefined) return page
    return { ...page, entries: page.entries.flatMap(asDirectory) }
  }

  async setMetadata(
    path: BlobPath,
    metadata: Metadata,
    options: CallOptions & Conditions = {},
  ): Promise<ChangedProperties> {
    const subject = { path, syscall: 'blob.setMetadata' }
    this.#purge(path, subject.syscall)
    const flag = isDirectory(this.#tree.find(subject)) ? { hdi_isfolder: 'true' } : {}
    return this.#blobs.setMetadata(path, { ...metadata, ...flag }, options)
  }

  copy(from: BlobPath, to: BlobPath, options: CopyOptions = {}): Promise<BlobProperties> {
    const subject = { path: to, syscall: 'blob.copy' }
    return this.#write(subject, options, () => {
      if (isDirectory(this.#tree.find({ ...subject, path: from }))) {
        throw refusal('EISDIR', { ...subject, path: from }, 'ResourceTypeMismatch')
      }
      return this.#blobs.copy(from, to, options)
    })
  }

  async delete(path: BlobPath, options: CallOptions & Conditions = {}): Promise<void> {
    const subject = { path, syscall: 'blob.delete' }
    this.#purge(path, subject.syscall)
    const there = this.#tree.find(subject)
    if (isDirectory(there) && !this.#tree.isEmpty(path)) {
      throw refusal('ENOTEMPTY', subject, 'DirectoryIsNotEmpty')
    }
    await this.#blobs.delete(path, options)
  }

  headContainer(container: string, options: CallOptions = {}): Promise<ContainerProperties> {
    return this.#blobs.headContainer(container, options)
  }

  createContainer(container: string, options: CallOptions = {}): Promise<void> {
    return this.#blobs.createContainer(container, options)
  }

  deleteContainer(container: string, options: CallOptions = {}): Promise<void> {
    return this.#blobs.deleteContainer(container, options)
  }

  listContainers(options: CallOptions = {}): AsyncIterable<ContainerProperties> {
    return this.#blobs.listContainers(options)
  }

  async close(): Promise<void> {}

  /** Writes a file, gives it an owner and makes the directories above it, all in one turn. */
  async #write(
    subject: TreeSubject,
    options: Conditions,
    act: () => Promise<BlobProperties>,
  ): Promise<BlobProperties> {
    checkWritten(subject)
    const before = this.#tree.find(subject)
    if (isDirectory(before)) {
      const exclusive = options.ifNoneMatch !== undefined
      throw refusal(exclusive ? 'EEXIST' : 'EISDIR', subject, 'ResourceTypeMismatch')
    }
    this.#tree.checkParents(subject)
    const done = act()
    const after = this.#tree.find(subject)
    if (after === undefined || after === before) return done
    this.#tree.makeParents(subject)
    const access = this.#tree.newAccess(subject.path, { isDirectory: false, writtenBy: 'blob' })
    const written = this.#tree.put(subject.path, { ...after, access })
    await done
    return withMetadata(written)
  }

  /** Takes a file away whose time has come. */
  #purge(path: BlobPath, syscall: string): void {
    checkBlobPath(path, syscall)
    this.#tree.find({ path, syscall })
  }
}

/** What the service says to a block list over what was appended, or the other way round. */
const mixedWrites = 'InvalidFlushOperation'

/** Empty segments are nothing that a hierarchy has. */
function checkWritten({ path, syscall }: TreeSubject): void {
  checkBlobPath(path, syscall)
  if (!path.name.split('/').includes('')) return
  throw new FileSystemError('EINVAL', syscall, {
    path: formatPath(path),
    detail: 'a hierarchical account has no names with an empty segment',
  })
}

/** With a delimiter a directory is a prefix: its own row says so, empty or not. */
function asDirectory(entry: ListEntry): ListEntry[] {
  if (entry.kind === 'prefix') return []
  if (entry.properties.facts?.isDirectory !== true) return [entry]
  return [{ kind: 'prefix', name: `${entry.name}/` }]
}
