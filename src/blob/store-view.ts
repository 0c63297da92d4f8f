import type { BlobPath } from '../path.ts'
import type {
  BlobContent,
  BlobProperties,
  BlobStore,
  CallOptions,
  ContainerProperties,
  GetOptions,
  HeadOptions,
  ListOptions,
  ListPage,
} from './store.ts'

/** Another view of a store, which is read as the store is where nothing else is said. */
export abstract class StoreView {
  readonly account: string
  readonly #store: BlobStore

  constructor(store: BlobStore) {
    this.account = store.account
    this.#store = store
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

  head(path: BlobPath, options?: HeadOptions): Promise<BlobProperties> {
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
}
