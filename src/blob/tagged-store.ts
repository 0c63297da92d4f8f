import type { BlobPath } from '../path.ts'
import type { Tags } from './administration.ts'
import { ReadOnlyStore } from './read-only-store.ts'
import type { BlobProperties, BlobStore, CallOptions, ListOptions, ListPage } from './store.ts'

export interface TaggedStoreOptions {
  /** Asks for the index tags of one blob. */
  readonly tagsOf: (path: BlobPath, options: CallOptions) => Promise<Tags>
  /** Rejects where there can be none. */
  readonly refuse: (options: CallOptions) => Promise<void>
}

/**
 * An account whose blobs tell their index tags: with every listing, and by a request more for a single name that has some. For
 * those who only read.
 */
export class TaggedStore extends ReadOnlyStore {
  readonly #options: TaggedStoreOptions

  constructor(store: BlobStore, options: TaggedStoreOptions) {
    super(store, 'it is seen by its tags')
    this.#options = options
  }

  override async head(path: BlobPath, options: CallOptions = {}): Promise<BlobProperties> {
    await this.#options.refuse(options)
    const properties = await super.head(path, options)
    const { tagCount = 0 } = properties
    const tags = tagCount === 0 ? noTags : await this.#options.tagsOf(path, options)
    return { ...properties, tags }
  }

  override async listPage(prefix: BlobPath, options: ListOptions = {}): Promise<ListPage> {
    await this.#options.refuse(options)
    const page = await super.listPage(prefix, { ...options, tags: true })
    const entries = page.entries.map((row) => {
      if (row.kind === 'prefix') return row
      return { ...row, properties: { ...row.properties, tags: row.tags ?? noTags } }
    })
    return { ...page, entries }
  }
}

const noTags: Tags = Object.freeze({})
