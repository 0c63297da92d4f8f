import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { type Moment, type PastBlob, type PastNames, readPastNames } from './past-names.ts'
import { ReadOnlyStore } from './read-only-store.ts'
import type {
  BlobContent,
  BlobProperties,
  BlobStore,
  CallOptions,
  GetOptions,
  ListEntry,
  ListOptions,
  ListPage,
} from './store.ts'

export interface PastStoreOptions {
  readonly store: BlobStore
  readonly moment: Moment
  /** What is looked at: only names that begin with this are known. */
  readonly root: BlobPath
}

/**
 * A container as it was, read-only. The past does not change: one listing of all versions, or snapshots,
 * of what lies below the root answers for all names from then on. Bytes come from the state that
 * was current then; its etag is its own, so that caches are shared with who reads the present.
 */
export class PastBlobStore extends ReadOnlyStore {
  readonly #store: BlobStore
  readonly #moment: Moment
  readonly #root: BlobPath
  #names: Promise<PastNames> | undefined

  constructor({ store, moment, root }: PastStoreOptions) {
    super(store, 'the past cannot be changed')
    this.#store = store
    this.#moment = moment
    this.#root = root
  }

  override async head(path: BlobPath, options: CallOptions = {}): Promise<BlobProperties> {
    return (await this.#find(path, 'blob.head', options)).properties
  }

  override async get(path: BlobPath, options: GetOptions = {}): Promise<BlobContent> {
    const { former } = await this.#find(path, 'blob.get', options)
    return this.#store.get(path, { ...options, former })
  }

  override async listPage(prefix: BlobPath, options: ListOptions = {}): Promise<ListPage> {
    const { signal, delimiter, maxResults = maxPageRows } = options
    const { blobs } = await this.#load(signal)
    const rows = rowsBelow(blobs, prefix.name, delimiter)
    const start = Number(options.continuation ?? 0)
    const end = start + maxResults
    return {
      entries: rows.slice(start, end),
      continuation: end < rows.length ? String(end) : undefined,
    }
  }

  async #find(path: BlobPath, syscall: string, { signal }: CallOptions): Promise<PastBlob> {
    const found = (await this.#load(signal)).byName.get(path.name)
    if (found !== undefined && path.container === this.#root.container) return found
    throw new FileSystemError('ENOENT', syscall, { path: formatPath(path) })
  }

  /** Once; a listing that failed is begun again by who asks next. */
  #load(signal: AbortSignal | undefined): Promise<PastNames> {
    this.#names ??= readPastNames(this.#store, this.#root, { ...this.#moment, signal }).catch(
      (error: unknown) => {
        this.#names = undefined
        throw error
      },
    )
    return this.#names
  }
}

const maxPageRows = 5000

/** As the service folds a listing: a row for each blob, or for all below the next slash. */
function rowsBelow(
  blobs: readonly PastBlob[],
  prefix: string,
  delimiter: string | undefined,
): readonly ListEntry[] {
  const rows: ListEntry[] = []
  let folded: string | undefined
  for (let index = firstAfter(blobs, prefix); index < blobs.length; index += 1) {
    const blob = blobs[index]
    if (blob === undefined || !blob.name.startsWith(prefix)) break
    if (folded !== undefined && blob.name.startsWith(folded)) continue
    const slash = delimiter === undefined ? -1 : blob.name.indexOf(delimiter, prefix.length)
    folded = slash < 0 ? undefined : blob.name.slice(0, slash + 1)
    const { name, properties } = blob
    rows.push(
      folded === undefined ? { kind: 'blob', name, properties } : { kind: 'prefix', name: folded },
    )
  }
  return rows
}

/** The first of `blobs` that does not sort before `prefix`. */
function firstAfter(blobs: readonly PastBlob[], prefix: string): number {
  let low = 0
  let high = blobs.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (compareBytes(blobs[middle]?.name ?? '', prefix) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/** The service sorts by bytes. */
function compareBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right))
}
