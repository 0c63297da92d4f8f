/**
 * A key of the customer's goes with each request that the service takes one with, and with no other. Blobs are
 * written with it, and read only where it is theirs. Listings do not tell the metadata of such blobs: each that is of
 * this key is asked for its own, once a version.
 */
import { LRUCache } from 'lru-cache'
import { forEachConcurrent } from '../concurrency.ts'
import type { CustomerKey } from '../customer-key.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import type { HttpHandler, HttpRequest } from '../http/handler.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { roomFor } from '../recent.ts'
import type { HierarchyOf } from './hierarchy.ts'
import type {
  BlobProperties,
  BlobStore,
  FormerId,
  ListEntry,
  ListOptions,
  ListPage,
  Metadata,
} from './store.ts'

/** The first version that reads a source with a key. */
const sourceKeyVersion = '2026-02-06'
const prefix = 'x-ms-encryption-'
const sourcePrefix = 'x-ms-source-encryption-'
/** What `comp` says in a PUT that takes a key; without it a blob is put, or copied. */
const takingPuts: ReadonlySet<string> = new Set([
  'block',
  'blocklist',
  'metadata',
  'appendblock',
  'snapshot',
])
const maxKnown = 50_000
/** HEADs of one page under way at once; the account's requests have a budget beside. */
const headsAtOnce = 32

type ListedBlob = Extract<ListEntry, { kind: 'blob' }>

interface CompleteOptions extends Pick<ListOptions, 'metadata' | 'signal'> {
  readonly store: Pick<BlobStore, 'head'>
}

interface KnownMetadata {
  readonly etag: string
  readonly metadata: Metadata
}

export class CustomerKeys {
  readonly #next: HttpHandler
  readonly #sha256: string
  readonly #headers: Readonly<Record<string, string>>
  readonly #sourceHeaders: Readonly<Record<string, string>>
  readonly #known = new LRUCache<string, KnownMetadata>(roomFor(maxKnown))

  /** `EINVAL` where the account is reached without TLS: the service takes no key there, and it would be read on the way. */
  constructor(next: HttpHandler, key: CustomerKey, endpoint: URL) {
    if (endpoint.protocol !== 'https:') throw notSecure(endpoint)
    this.#next = next
    this.#sha256 = key.sha256
    this.#headers = keyHeaders(prefix, key)
    this.#sourceHeaders = keyHeaders(sourcePrefix, key)
  }

  /** Sends a request of the account's blobs. */
  readonly handle: HttpHandler = async (request) => {
    if (isCopy(request)) throw notCopied(request)
    if (!takesKey(request)) return this.#next(request)
    const headers = { ...request.headers, ...this.#headers, ...this.#ofSource(request) }
    return this.#next({ ...request, headers })
  }

  /** Asks for the metadata that a page of a listing keeps to itself. A blob that is gone meanwhile stays as it was listed. */
  async complete(
    page: ListPage,
    { container }: BlobPath,
    { store, metadata, signal }: CompleteOptions,
  ): Promise<ListPage> {
    if (metadata === false) return page
    const entries = [...page.entries]
    await forEachConcurrent([...entries.entries()], headsAtOnce, async ([index, entry]) => {
      if (entry.kind !== 'blob' || !this.#isHidden(entry)) return
      const path = { container, name: entry.name }
      entries[index] = {
        ...entry,
        properties: await this.#propertiesOf(entry, path, { store, signal }),
      }
    })
    return { ...page, entries }
  }

  async #propertiesOf(
    { properties, state }: ListedBlob,
    path: BlobPath,
    { store, signal }: CompleteOptions,
  ): Promise<BlobProperties> {
    const former = state === undefined || state.isCurrent ? undefined : formerOf(state)
    const key = `${path.container}/${path.name}`
    const known = former === undefined ? this.#known.get(key) : undefined
    if (known?.etag === properties.etag) return { ...properties, metadata: known.metadata }
    try {
      const found = await store.head(path, { former, signal })
      const { etag, metadata = {} } = found
      if (former === undefined) this.#known.set(key, { etag, metadata })
      return etag === properties.etag ? { ...properties, metadata } : found
    } catch (error) {
      if (isFileSystemError(error, 'ENOENT', 'EACCES')) return properties
      throw error
    }
  }

  #isHidden(entry: ListEntry): boolean {
    if (entry.kind !== 'blob' || entry.properties.customerKeySha256 !== this.#sha256) return false
    return entry.state?.isDeleted !== true
  }

  /** The source's own, where the service reads one of this account. */
  #ofSource({ url, headers }: HttpRequest): Readonly<Record<string, string>> {
    const text = headers['x-ms-copy-source']
    if (text === undefined || headers['x-ms-copy-source-authorization'] !== undefined) return {}
    const source = new URL(text)
    if (source.host !== url.host || source.searchParams.has('sig')) return {}
    return { ...this.#sourceHeaders, 'x-ms-version': sourceKeyVersion }
  }
}

/**
 * Refuses an account with a hierarchical namespace, by `ENOTSUP`: directories there have metadata of their own, and what their
 * endpoint does with keys is not known.
 */
export function flatAlone(hierarchyOf: HierarchyOf): HierarchyOf {
  return async (container, options) => {
    if ((await hierarchyOf(container, options)) === undefined) return undefined
    const path = formatPath({ container, name: '' })
    const detail =
      "keys of the customer's are for accounts with a flat namespace, and this one is hierarchical: an encryption scope " +
      '(encryptionScope, --encryption-scope) is for both'
    throw new FileSystemError('ENOTSUP', 'open', { path, detail })
  }
}

function keyHeaders(name: string, key: CustomerKey): Readonly<Record<string, string>> {
  return {
    [`${name}key`]: key.reveal(),
    [`${name}key-sha256`]: key.sha256,
    [`${name}algorithm`]: 'AES256',
  }
}

/** Told by the request itself: many of them are the Azure SDK's. */
function takesKey({ method, url }: HttpRequest): boolean {
  const { searchParams } = url
  if (searchParams.has('restype')) return false
  const comp = searchParams.get('comp')
  if (method === 'GET' || method === 'HEAD') return comp === null || comp === 'metadata'
  return method === 'PUT' && (comp === null || takingPuts.has(comp))
}

/** Copy Blob, which takes no key: it cannot read what has one, and makes what has none. */
function isCopy({ method, url, headers }: HttpRequest): boolean {
  return (
    method === 'PUT' && !url.searchParams.has('comp') && headers['x-ms-copy-source'] !== undefined
  )
}

function notCopied({ operation, path = '' }: HttpRequest): FileSystemError {
  const detail =
    "the service copies nothing with a key of the customer's: read the former state, and write it anew"
  return new FileSystemError('ENOTSUP', operation, { path, detail })
}

function formerOf({ versionId, snapshot }: NonNullable<ListedBlob['state']>): FormerId | undefined {
  if (snapshot !== undefined) return { snapshot }
  return versionId === undefined ? undefined : { versionId }
}

function notSecure({ origin }: URL): FileSystemError {
  const detail = `a key of the customer's is sent over https only, and the account is at ${origin}`
  return new FileSystemError('EINVAL', 'config', { path: 'customerProvidedKey', detail })
}
