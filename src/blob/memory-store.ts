import { clampRange } from '../byte-range.ts'
import type { Clock } from '../clock.ts'
import { FileSystemError } from '../errors.ts'
import type { BlobPath } from '../path.ts'
import { type KeptStates, MemoryAccount } from './memory-account.ts'
import { checkIfMatch, checkSameLength, checkType } from './memory-checks.ts'
import { compareUtf8, type MemoryBlob, MemoryContainer, withMetadata } from './memory-container.ts'
import { MemoryPast } from './memory-past.ts'
import { refusal, type TreeSubject } from './memory-tree.ts'
import { pour } from './pour.ts'
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
  CopyOptions,
  GetOptions,
  HeadOptions,
  ListOptions,
  ListPage,
  Metadata,
  PutOptions,
} from './store.ts'
import {
  checkAppend,
  checkBlobPath,
  checkBlock,
  checkBlockCount,
  checkBodySize,
  checkContainer,
  checkGetOptions,
  checkMetadata,
  maxBlobPutBytes,
} from './validate.ts'

export interface MemoryBlobStoreOptions {
  /** Default `devstoreaccount1`. */
  readonly account?: string
  readonly clock?: Clock
  /** Default: nothing of what was written over or deleted. */
  readonly kept?: KeptStates
  /** The containers to work on; absent: new ones, with `clock` and `kept`. */
  readonly state?: MemoryAccount
}

/**
 * A storage account in this process's memory: the reference that other stores are tested against.
 * Begins without containers. Times have whole seconds, as Azure's have. `MemoryHistory` takes snapshots and
 * brings former states back.
 */
export class MemoryBlobStore implements BlobStore {
  readonly account: string
  readonly #state: MemoryAccount

  constructor(options: MemoryBlobStoreOptions = {}) {
    this.account = options.account ?? 'devstoreaccount1'
    this.#state = options.state ?? new MemoryAccount(options.clock, options.kept)
  }

  get endpoint(): string {
    return this.#state.endpoint
  }

  async head(path: BlobPath, options: HeadOptions = {}): Promise<BlobProperties> {
    return withMetadata(this.#existing(path, 'blob.head', options))
  }

  async get(path: BlobPath, options: GetOptions = {}): Promise<BlobContent> {
    checkGetOptions(options)
    const subject = { path, syscall: 'blob.get' }
    const blob = this.#existing(path, subject.syscall, options)
    checkIfMatch(blob, options, subject)
    const range = clampRange(options.range ?? { start: 0, end: blob.data.length }, blob.data.length)
    const limit = Math.min(options.into?.length ?? maxBlobPutBytes, maxBlobPutBytes)
    if (options.range === undefined) checkBodySize(blob.data.length, limit, subject)
    const bytes = blob.data.subarray(range.start, range.end)
    const properties = withMetadata(blob)
    if (options.sink === undefined) return { data: deliver(bytes, options.into), properties }
    options.sink.begin(properties)
    await pour(bytes, options.sink, options.signal)
    return { data: bytes.subarray(0, 0), properties }
  }

  async put(path: BlobPath, data: Uint8Array, options: PutOptions = {}): Promise<BlobProperties> {
    const subject = { path, syscall: 'blob.put' }
    checkBodySize(data.length, maxBlobPutBytes, subject)
    return this.#replace(subject, { data: new Uint8Array(data), blocks: [] }, options)
  }

  async stageBlock(
    path: BlobPath,
    blockId: string,
    data: Uint8Array,
    options: CallOptions = {},
  ): Promise<void> {
    const subject = { path, syscall: 'blob.stageBlock' }
    const container = this.#containerOf(path, subject.syscall, options)
    checkBlock(blockId, data, subject)
    checkType(container.get(path.name), 'BlockBlob', subject)
    const staged = container.uncommitted.get(path.name) ?? new Map<string, Uint8Array>()
    const [known] = staged.keys()
    checkSameLength(blockId, known, subject)
    container.uncommitted.set(path.name, staged.set(blockId, new Uint8Array(data)))
  }

  async stageBlockFrom(
    path: BlobPath,
    blockId: string,
    source: BlockSourceRange,
    options: CallOptions = {},
  ): Promise<void> {
    const subject = { path: source.path, syscall: 'blob.stageBlockFrom' }
    if (source.access !== undefined) throw new FileSystemError('ENOTSUP', subject.syscall)
    const blob = this.#existing(source.path, subject.syscall, options)
    checkIfMatch(blob, source, subject)
    const { start, end } = source.range
    await this.stageBlock(path, blockId, blob.data.subarray(start, end), options)
  }

  async getBlocks(path: BlobPath, options: CallOptions = {}): Promise<CommittedBlocks> {
    const subject = { path, syscall: 'blob.getBlocks' }
    const blob = this.#existing(path, subject.syscall, options)
    checkType(blob, 'BlockBlob', subject)
    const { blocks, properties } = blob
    const sizes = blocks.map(({ id, data }) => ({ id, sizeBytes: data.length }))
    return { etag: properties.etag, blocks: sizes }
  }

  async getStagedBlocks(
    path: BlobPath,
    options: CallOptions = {},
  ): Promise<readonly CommittedBlock[]> {
    const container = this.#containerOf(path, 'blob.getBlocks', options)
    const staged = container.uncommitted.get(path.name) ?? []
    return [...staged].map(([id, { length }]) => ({ id, sizeBytes: length }))
  }

  async commitBlocks(
    path: BlobPath,
    blockIds: readonly string[],
    options: PutOptions = {},
  ): Promise<BlobProperties> {
    const subject = { path, syscall: 'blob.commitBlocks' }
    checkBlockCount(blockIds.length, path)
    const container = this.#containerOf(path, subject.syscall, options)
    this.#checkConditions(container.get(path.name), options, subject)
    checkType(container.get(path.name), 'BlockBlob', subject)
    const staged = container.uncommitted.get(path.name)
    const listed = container.get(path.name)?.blocks ?? []
    const committed = new Map(listed.map(({ id, data }) => [id, data]))
    const blocks = blockIds.map((id) => {
      const data = staged?.get(id) ?? committed.get(id)
      if (data === undefined)
        throw refusal('ESTALE', { ...subject, detail: lostBlock }, 'InvalidBlockList')
      return { id, data }
    })
    const data = concatenate(blocks.map((block) => block.data))
    return this.#replace(subject, { data, blocks }, options)
  }

  async appendBlock(
    path: BlobPath,
    data: Uint8Array,
    options: AppendOptions,
  ): Promise<BlobProperties> {
    const subject = { path, syscall: 'blob.appendBlock' }
    checkAppend(data, options.position)
    const blob = this.#existing(path, subject.syscall, options)
    checkType(blob, 'AppendBlob', subject)
    if (options.position !== blob.data.length)
      throw refusal('ESTALE', subject, 'AppendPositionConditionNotMet')
    const joined = new Uint8Array(Buffer.concat([blob.data, data]))
    const properties = this.#touch({ ...blob.properties, sizeBytes: joined.length })
    const grown = { ...blob, data: joined, properties }
    this.#containerOf(path, subject.syscall, options).set(path.name, grown)
    return withMetadata(grown)
  }

  async listPage(prefix: BlobPath, options: ListOptions = {}): Promise<ListPage> {
    return this.#container(prefix.container, 'blob.list', options).list(prefix.name, options)
  }

  async setMetadata(
    path: BlobPath,
    metadata: Metadata,
    options: CallOptions & Conditions = {},
  ): Promise<ChangedProperties> {
    const subject = { path, syscall: 'blob.setMetadata' }
    const container = this.#containerOf(path, subject.syscall, options)
    checkMetadata(metadata, path, subject.syscall)
    const blob = this.#existing(path, subject.syscall, options)
    this.#checkConditions(blob, options, subject)
    container.retire(path.name, 'revise')
    const changed = {
      ...blob,
      metadata: { ...metadata },
      properties: this.#another(blob.properties),
    }
    container.set(path.name, changed)
    return withMetadata(changed)
  }

  async copy(from: BlobPath, to: BlobPath, options: CopyOptions = {}): Promise<BlobProperties> {
    const syscall = 'blob.copy'
    const source = this.#existing(from, syscall, options)
    checkIfMatch(source, { ifMatch: options.sourceIfMatch }, { path: from, syscall })
    return this.#replace({ path: to, syscall }, source, {
      ...options,
      appendable: source.properties.blobType === 'AppendBlob',
      metadata: options.metadata ?? source.metadata,
      contentType: source.properties.contentType,
      headers: source.properties.headers,
    })
  }

  async delete(path: BlobPath, options: CallOptions & Conditions = {}): Promise<void> {
    const subject = { path, syscall: 'blob.delete' }
    const container = this.#containerOf(path, subject.syscall, options)
    this.#checkConditions(this.#existing(path, subject.syscall, options), options, subject)
    container.past.removeSnapshots(path.name)
    container.retire(path.name, 'delete')
    container.delete(path.name)
    container.uncommitted.delete(path.name)
  }

  async headContainer(container: string, options: CallOptions = {}): Promise<ContainerProperties> {
    return describeContainer(this.#container(container, 'container.head', options))
  }

  async createContainer(container: string, options: CallOptions = {}): Promise<void> {
    options.signal?.throwIfAborted()
    checkContainer(container, 'container.create')
    if (this.#state.containers.has(container)) {
      throw new FileSystemError('EEXIST', 'container.create', {
        path: `abfs://${container}`,
        serviceCode: 'ContainerAlreadyExists',
        detail: 'the container already exists',
      })
    }
    const made = { etag: this.#nextEtag(), lastModifiedMs: this.#nowMs() }
    const past = new MemoryPast(this.#state)
    this.#state.containers.set(container, new MemoryContainer(container, { ...made, past }))
  }

  async deleteContainer(container: string, options: CallOptions = {}): Promise<void> {
    this.#container(container, 'container.delete', options)
    this.#state.containers.delete(container)
  }

  async *listContainers(
    options: CallOptions = {},
  ): AsyncGenerator<ContainerProperties, void, undefined> {
    options.signal?.throwIfAborted()
    const names = [...this.#state.containers.keys()].sort(compareUtf8)
    for (const name of names) {
      const container = this.#state.containers.get(name)
      if (container !== undefined) yield describeContainer(container)
    }
  }

  async close(): Promise<void> {}

  #container(name: string, syscall: string, options: CallOptions): MemoryContainer {
    options.signal?.throwIfAborted()
    checkContainer(name, syscall)
    const container = this.#state.containers.get(name)
    if (container !== undefined) return container
    throw new FileSystemError('ENOENT', syscall, {
      path: `abfs://${name}`,
      serviceCode: 'ContainerNotFound',
      detail: 'the container does not exist',
    })
  }

  #containerOf(path: BlobPath, syscall: string, options: CallOptions): MemoryContainer {
    checkBlobPath(path, syscall)
    return this.#container(path.container, syscall, options)
  }

  #existing(path: BlobPath, syscall: string, options: HeadOptions): MemoryBlob {
    const blob = this.#containerOf(path, syscall, options).get(path.name, options.former)
    if (blob === undefined) throw refusal('ENOENT', { path, syscall }, 'BlobNotFound')
    return blob
  }

  #checkConditions(
    blob: MemoryBlob | undefined,
    conditions: Conditions,
    subject: TreeSubject,
  ): void {
    checkIfMatch(blob, conditions, subject)
    if (conditions.ifNoneMatch === '*' && blob !== undefined) {
      throw refusal('EEXIST', subject, 'BlobAlreadyExists')
    }
  }

  #replace(
    subject: TreeSubject,
    content: Pick<MemoryBlob, 'data' | 'blocks'>,
    options: PutOptions,
  ): BlobProperties {
    const { path, syscall } = subject
    const container = this.#containerOf(path, syscall, options)
    const metadata = { ...options.metadata }
    checkMetadata(metadata, path, syscall)
    const previous = container.get(path.name)
    this.#checkConditions(previous, options, subject)
    const blobType = options.appendable === true ? 'AppendBlob' : 'BlockBlob'
    checkType(previous, blobType, subject)
    const blob: MemoryBlob = {
      data: content.data,
      blocks: content.blocks,
      metadata,
      tags: options.tags && { ...options.tags },
      properties: this.#another({
        sizeBytes: content.data.length,
        etag: '',
        lastModifiedMs: 0,
        createdMs: previous?.properties.createdMs ?? this.#nowMs(),
        contentType: options.contentType ?? 'application/octet-stream',
        blobType,
        accessTier: options.tier ?? 'Hot',
        isTierChosen: options.tier !== undefined,
        headers: { ...options.headers },
        tagCount: Object.keys(options.tags ?? {}).length || undefined,
        ...(options.crc64 === undefined
          ? {}
          : { written: { sizeBytes: content.data.length, crc64: options.crc64 } }),
      }),
    }
    container.uncommitted.delete(path.name)
    container.retire(path.name, 'replace')
    container.set(path.name, blob)
    return withMetadata(blob)
  }

  #touch(properties: BlobProperties): BlobProperties {
    return { ...properties, etag: this.#nextEtag(), lastModifiedMs: this.#nowMs() }
  }

  /** Of what takes the place of what was there. */
  #another(properties: BlobProperties): BlobProperties {
    const versionId = this.#state.kept.versioning === true ? this.#state.nextStateId() : undefined
    return { ...this.#touch(properties), versionId }
  }

  #nextEtag(): string {
    return this.#state.nextEtag()
  }

  #nowMs(): number {
    return this.#state.nowMs()
  }
}

const lostBlock =
  'a block to commit is gone: another writer committed the blob, or it was never staged'

function deliver(bytes: Uint8Array, into: Uint8Array | undefined): Uint8Array {
  if (into === undefined) return new Uint8Array(bytes)
  into.set(bytes)
  return into.subarray(0, bytes.length)
}

function concatenate(pieces: readonly Uint8Array[]): Uint8Array {
  const only = pieces.length === 1 ? pieces[0] : undefined
  return only ?? new Uint8Array(Buffer.concat(pieces))
}

function describeContainer(container: MemoryContainer): ContainerProperties {
  const { name, etag, lastModifiedMs } = container
  return { name, etag, lastModifiedMs, metadata: {} }
}
