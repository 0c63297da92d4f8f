import { type Clock, systemClock } from '../clock.ts'
import type { CustomerKey } from '../customer-key.ts'
import { isFileSystemError } from '../errors.ts'
import type { HttpHandler, HttpResponse } from '../http/handler.ts'
import type { BlobPath } from '../path.ts'
import { rememberingRecent } from '../recent.ts'
import { AzureBatches } from './azure-batch.ts'
import { blockListCall, blocksFrom, listedBlocks, stageFromCall } from './azure-blocks.ts'
import { type AzureCall, callAzure } from './azure-client.ts'
import { AzureContainers } from './azure-containers.ts'
import { copyWithin } from './azure-copies.ts'
import { listCall, readListing } from './azure-listing.ts'
import { checkLength, checkStatus, contentFrom, rangeCall } from './azure-ranges.ts'
import {
  addConditions,
  addMetadata,
  baseHeaders,
  endpointBase,
  formerQuery,
  resourceUrl,
} from './azure-request.ts'
import { changedProperties, propertiesFrom } from './azure-response.ts'
import { AzureWrites } from './azure-writes.ts'
import { CustomerKeys } from './customer-keys.ts'
import type { DeleteMany } from './deletion.ts'
import { EncryptionScopes } from './encryption-scopes.ts'
import { copyWithKey } from './keyed-copies.ts'
import { PageRooms } from './page-rooms.ts'
import { ServicePace } from './service-pace.ts'
import { SinkReceiver } from './sink-receiver.ts'
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
  ContentSink,
  CopiedProperties,
  CopyOptions,
  GetOptions,
  HeadOptions,
  Integrity,
  ListOptions,
  ListPage,
  Metadata,
  PutOptions,
  StageOptions,
} from './store.ts'
import { checkBlobPath, checkContainer, checkGetOptions, checkWrite } from './validate.ts'

export interface AzureBlobStoreOptions {
  readonly account: string
  /** The blob endpoint, host-style or path-style. */
  readonly endpoint: URL
  /** With credentials, retries and time-outs in it. */
  readonly http: HttpHandler
  /** Closes what `http` holds, when the store is closed; absent: `http` is somebody else's. */
  readonly closeHttp?: (() => Promise<void>) | undefined
  /** What uploads are summed with. Default `none`. */
  readonly integrity?: Integrity | undefined
  /** Whether `http` waits however long the service is away. */
  readonly isEndless?: (() => boolean) | undefined
  /** Encrypts blobs that are new. Default: the container's. */
  readonly encryptionScope?: string | undefined
  /** Encrypts all that is written, and is brought to read. Not beside a scope. */
  readonly customerKey?: CustomerKey | undefined
  /** Whether many blobs are deleted in one request. Default: yes. */
  readonly batches?: boolean | undefined
  /** Paces the polling of copies that the service finishes later. */
  readonly clock?: Clock | undefined
}

/**
 * A storage account of Azure (or of an emulator): REST over `http`, without the Azure SDK.
 */
export class AzureBlobStore implements BlobStore {
  readonly account: string
  readonly #http: HttpHandler
  readonly #scopes: EncryptionScopes
  readonly #keys: CustomerKeys | undefined
  readonly #base: string
  readonly integrity: Integrity
  readonly isEndless: (() => boolean) | undefined
  readonly #writes: AzureWrites
  readonly #containers: AzureContainers
  readonly deleteMany: DeleteMany | undefined
  readonly #clock: Clock
  readonly #closeHttp: (() => Promise<void>) | undefined
  /** Of a path that is checked: whoever reads on has the same object each time. Not weak, which costs more than a URL. */
  readonly #urlOf = rememberingRecent((path: BlobPath) => {
    checkBlobPath(path, 'blob.get')
    return resourceUrl(this.#base, path)
  }, 256)
  readonly #rooms = new PageRooms()
  readonly #pace = new ServicePace()

  constructor(options: AzureBlobStoreOptions) {
    this.account = options.account
    this.#scopes = new EncryptionScopes(options.http, options.encryptionScope)
    const { customerKey: key, endpoint } = options
    this.#keys = key && new CustomerKeys(options.http, key, endpoint)
    this.#http = this.#keys?.handle ?? this.#scopes.handle
    this.#closeHttp = options.closeHttp
    this.#base = endpointBase(endpoint)
    this.integrity = options.integrity ?? 'none'
    this.isEndless = options.isEndless
    const wire = { http: this.#http, base: this.#base }
    this.#writes = new AzureWrites({ ...wire, integrity: this.integrity })
    this.#clock = options.clock ?? systemClock
    this.#containers = new AzureContainers(wire)
    if (options.batches !== false) this.deleteMany = this.#batches(this.#http)
  }

  /** Sends what is about blobs, in the encryption scopes that they have. */
  get http(): HttpHandler {
    return this.#http
  }

  get endpoint(): string {
    return this.#base
  }

  get roundTripMs(): number | undefined {
    return this.#pace.roundTripMs
  }

  get receivedBytes(): number {
    return this.#pace.receivedBytes
  }

  async head(path: BlobPath, options: HeadOptions = {}): Promise<BlobProperties> {
    const { signal, former } = options
    return this.#head(path, 'blob.head', { signal, former })
  }

  async get(path: BlobPath, options: GetOptions = {}): Promise<BlobContent> {
    const url = this.#urlOf(path)
    checkGetOptions(options)
    const { range } = options
    if (range !== undefined && range.end === range.start) return this.#getNothing(path, options)
    if (options.sink !== undefined) return this.#stream(path, { ...options, sink: options.sink })
    const response = await this.#call(rangeCall({ path, url }, options))
    this.#pace.noteRead(response)
    if (response.status === 416) return this.#getPast(path, options)
    this.#pace.noteBytes(response.body.byteLength)
    return contentFrom(response, path, range)
  }

  async put(path: BlobPath, data: Uint8Array, options: PutOptions = {}): Promise<BlobProperties> {
    const operation = 'blob.put'
    checkWrite(path, options, operation)
    return this.#writes.put(path, data, options)
  }

  async stageBlock(
    path: BlobPath,
    blockId: string,
    data: Uint8Array,
    options: StageOptions = {},
  ): Promise<void> {
    const operation = 'blob.stageBlock'
    checkBlobPath(path, operation)
    await this.#writes.stageBlock(path, blockId, data, options)
  }

  async stageBlockFrom(
    path: BlobPath,
    blockId: string,
    source: BlockSourceRange,
    options: CallOptions & Pick<Conditions, 'leaseId'> = {},
  ): Promise<void> {
    checkBlobPath(path, 'blob.stageBlockFrom')
    await this.#call(stageFromCall(this.#base, { path, blockId, source }, options))
  }

  async getBlocks(path: BlobPath, options: CallOptions = {}): Promise<CommittedBlocks> {
    checkBlobPath(path, 'blob.getBlocks')
    return blocksFrom(await this.#call(blockListCall(path, options)), path)
  }

  async getStagedBlocks(
    path: BlobPath,
    options: CallOptions = {},
  ): Promise<readonly CommittedBlock[]> {
    checkBlobPath(path, 'blob.getBlocks')
    try {
      return listedBlocks(await this.#call(blockListCall(path, options, 'uncommitted')), path)
    } catch (error) {
      if (isFileSystemError(error, 'ENOENT')) return []
      throw error
    }
  }

  async commitBlocks(
    path: BlobPath,
    blockIds: readonly string[],
    options: CommitOptions = {},
  ): Promise<BlobProperties> {
    const operation = 'blob.commitBlocks'
    checkWrite(path, options, operation)
    const written = await this.#writes.commitBlocks(path, blockIds, options)
    return written ?? this.#head(path, operation, { signal: options.signal })
  }

  async appendBlock(
    path: BlobPath,
    data: Uint8Array,
    options: AppendOptions,
  ): Promise<BlobProperties> {
    checkBlobPath(path, 'blob.appendBlock')
    return this.#writes.appendBlock(path, data, options)
  }

  async listPage(prefix: BlobPath, options: ListOptions = {}): Promise<ListPage> {
    checkContainer(prefix.container, 'blob.list')
    const { body, firstByteMs } = await this.#call(listCall(prefix, options, this.#rooms.take()))
    this.#pace.noteListing(firstByteMs)
    const bytes = Buffer.from(body.buffer, body.byteOffset, body.length)
    this.#scopes.noteListing(bytes)
    const page = await readListing(bytes, prefix, options)
    this.#rooms.give(body)
    const listed = { ...page, waitedMs: firstByteMs }
    return this.#keys?.complete(listed, prefix, { ...options, store: this }) ?? listed
  }

  async setMetadata(
    path: BlobPath,
    metadata: Metadata,
    options: CallOptions & Conditions = {},
  ): Promise<ChangedProperties> {
    const operation = 'blob.setMetadata'
    checkWrite(path, { metadata }, operation)
    const headers = addMetadata(addConditions(baseHeaders(), options), metadata)
    const { signal } = options
    const call = {
      operation,
      method: 'PUT',
      path,
      query: '?comp=metadata',
      headers,
      signal,
    } as const
    return changedProperties(await this.#call(call))
  }

  async copy(from: BlobPath, to: BlobPath, options: CopyOptions = {}): Promise<CopiedProperties> {
    const operation = 'blob.copy'
    checkBlobPath(from, operation)
    checkWrite(to, options, operation)
    if (this.#keys !== undefined) return copyWithKey(this, { from, to }, options)
    const call = (request: AzureCall): Promise<HttpResponse> => this.#call(request)
    const parts = { base: this.#base, clock: this.#clock, call, scopes: this.#scopes }
    return copyWithin(parts, { from, to }, options)
  }

  /** Deletes the blob with its snapshots, which would otherwise forbid it. */
  async delete(path: BlobPath, options: CallOptions & Conditions = {}): Promise<void> {
    const operation = 'blob.delete'
    checkBlobPath(path, operation)
    const headers = addConditions(baseHeaders(), options)
    headers['x-ms-delete-snapshots'] = 'include'
    let isUncertain = false
    const noteUncertain = () => {
      isUncertain = true
    }
    const { signal } = options
    try {
      await this.#call({ operation, method: 'DELETE', path, headers, signal, noteUncertain })
    } catch (error) {
      // An earlier attempt may have deleted it, and its answer was lost: it is gone, as was asked.
      if (!isUncertain || !isFileSystemError(error, 'ENOENT')) throw error
    }
  }

  async headContainer(container: string, options: CallOptions = {}): Promise<ContainerProperties> {
    checkContainer(container, 'container.head')
    return this.#containers.head(container, options)
  }

  async createContainer(container: string, options: CallOptions = {}): Promise<void> {
    checkContainer(container, 'container.create')
    await this.#containers.create(container, options)
  }

  async deleteContainer(container: string, options: CallOptions = {}): Promise<void> {
    checkContainer(container, 'container.delete')
    await this.#containers.delete(container, options)
  }

  listContainers(options: CallOptions = {}): AsyncIterable<ContainerProperties> {
    return this.#containers.list(options)
  }

  async close(): Promise<void> {
    await this.#closeHttp?.()
  }

  #batches(http: HttpHandler): DeleteMany {
    const batches = new AzureBatches({
      http,
      base: this.#base,
      clock: this.#clock,
      deleteAlone: ({ path, ...conditions }, options) =>
        this.delete(path, { ...conditions, ...options }),
    })
    return async (deletions, options = {}) => {
      for (const { path } of deletions) checkBlobPath(path, 'blob.deleteMany')
      return batches.delete(deletions, options)
    }
  }

  #call(call: AzureCall): Promise<HttpResponse> {
    return callAzure(this.#http, this.#base, call)
  }

  /** The check of the range comes before the first byte: a wrong one would be silent corruption. */
  async #stream(
    path: BlobPath,
    options: GetOptions & { readonly sink: ContentSink },
  ): Promise<BlobContent> {
    const { range } = options
    let sizeBytes = 0
    const receiver = new SinkReceiver(options.sink, {
      check: (status, properties) => {
        sizeBytes = properties.sizeBytes
        checkStatus(status, path, { range, sizeBytes })
      },
      onBytes: (count) => this.#pace.noteBytes(count),
    })
    const url = this.#urlOf(path)
    const response = await this.#call({ ...rangeCall({ path, url }, options), receiver })
    this.#pace.noteRead(response)
    if (response.status === 416) return this.#getPast(path, options)
    checkLength(receiver.receivedBytes, path, { range, sizeBytes })
    return { data: response.body, properties: propertiesFrom(response.headers) }
  }

  async #head(
    path: BlobPath,
    operation: string,
    options: HeadOptions & Conditions,
  ): Promise<BlobProperties> {
    checkBlobPath(path, operation)
    const headers = addConditions(baseHeaders(), options)
    const { signal } = options
    const query = formerQuery(options.former)
    const response = await this.#call({ operation, method: 'HEAD', path, query, headers, signal })
    this.#pace.noteRead(response)
    return propertiesFrom(response.headers)
  }

  /**
   * An empty blob, or a range that begins past the end: the answer tells neither etag nor metadata, which says
   * whether the blob stands for a directory. Where it has been written meanwhile it is asked for once more.
   */
  async #getPast(path: BlobPath, options: GetOptions): Promise<BlobContent> {
    const content = await this.#getNothing(path, options)
    const { range = { start: 0, end: 0 }, ifMatch } = options
    const { etag, sizeBytes } = content.properties
    if (range.start >= sizeBytes) return content
    if (ifMatch !== undefined) checkLength(0, path, { range, sizeBytes })
    return this.get(path, { ...options, ifMatch: etag })
  }

  async #getNothing(path: BlobPath, options: GetOptions): Promise<BlobContent> {
    const { ifMatch, signal, former } = options
    const properties = await this.#head(path, 'blob.get', { ifMatch, signal, former })
    return { data: options.into?.subarray(0, 0) ?? new Uint8Array(0), properties }
  }
}
