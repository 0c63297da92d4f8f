/**
 * Large files on hierarchical accounts. A block list cannot replace a file that was written at the
 * dfs endpoint, and nothing tells such a file beforehand. So blocks for a name that is taken are
 * staged and committed under a temporary name beside it, and a rename, which is one step, puts the
 * file in its place. Small files go in one Put Blob and copies in one Copy Blob, which replace whatever
 * is there but a blob of another type: in the place of that they are renamed, too.
 */
import { randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { roomFor } from '../recent.ts'
import type { HierarchyOf, HierarchyStore } from './hierarchy.ts'
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
  Metadata,
  PutOptions,
  StageOptions,
} from './store.ts'
import { StoreView } from './store-view.ts'

interface Beside {
  readonly path: BlobPath
  readonly hierarchy: HierarchyStore
}

/** Where the blocks of one file go. */
type Place = { readonly kind: 'own' } | ({ readonly kind: 'beside' } & Beside)

/** A store that writes block lists so that they replace any file of a hierarchical account. */
export class ReplacingBlobStore extends StoreView implements BlobStore {
  readonly integrity: BlobStore['integrity']
  readonly deleteMany: BlobStore['deleteMany']
  /** The same account, where block lists are written as they are. */
  readonly plain: BlobStore
  readonly #store: BlobStore
  readonly #hierarchyOf: HierarchyOf
  /** By `container/name`, from the first block to the commit; what is given up ages out. */
  readonly #places = new LRUCache<string, Promise<Place>>(roomFor(maxPlaces))

  constructor(store: BlobStore, hierarchyOf: HierarchyOf) {
    super(store)
    this.integrity = store.integrity
    this.deleteMany = store.deleteMany?.bind(store)
    this.plain = store
    this.#store = store
    this.#hierarchyOf = hierarchyOf
  }

  async stageBlock(
    path: BlobPath,
    blockId: string,
    data: Uint8Array,
    options: StageOptions = {},
  ): Promise<void> {
    const target = await this.#targetOf(path, options)
    await this.#store.stageBlock(target, blockId, data, options)
  }

  async stageBlockFrom(
    path: BlobPath,
    blockId: string,
    source: BlockSourceRange,
    options: CallOptions & Pick<Conditions, 'leaseId'> = {},
  ): Promise<void> {
    const target = await this.#targetOf(path, options)
    await this.#store.stageBlockFrom(target, blockId, source, options)
  }

  /**
   * None where a new version is put together beside the old one: its blocks are of no use there.
   */
  async getBlocks(path: BlobPath, options: CallOptions = {}): Promise<CommittedBlocks> {
    const hierarchy = await this.#hierarchyOf(path.container, options)
    if (hierarchy === undefined) return this.#store.getBlocks(path, options)
    // Not asked of the list: append and page blobs have none.
    const { etag } = await this.#store.head(path, options)
    return { etag, blocks: [] }
  }

  /** None where a new version is put together beside the old one, which each process does elsewhere. */
  async getStagedBlocks(
    path: BlobPath,
    options: CallOptions = {},
  ): Promise<readonly CommittedBlock[]> {
    const place = await this.#placeOf(path, options)
    return place.kind === 'own' ? this.#store.getStagedBlocks(path, options) : []
  }

  /** The temporary name that the blocks of `path` are staged under; `undefined` where that is its own. */
  async stagedAt(path: BlobPath): Promise<BlobPath | undefined> {
    const place = await this.#places.get(keyOf(path))
    return place?.kind === 'beside' ? place.path : undefined
  }

  async commitBlocks(
    path: BlobPath,
    blockIds: readonly string[],
    options: CommitOptions = {},
  ): Promise<BlobProperties> {
    try {
      const place = await this.#places.get(keyOf(path))
      if (place?.kind !== 'beside') return await this.#store.commitBlocks(path, blockIds, options)
      const { ifMatch, ifNoneMatch, ...commit } = options
      await this.#store.commitBlocks(place.path, blockIds, commit)
      return await this.#putInPlace(place, path, options)
    } finally {
      // Whatever came of it: the next file of this name is looked at anew.
      this.#places.delete(keyOf(path))
    }
  }

  async put(path: BlobPath, data: Uint8Array, options: PutOptions = {}): Promise<BlobProperties> {
    const made = await this.#orInPlace({ path, syscall: 'blob.put' }, options, (to, own) =>
      this.#store.put(to, data, own),
    )
    this.#places.delete(keyOf(path))
    return made
  }

  /** Writes `path`, or, where a blob of another type is, beside it, for a rename that replaces that. */
  async #orInPlace<O extends CallOptions & Conditions, P>(
    { path, syscall }: { readonly path: BlobPath; readonly syscall: string },
    options: O,
    write: (to: BlobPath, own: O) => Promise<P>,
  ): Promise<P | BlobProperties> {
    try {
      return await write(path, options)
    } catch (error) {
      if (!isFileSystemError(error) || error.serviceCode !== 'InvalidBlobType') throw error
      const hierarchy = await this.#hierarchyOf(path.container, options)
      if (hierarchy === undefined) throw error
      if (options.leaseId !== undefined) throw leased(path, syscall)
      const beside = { path: besideOf(path), hierarchy }
      await write(beside.path, { ...options, ifMatch: undefined, ifNoneMatch: undefined })
      return this.#putInPlace(beside, path, options)
    }
  }

  appendBlock(path: BlobPath, data: Uint8Array, options: AppendOptions): Promise<BlobProperties> {
    return this.#store.appendBlock(path, data, options)
  }

  setMetadata(
    path: BlobPath,
    metadata: Metadata,
    options?: CallOptions & Conditions,
  ): Promise<ChangedProperties> {
    return this.#store.setMetadata(path, metadata, options)
  }

  copy(from: BlobPath, to: BlobPath, options: CopyOptions = {}): Promise<CopiedProperties> {
    return this.#orInPlace({ path: to, syscall: 'blob.copy' }, options, (at, own) =>
      this.#store.copy(from, at, own),
    )
  }

  delete(path: BlobPath, options?: CallOptions & Conditions): Promise<void> {
    return this.#store.delete(path, options)
  }

  createContainer(container: string, options?: CallOptions): Promise<void> {
    return this.#store.createContainer(container, options)
  }

  deleteContainer(container: string, options?: CallOptions): Promise<void> {
    return this.#store.deleteContainer(container, options)
  }

  /** Where blocks of `path` are staged. A lease would go with the version that is replaced, and a lock with it. */
  async #targetOf(
    path: BlobPath,
    options: CallOptions & Pick<Conditions, 'leaseId'>,
  ): Promise<BlobPath> {
    const place = await this.#placeOf(path, options)
    if (place.kind === 'own') return path
    if (options.leaseId === undefined) return place.path
    throw leased(path, 'blob.stageBlock')
  }

  /** Decided with the first block; all writers of a name share it, as they share its blocks. */
  #placeOf(path: BlobPath, options: CallOptions): Promise<Place> {
    const key = keyOf(path)
    const known = this.#places.get(key)
    if (known !== undefined) return known
    const place = this.#choose(path, options).catch((error: unknown) => {
      this.#places.delete(key)
      throw error
    })
    this.#places.set(key, place)
    return place
  }

  async #choose(path: BlobPath, options: CallOptions): Promise<Place> {
    const hierarchy = await this.#hierarchyOf(path.container, options)
    if (hierarchy === undefined || !(await this.#exists(path, options))) return { kind: 'own' }
    return { kind: 'beside', path: besideOf(path), hierarchy }
  }

  async #exists(path: BlobPath, { signal }: CallOptions): Promise<boolean> {
    try {
      await this.#store.head(path, { signal })
      return true
    } catch (error) {
      if (isFileSystemError(error, 'ENOENT')) return false
      throw error
    }
  }

  async #putInPlace(
    { path: beside, hierarchy }: Beside,
    path: BlobPath,
    { ifMatch, ifNoneMatch, signal }: CallOptions & Conditions,
  ): Promise<BlobProperties> {
    try {
      await hierarchy.rename(beside, path, { ifMatch, ifNoneMatch, signal })
    } catch (error) {
      await this.#takeBack(beside)
      throw error
    }
    return this.#store.head(path, { signal })
  }

  /** Best effort: what was to be reported is the failure that led here. */
  async #takeBack(path: BlobPath): Promise<void> {
    try {
      await this.#store.delete(path)
    } catch (error) {
      if (!isFileSystemError(error)) throw error
    }
  }
}

/** Files under way at once whose places are remembered. */
const maxPlaces = 10_000

function besideOf(path: BlobPath): BlobPath {
  const directory = path.name.slice(0, path.name.lastIndexOf('/') + 1)
  return { ...path, name: `${directory}.abfs-${randomUUID()}` }
}

function leased(path: BlobPath, syscall: string): FileSystemError {
  const detail =
    'a file that is locked by a lease cannot be replaced by a large one, or in another type, on a hierarchical ' +
    'account: unlock it first'
  return new FileSystemError('EBUSY', syscall, { path: formatPath(path), detail })
}

function keyOf(path: BlobPath): string {
  return `${path.container}/${path.name}`
}
