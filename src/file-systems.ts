import { parseAzureUrl } from './azure-url.ts'
import { checkOptions } from './check-options.ts'
import { type CreateFileSystemOptions, createFileSystem } from './create-file-system.ts'
import { FileSystemError } from './errors.ts'
import { expectFunction, expectOptions, shown } from './expect-option.ts'
import type { OpenedFile, OpenMode } from './filesystem/account-content.ts'
import type { AppendFileOptions } from './filesystem/append-file.ts'
import { AzureBlobFileSystem } from './filesystem/azure-blob-file-system.ts'
import type { BlobFileEditor } from './filesystem/blob-file-editor.ts'
import type { BlobFileReader, OpenOptions } from './filesystem/blob-file-reader.ts'
import type { BlobFileWriter } from './filesystem/blob-file-writer.ts'
import { LocalFileCache } from './filesystem/local-file-cache.ts'
import { fromStorageOptions } from './storage-options.ts'
import { DiskCache } from './transfer/disk-cache.ts'

/**
 * The account that `url` names, in any form of `parseAzureUrl`; one that names a container alone, such as
 * `abfs://container/path`, is of the environment's account. `EINVAL` for an empty one. See `createFileSystem`.
 */
export async function fromUrl(
  url: string | URL,
  options: Omit<CreateFileSystemOptions, 'url'> = {},
): Promise<AzureBlobFileSystem> {
  checkOptions(options)
  demandUrl(url)
  return createFileSystem({ ...options, url })
}

/** The account of one of Azure's connection strings, with its key or signature. `EINVAL` without one. */
export async function fromConnectionString(
  text: string,
  options: Pick<CreateFileSystemOptions, 'caFile' | 'environment' | 'hns'> = {},
): Promise<AzureBlobFileSystem> {
  if (typeof text === 'string' && /(^|;)\s*(AccountName|BlobEndpoint)\s*=/i.test(text)) {
    return fromStorageOptions({ connection_string: text }, options)
  }
  const detail = 'expected a text with AccountName=…;AccountKey=… as the portal shows it'
  throw new FileSystemError('EINVAL', 'config', { path: 'connection string', detail })
}

/** Makes the account that all URLs of an added protocol are in: `lake://container/path`. */
export type FileSystemLoader = (options: CreateFileSystemOptions) => Promise<AzureBlobFileSystem>

/** What a URL, perhaps with caches in front, stands for. */
export interface OpenedUrl {
  readonly fs: AzureBlobFileSystem
  /** `container/path`, for the methods of `fs`. */
  readonly path: string
  /** The local copies to read through, when the URL asked for them. */
  readonly cache: LocalFileCache | undefined
}

export interface UrlOptions extends CreateFileSystemOptions {
  /** Where `simplecache::`, `filecache::` and `blockcache::` keep what they read. They refuse without it. */
  readonly cacheStorage?: string | undefined
  /** See `LocalFileCacheOptions`. */
  readonly cacheMaxBytes?: number | undefined
  /** How long `filecache::` believes a name. Default 10 seconds. */
  readonly cacheExpiryMs?: number | undefined
}

export interface OpenUrlOptions extends CreateFileSystemOptions {
  /** How the file is opened; see `AzureBlobFileSystem.open`. */
  readonly file?: (OpenOptions & AppendFileOptions) | undefined
}

const azureProtocols = ['abfs', 'abfss', 'az', 'wasb', 'wasbs', 'https', 'http']
const cacheProtocols = ['simplecache', 'filecache', 'blockcache']
const defaultExpiryMs = 10_000

/**
 * File systems by URL, one for each account and way to sign in: whoever asks for the same gets the
 * same, with its connections and listings. They are closed together, by `close()`, after which every call is `EBADF`.
 */
export class FileSystems {
  readonly #loaders = new Map<string, FileSystemLoader>()
  readonly #open = new Map<string, Promise<AzureBlobFileSystem>>()
  readonly #disks = new Map<string, DiskCache>()
  readonly #identities = new WeakMap<object, number>()
  #identityCount = 0
  #isClosed = false

  /** Names of the protocols that {@link get} takes. */
  get protocols(): readonly string[] {
    return [...azureProtocols, ...this.#loaders.keys()]
  }

  /** Adds a protocol, such as `lake`. `EEXIST` for one that is there, unless `clobber`. */
  register(
    protocol: string,
    loader: FileSystemLoader,
    options: { readonly clobber?: boolean | undefined } = {},
  ): void {
    this.#demandOpen('register')
    if (typeof protocol !== 'string' || !/^[a-z][a-z0-9+.-]*$/.test(protocol)) {
      throw new TypeError(`protocol: expected a URL's scheme, got ${shown(protocol)}`)
    }
    expectFunction('loader', loader, 'a function that gives an AzureBlobFileSystem')
    expectOptions(options, '{ clobber }')
    const known = this.protocols.includes(protocol) || cacheProtocols.includes(protocol)
    if (known && options.clobber !== true) {
      const detail = 'the protocol is known already; clobber replaces it'
      throw new FileSystemError('EEXIST', 'register', { path: protocol, detail })
    }
    this.#loaders.set(protocol, loader)
  }

  /** The same as {@link register}, by fsspec's name. */
  registerFilesystem(...args: Parameters<FileSystems['register']>): void {
    this.register(...args)
  }

  /** The same as {@link protocols}, by fsspec's name. */
  availableProtocols(): readonly string[] {
    return this.protocols
  }

  /** The same as {@link get}, by fsspec's name. */
  filesystem(url: string, options?: CreateFileSystemOptions): Promise<AzureBlobFileSystem> {
    return this.get(url, options)
  }

  /** The same as {@link resolve}, by fsspec's name. */
  urlToFs(url: string, options: UrlOptions = {}): Promise<OpenedUrl> {
    return this.resolve(url, options)
  }

  /** The file system of a URL's account, made when it is asked for first. Not the caller's to close. */
  async get(url: string, options: CreateFileSystemOptions = {}): Promise<AzureBlobFileSystem> {
    this.#demandOpen('get')
    demandText(url)
    checkOptions(options)
    const protocol = protocolOf(url)
    const loader = this.#loaders.get(protocol)
    if (loader === undefined && !this.protocols.includes(protocol)) throw unknown(protocol, this)
    const account = loader === undefined ? accountOf(url) : protocol
    const key = JSON.stringify([account, this.#said(options)])
    const open =
      this.#open.get(key) ??
      (loader === undefined ? fromUrl(url, options) : load(protocol, loader, options))
    this.#open.set(key, open)
    try {
      return await open
    } catch (error) {
      this.#open.delete(key)
      throw error
    }
  }

  /**
   * The file system, the path in it, and the cache that `simplecache::` or `filecache::` puts before.
   * `blockcache::` gives a file system that keeps blocks on the local disk by itself.
   */
  async resolve(url: string, options: UrlOptions = {}): Promise<OpenedUrl> {
    this.#demandOpen('resolve')
    demandText(url)
    expectOptions(options, 'an object as createFileSystem takes')
    const { cacheStorage, cacheMaxBytes, cacheExpiryMs, ...connection } = options
    // Only in front: names and addresses may have colons too.
    const chained = /^([a-z][a-z0-9]*)::/.exec(url)?.[1]
    if (chained !== undefined && !cacheProtocols.includes(chained)) throw unknown(chained, this)
    const place = chained === undefined ? url : url.slice(chained.length + 2)
    const directory = chained === undefined ? undefined : demandStorage(chained, cacheStorage)
    const disk = chained === 'blockcache' ? this.#diskAt(directory, cacheMaxBytes) : undefined
    const fs = await this.get(
      place,
      disk === undefined ? connection : { ...connection, diskCache: disk },
    )
    const path = fs.nameOf(this.#loaders.has(protocolOf(place)) ? afterScheme(place) : place)
    if (directory === undefined || disk !== undefined) return { fs, path, cache: undefined }
    const usual = cacheExpiryMs ?? defaultExpiryMs
    const expiryMs = chained === 'simplecache' ? Number.POSITIVE_INFINITY : usual
    const cache = new LocalFileCache({ fs, directory, maxBytes: cacheMaxBytes, expiryMs })
    return { fs, path, cache }
  }

  /**
   * Opens the file at a URL, as `AzureBlobFileSystem.open` does; `file` is what that takes beside the mode.
   * `ENOTSUP` through `simplecache::` or `filecache::`, whose files `resolve` gives.
   */
  async open(url: string, mode?: 'r', options?: OpenUrlOptions): Promise<BlobFileReader>
  async open(url: string, mode: 'w' | 'x' | 'a', options?: OpenUrlOptions): Promise<BlobFileWriter>
  async open(url: string, mode: 'r+', options?: OpenUrlOptions): Promise<BlobFileEditor>
  async open(url: string, mode: OpenMode = 'r', options: OpenUrlOptions = {}): Promise<OpenedFile> {
    expectOptions(options, 'an object as createFileSystem takes, with `file`')
    const { file, ...connection } = options
    const { fs, path, cache } = await this.resolve(url, connection)
    if (cache !== undefined) throw throughCopies(url)
    return fs.openAs(path, mode, file)
  }

  /** Closes all of them. What is asked for afterwards is `EBADF`. */
  async close(): Promise<void> {
    this.#isClosed = true
    const open = [...this.#open.values()]
    this.#open.clear()
    // One that could not be made was told to who asked for it.
    const made = await Promise.allSettled(open)
    for (const one of made) if (one.status === 'fulfilled') await one.value.close()
    const disks = [...this.#disks.values()]
    this.#disks.clear()
    for (const disk of disks) await disk.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #demandOpen(syscall: string): void {
    if (!this.#isClosed) return
    const detail = 'these file systems are closed; make another FileSystems'
    throw new FileSystemError('EBADF', syscall, { detail })
  }

  #diskAt(directory: string | undefined, maxBytes: number | undefined): DiskCache | undefined {
    if (directory === undefined) return undefined
    const disk = this.#disks.get(directory) ?? new DiskCache({ directory, maxBytes })
    this.#disks.set(directory, disk)
    return disk
  }

  /** Objects (credentials, environments) are told apart by who they are: their content may be secret. */
  #said(options: CreateFileSystemOptions): readonly unknown[] {
    const entries = Object.entries(options).filter(([, value]) => value !== undefined)
    return entries.sort().map(([name, value]) => [name, this.#identity(value)])
  }

  #identity(value: unknown): unknown {
    if (typeof value !== 'object' || value === null) return value
    const known = this.#identities.get(value)
    if (known !== undefined) return { object: known }
    this.#identityCount += 1
    this.#identities.set(value, this.#identityCount)
    return { object: this.#identityCount }
  }
}

async function load(
  protocol: string,
  loader: FileSystemLoader,
  options: CreateFileSystemOptions,
): Promise<AzureBlobFileSystem> {
  const made: unknown = await loader(options)
  if (made instanceof AzureBlobFileSystem) return made
  const detail = `expected an AzureBlobFileSystem of the protocol's loader, got ${shown(made)}`
  throw new FileSystemError('EINVAL', 'config', { path: protocol, detail })
}

function demandUrl(url: unknown): void {
  if (!(url instanceof URL)) demandText(url)
}

/** An empty text would mean the environment's account, which nobody asked for by name. */
function demandText(url: unknown): void {
  if (typeof url === 'string' && url.trim() !== '') return
  const detail = `expected a URL such as abfs://container/path, got ${shown(url)}`
  throw new FileSystemError('EINVAL', 'config', { path: 'url', detail })
}

function protocolOf(url: string): string {
  return /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)?.[1]?.toLowerCase() ?? 'abfs'
}

function accountOf(url: string): unknown {
  const { account, endpoint } = parseAzureUrl(url)
  return [account ?? null, endpoint?.blob ?? null]
}

function afterScheme(url: string): string {
  return url.replace(/^[^:]*:\/\//, '')
}

function demandStorage(protocol: string, directory: string | undefined): string {
  if (directory !== undefined) return directory
  const detail = `${protocol}:: keeps files on the local disk: say where with cacheStorage`
  throw new FileSystemError('EINVAL', 'config', { path: 'cacheStorage', detail })
}

function throughCopies(url: string): FileSystemError {
  const detail = 'copies on the local disk are read through resolve(url).cache, and are not written'
  return new FileSystemError('ENOTSUP', 'open', { path: url, detail })
}

function unknown(protocol: string, { protocols }: FileSystems): FileSystemError {
  const known = [...protocols, ...cacheProtocols.map((name) => `${name}::`)].join(', ')
  const detail = `the protocol is unknown; known are ${known}`
  return new FileSystemError('EINVAL', 'config', { path: protocol, detail })
}
