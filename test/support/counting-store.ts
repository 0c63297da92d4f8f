import type { DeleteMany } from '../../src/blob/deletion.ts'
import type {
  AppendOptions,
  BlobContent,
  BlobProperties,
  BlobStore,
  BlockSourceRange,
  CallOptions,
  ChangedProperties,
  CommittedBlock,
  CommittedBlocks,
  Conditions,
  ContainerProperties,
  CopiedProperties,
  CopyOptions,
  GetOptions,
  ListOptions,
  ListPage,
  Metadata,
  PutOptions,
} from '../../src/blob/store.ts'
import type { ByteRange } from '../../src/byte-range.ts'
import type { BlobPath } from '../../src/path.ts'

/** The methods of a store that are requests. */
export type Verb =
  | Exclude<keyof BlobStore, 'account' | 'close' | 'listContainers'>
  | 'listContainers'

/** One request that went through. */
export interface Request {
  readonly verb: Verb
  /** The blob's name, the prefix, or the container. */
  readonly name: string
  readonly range?: ByteRange | undefined
  readonly ifMatch?: string | undefined
  readonly signal?: AbortSignal | undefined
  /** Bytes that the request carried. */
  readonly sentBytes?: number | undefined
}

/** Passes every call on to another store, and keeps a record of it. */
export class CountingStore implements BlobStore {
  readonly #store: BlobStore
  #requests: Request[] = []
  #inFlight = 0
  /** The most requests that were under way at once. */
  maxInFlight = 0
  /** Runs before each request; what it throws fails the request. */
  before: (request: Request) => Promise<void> | void = () => undefined
  /** Runs after each request, before its answer is known; what it throws loses the answer. */
  after: (request: Request) => Promise<void> | void = () => undefined

  constructor(store: BlobStore) {
    this.#store = store
  }

  get account(): string {
    return this.#store.account
  }

  get endpoint(): string | undefined {
    return this.#store.endpoint
  }

  get requests(): readonly Request[] {
    return this.#requests
  }

  /** The requests since the last call, as `verb name` lines. */
  take(): string[] {
    const lines = this.#requests.map((request) => `${request.verb} ${request.name}`)
    this.#requests = []
    return lines
  }

  head(path: BlobPath, options: CallOptions = {}): Promise<BlobProperties> {
    return this.#count({ verb: 'head', name: path.name, ...options }, () =>
      this.#store.head(path, options),
    )
  }

  get(path: BlobPath, options: GetOptions = {}): Promise<BlobContent> {
    const { range, ifMatch, signal } = options
    return this.#count({ verb: 'get', name: path.name, range, ifMatch, signal }, () =>
      this.#store.get(path, options),
    )
  }

  put(path: BlobPath, data: Uint8Array, options: PutOptions = {}): Promise<BlobProperties> {
    const { ifMatch, signal } = options
    const sentBytes = data.length
    return this.#count({ verb: 'put', name: path.name, ifMatch, signal, sentBytes }, () =>
      this.#store.put(path, data, options),
    )
  }

  stageBlock(
    path: BlobPath,
    blockId: string,
    data: Uint8Array,
    options: CallOptions = {},
  ): Promise<void> {
    const sentBytes = data.length
    return this.#count({ verb: 'stageBlock', name: path.name, ...options, sentBytes }, () =>
      this.#store.stageBlock(path, blockId, data, options),
    )
  }

  stageBlockFrom(
    path: BlobPath,
    blockId: string,
    source: BlockSourceRange,
    options: CallOptions = {},
  ): Promise<void> {
    return this.#count({ verb: 'stageBlockFrom', name: path.name, ...options }, () =>
      this.#store.stageBlockFrom(path, blockId, source, options),
    )
  }

  appendBlock(path: BlobPath, data: Uint8Array, options: AppendOptions): Promise<BlobProperties> {
    const { signal } = options
    const sentBytes = data.byteLength
    return this.#count({ verb: 'appendBlock', name: path.name, signal, sentBytes }, () =>
      this.#store.appendBlock(path, data, options),
    )
  }

  getBlocks(path: BlobPath, options: CallOptions = {}): Promise<CommittedBlocks> {
    return this.#count({ verb: 'getBlocks', name: path.name, ...options }, () =>
      this.#store.getBlocks(path, options),
    )
  }

  getStagedBlocks(path: BlobPath, options: CallOptions = {}): Promise<readonly CommittedBlock[]> {
    return this.#count({ verb: 'getStagedBlocks', name: path.name, ...options }, () =>
      this.#store.getStagedBlocks(path, options),
    )
  }

  commitBlocks(
    path: BlobPath,
    blockIds: readonly string[],
    options: PutOptions = {},
  ): Promise<BlobProperties> {
    const { ifMatch, signal } = options
    return this.#count({ verb: 'commitBlocks', name: path.name, ifMatch, signal }, () =>
      this.#store.commitBlocks(path, blockIds, options),
    )
  }

  listPage(prefix: BlobPath, options: ListOptions = {}): Promise<ListPage> {
    return this.#count({ verb: 'listPage', name: prefix.name, signal: options.signal }, () =>
      this.#store.listPage(prefix, options),
    )
  }

  setMetadata(
    path: BlobPath,
    metadata: Metadata,
    options: CallOptions & Conditions = {},
  ): Promise<ChangedProperties> {
    const { ifMatch, signal } = options
    return this.#count({ verb: 'setMetadata', name: path.name, ifMatch, signal }, () =>
      this.#store.setMetadata(path, metadata, options),
    )
  }

  copy(from: BlobPath, to: BlobPath, options: CopyOptions = {}): Promise<CopiedProperties> {
    const name = `${from.name} -> ${to.name}`
    return this.#count({ verb: 'copy', name, signal: options.signal }, () =>
      this.#store.copy(from, to, options),
    )
  }

  delete(path: BlobPath, options: CallOptions & Conditions = {}): Promise<void> {
    const { ifMatch, signal } = options
    return this.#count({ verb: 'delete', name: path.name, ifMatch, signal }, () =>
      this.#store.delete(path, options),
    )
  }

  /** Counted as one request. */
  get deleteMany(): DeleteMany | undefined {
    const { deleteMany } = this.#store
    if (deleteMany === undefined) return undefined
    return (deletions, options = {}) => {
      const name = deletions.map(({ path }) => path.name).join(' ')
      const request = { verb: 'deleteMany' as const, name, signal: options.signal }
      return this.#count(request, () => deleteMany(deletions, options))
    }
  }

  headContainer(container: string, options: CallOptions = {}): Promise<ContainerProperties> {
    return this.#count({ verb: 'headContainer', name: container, ...options }, () =>
      this.#store.headContainer(container, options),
    )
  }

  createContainer(container: string, options: CallOptions = {}): Promise<void> {
    return this.#count({ verb: 'createContainer', name: container, ...options }, () =>
      this.#store.createContainer(container, options),
    )
  }

  deleteContainer(container: string, options: CallOptions = {}): Promise<void> {
    return this.#count({ verb: 'deleteContainer', name: container, ...options }, () =>
      this.#store.deleteContainer(container, options),
    )
  }

  listContainers(options: CallOptions = {}): AsyncIterable<ContainerProperties> {
    this.#requests.push({ verb: 'listContainers', name: '' })
    return this.#store.listContainers(options)
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  async #count<T>(request: Request, call: () => Promise<T>): Promise<T> {
    this.#requests.push(request)
    this.#inFlight += 1
    this.maxInFlight = Math.max(this.maxInFlight, this.#inFlight)
    try {
      await this.before(request)
      const answer = await call()
      await this.after(request)
      return answer
    } finally {
      this.#inFlight -= 1
    }
  }
}
