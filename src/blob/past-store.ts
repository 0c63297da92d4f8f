import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { type Moment, type PastBlob, type PastNames, readPastNames } from './past-names.ts'
import type {
  BlobContent,
  BlobProperties,
  BlobStore,
  CallOptions,
  ContainerProperties,
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
export class PastBlobStore implements BlobStore {
  readonly account: string
  readonly #store: BlobStore
  readonly #moment: Moment
  readonly #root: BlobPath
  #names: Promise<PastNames> | undefined

  constructor({ store, moment, root }: PastStoreOptions) {
    this.account = store.account
    this.#store = store
    this.#moment = moment
    this.#root = root
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

  async head(path: BlobPath, options: CallOptions = {}): Promise<BlobProperties> {
    return (await this.#find(path, 'blob.head', options)).properties
  }

  async get(path: BlobPath, options: GetOptions = {}): Promise<BlobContent> {
    const { former } = await this.#find(path, 'blob.get', options)
    return this.#store.get(path, { ...options, former })
  }

  async listPage(prefix: BlobPath, options: ListOptions = {}): Promise<ListPage> {
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

  headContainer(container: string, options?: CallOptions): Promise<ContainerProperties> {
    return this.#store.headContainer(container, options)
  }

  listContainers(options?: CallOptions): AsyncIterable<ContainerProperties> {
    return this.#store.listContainers(options)
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  put = (path: BlobPath): Promise<never> => refuse(path, 'blob.put')
  stageBlock = (path: BlobPath): Promise<never> => refuse(path, 'blob.stageBlock')
  stageBlockFrom = (path: BlobPath): Promise<never> => refuse(path, 'blob.stageBlockFrom')
  getBlocks = (path: BlobPath): Promise<never> => refuse(path, 'blob.getBlocks')
  getStagedBlocks = (path: BlobPath): Promise<never> => refuse(path, 'blob.getStagedBlocks')
  commitBlocks = (path: BlobPath): Promise<never> => refuse(path, 'blob.commitBlocks')
  appendBlock = (path: BlobPath): Promise<never> => refuse(path, 'blob.appendBlock')
  setMetadata = (path: BlobPath): Promise<never> => refuse(path, 'blob.setMetadata')
  copy = (_from: BlobPath, to: BlobPath): Promise<never> => refuse(to, 'blob.copy')
  delete = (path: BlobPath): Promise<never> => refuse(path, 'blob.delete')
  createContainer = (container: string): Promise<never> =>
    refuse({ container, name: '' }, 'container.create')
  deleteContainer = (container: string): Promise<never> =>
    refuse({ container, name: '' }, 'container.delete')

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

function refuse(path: BlobPath, syscall: string): Promise<never> {
  const detail = 'the past cannot be changed'
  return Promise.reject(new FileSystemError('EROFS', syscall, { path: formatPath(path), detail }))
}
