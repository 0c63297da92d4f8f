import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type {
  BlobContent,
  BlobProperties,
  BlobStore,
  CallOptions,
  ContainerProperties,
  GetOptions,
  ListOptions,
  ListPage,
} from './store.ts'

/** Another view of a store, for those who only read: whatever would change it is `EROFS`. */
export abstract class ReadOnlyStore implements BlobStore {
  readonly account: string
  readonly #store: BlobStore
  readonly #why: string

  constructor(store: BlobStore, why: string) {
    this.account = store.account
    this.#store = store
    this.#why = why
  }

  get endpoint(): string | undefined {
    return this.#store.endpoint
  }

  get roundTripMs(): number | undefined {
    return this.#store.roundTripMs
  }

  get receivedBytes(): number | undefined {
    return this.#store.receivedBytes
  }

  get isEndless(): (() => boolean) | undefined {
    return this.#store.isEndless
  }

  head(path: BlobPath, options?: CallOptions): Promise<BlobProperties> {
    return this.#store.head(path, options)
  }

  get(path: BlobPath, options?: GetOptions): Promise<BlobContent> {
    return this.#store.get(path, options)
  }

  listPage(prefix: BlobPath, options?: ListOptions): Promise<ListPage> {
    return this.#store.listPage(prefix, options)
  }

  headContainer(container: string, options?: CallOptions): Promise<ContainerProperties> {
    return this.#store.headContainer(container, options)
  }

  listContainers(options?: CallOptions): AsyncIterable<ContainerProperties> {
    return this.#store.listContainers(options)
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  put = (path: BlobPath): Promise<never> => this.#refuse(path, 'blob.put')
  stageBlock = (path: BlobPath): Promise<never> => this.#refuse(path, 'blob.stageBlock')
  stageBlockFrom = (path: BlobPath): Promise<never> => this.#refuse(path, 'blob.stageBlockFrom')
  getBlocks = (path: BlobPath): Promise<never> => this.#refuse(path, 'blob.getBlocks')
  getStagedBlocks = (path: BlobPath): Promise<never> => this.#refuse(path, 'blob.getStagedBlocks')
  commitBlocks = (path: BlobPath): Promise<never> => this.#refuse(path, 'blob.commitBlocks')
  appendBlock = (path: BlobPath): Promise<never> => this.#refuse(path, 'blob.appendBlock')
  setMetadata = (path: BlobPath): Promise<never> => this.#refuse(path, 'blob.setMetadata')
  copy = (_from: BlobPath, to: BlobPath): Promise<never> => this.#refuse(to, 'blob.copy')
  delete = (path: BlobPath): Promise<never> => this.#refuse(path, 'blob.delete')
  createContainer = (container: string): Promise<never> =>
    this.#refuse({ container, name: '' }, 'container.create')
  deleteContainer = (container: string): Promise<never> =>
    this.#refuse({ container, name: '' }, 'container.delete')

  #refuse(path: BlobPath, syscall: string): Promise<never> {
    const detail = this.#why
    return Promise.reject(new FileSystemError('EROFS', syscall, { path: formatPath(path), detail }))
  }
}
