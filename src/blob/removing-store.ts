/**
 * Removals that are promised before they are requests. Until the account has one, the version that it takes is not
 * there for who asks here, another version of the name is, and whoever writes to the name comes after it.
 */
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { DeleteMany } from './deletion.ts'
import type {
  AppendOptions,
  BlobProperties,
  BlobStore,
  BlockSourceRange,
  CallOptions,
  ChangedProperties,
  CommitOptions,
  CommittedBlock,
  CommittedBlocks,
  Conditions,
  CopiedProperties,
  CopyOptions,
  HeadOptions,
  ListEntry,
  ListOptions,
  ListPage,
  Metadata,
  PutOptions,
  StageOptions,
} from './store.ts'
import { StoreView } from './store-view.ts'

/** One version of a blob that is to go. */
export interface PromisedRemoval {
  readonly path: BlobPath
  readonly etag: string
  /** Resolves when the version is not at its name any more, whoever did that. */
  store(): Promise<void>
}

type Removals = ReadonlyMap<string, PromisedRemoval>

/** A flat account as it will be when what was promised to go has gone. */
export class RemovingBlobStore extends StoreView implements BlobStore {
  readonly integrity: BlobStore['integrity']
  readonly deleteMany: BlobStore['deleteMany']
  /** The same account as it is. */
  readonly plain: BlobStore
  readonly #promised = new Map<string, PromisedRemoval>()

  constructor(store: BlobStore) {
    super(store)
    this.integrity = store.integrity
    this.plain = store
    const { deleteMany } = store
    if (deleteMany !== undefined) this.deleteMany = this.#afterRemovals(deleteMany.bind(store))
  }

  /** From here on the version is not there. No other removal of its name may be promised. */
  promise(removal: PromisedRemoval): void {
    this.#promised.set(keyOf(removal.path), removal)
  }

  /** What is at the name is what the account has. */
  kept(removal: PromisedRemoval): void {
    if (this.promisedOf(removal.path) === removal) this.#promised.delete(keyOf(removal.path))
  }

  promisedOf(path: BlobPath): PromisedRemoval | undefined {
    return this.#promised.get(keyOf(path))
  }

  override async head(path: BlobPath, options: HeadOptions = {}): Promise<BlobProperties> {
    const before = this.promisedOf(path)
    const found = await super.head(path, options)
    // Who asked before the account had it may be answered after that.
    const isGone = [before, this.promisedOf(path)].some((each) => each?.etag === found.etag)
    if (!isGone || options.former !== undefined) return found
    throw new FileSystemError('ENOENT', 'blob.head', { path: formatPath(path) })
  }

  override async listPage(prefix: BlobPath, options: ListOptions = {}): Promise<ListPage> {
    const before = new Map(this.#promised)
    const page = await super.listPage(prefix, { ...options, ...this.#widened(prefix, options) })
    const isOfStates = [options.versions, options.snapshots, options.deleted].includes(true)
    if (isOfStates || before.size + this.#promised.size === 0) return page
    const { container } = prefix
    const isThere = (row: ListEntry): boolean =>
      !takes(before, container, row) && !takes(this.#promised, container, row)
    return { ...page, entries: page.entries.filter(isThere) }
  }

  /** So that a page of a few rows need not be asked for once for each of those that are left out. */
  #widened({ container, name }: BlobPath, { maxResults }: ListOptions): ListOptions {
    if (maxResults === undefined) return {}
    const start = keyOf({ container, name })
    const hidden = [...this.#promised.keys()].filter((key) => key.startsWith(start)).length
    return { maxResults: Math.min(maxResults + hidden, Math.max(maxResults, maxPageRows)) }
  }

  async put(path: BlobPath, data: Uint8Array, options?: PutOptions): Promise<BlobProperties> {
    await this.#removed(path)
    return this.plain.put(path, data, options)
  }

  async stageBlock(
    path: BlobPath,
    blockId: string,
    data: Uint8Array,
    options?: StageOptions,
  ): Promise<void> {
    await this.#removed(path)
    await this.plain.stageBlock(path, blockId, data, options)
  }

  async stageBlockFrom(
    path: BlobPath,
    blockId: string,
    source: BlockSourceRange,
    options?: CallOptions & Pick<Conditions, 'leaseId'>,
  ): Promise<void> {
    await this.#removed(path)
    await this.plain.stageBlockFrom(path, blockId, source, options)
  }

  getBlocks(path: BlobPath, options?: CallOptions): Promise<CommittedBlocks> {
    return this.plain.getBlocks(path, options)
  }

  getStagedBlocks(path: BlobPath, options?: CallOptions): Promise<readonly CommittedBlock[]> {
    return this.plain.getStagedBlocks(path, options)
  }

  async commitBlocks(
    path: BlobPath,
    blockIds: readonly string[],
    options?: CommitOptions,
  ): Promise<BlobProperties> {
    await this.#removed(path)
    return this.plain.commitBlocks(path, blockIds, options)
  }

  async appendBlock(
    path: BlobPath,
    data: Uint8Array,
    options: AppendOptions,
  ): Promise<BlobProperties> {
    await this.#removed(path)
    return this.plain.appendBlock(path, data, options)
  }

  async setMetadata(
    path: BlobPath,
    metadata: Metadata,
    options?: CallOptions & Conditions,
  ): Promise<ChangedProperties> {
    await this.#removed(path)
    return this.plain.setMetadata(path, metadata, options)
  }

  async copy(from: BlobPath, to: BlobPath, options?: CopyOptions): Promise<CopiedProperties> {
    await this.#removed(to)
    return this.plain.copy(from, to, options)
  }

  async delete(path: BlobPath, options?: CallOptions & Conditions): Promise<void> {
    await this.#removed(path)
    await this.plain.delete(path, options)
  }

  createContainer(container: string, options?: CallOptions): Promise<void> {
    return this.plain.createContainer(container, options)
  }

  deleteContainer(container: string, options?: CallOptions): Promise<void> {
    return this.plain.deleteContainer(container, options)
  }

  /** Resolves when nothing is promised to go from `path`. */
  async #removed(path: BlobPath): Promise<void> {
    await this.promisedOf(path)?.store()
  }

  #afterRemovals(deleteMany: DeleteMany): DeleteMany {
    return async (deletions, options) => {
      await Promise.all(deletions.map(({ path }) => this.#removed(path)))
      return deleteMany(deletions, options)
    }
  }
}

const maxPageRows = 5000

function takes(removals: Removals, container: string, row: ListEntry): boolean {
  if (row.kind === 'prefix') return false
  const removal = removals.get(keyOf({ container, name: row.name }))
  return removal !== undefined && removal.etag === row.properties.etag
}

function keyOf({ container, name }: BlobPath): string {
  return `${container}/${name}`
}
