import type { BlobStore } from '../blob/store.ts'
import type { ByteRange } from '../byte-range.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import type { Entry } from '../namespace/entry.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { BlobReader } from '../transfer/blob-reader.ts'
import type { ChunkCache } from '../transfer/chunk-cache.ts'
import { interruptible } from './mutex.ts'
import type { CallContext } from './operations.ts'

export interface PinnedReaderOptions {
  readonly store: BlobStore
  readonly chunkCache: ChunkCache
  /** The path as it is when it is asked for: a rename changes it. */
  readonly path: () => BlobPath
  /** The version to read. */
  readonly entry: Entry
  /** Asks the service what is there now. */
  readonly refresh: () => Promise<Entry>
  /** Called once, before somebody sees bytes of `entry`: false where others may have been seen already. */
  readonly mayServe?: ((entry: Entry) => boolean) | undefined
  /** Resolves when the kernel believes no other size than that of `entry`; `undefined` when it is so. */
  readonly settling?: (() => Promise<void> | undefined) | undefined
  /** Resolves when the rename that is under way has told where to go on: it takes the name first. */
  readonly whenMoved?: (() => Promise<void> | undefined) | undefined
  /** Called once, when the first read had to be fetched. */
  readonly onMissed?: (() => void) | undefined
  /** Called when another version is read from now on. */
  readonly onPinned?: (() => void) | undefined
}

/** Who reads. */
type ReadContext = Pick<CallContext, 'signal' | 'whenAnswered'>

/**
 * Reads one version of a file, the one that its open found. Only changes that this mount itself
 * made are followed to a later version. What a listing knew at open may be out of date: when the
 * very first read meets another version, that one is pinned instead.
 */
export class PinnedReader {
  readonly #options: PinnedReaderOptions
  #entry: Entry
  /** As it was when that version was pinned: a name that goes later is still what is read. */
  #path: BlobPath
  /** Made for the first read: a program may open or map a file a thousand times and read it once. */
  #reader: BlobReader | undefined
  #served = false
  #hasAnswered = false
  #isGone = false
  #pinning: Promise<void> | undefined

  constructor(options: PinnedReaderOptions) {
    this.#options = options
    this.#entry = options.entry
    this.#path = options.path()
  }

  /** The version that is read. */
  get entry(): Entry {
    return this.#entry
  }

  /** Whether somebody may have seen bytes of that version. */
  get hasRead(): boolean {
    return this.#served
  }

  /** The bytes of `range`; `ESTALE` when the pinned version is gone. */
  async read(range: ByteRange, context: ReadContext): Promise<readonly Uint8Array[]> {
    const entry = this.#entry
    try {
      return await this.#read(range, context)
    } catch (error) {
      if (!isFileSystemError(error, 'ESTALE', 'ENOENT')) throw error
      const moving = entry === this.#entry ? this.#options.whenMoved?.() : undefined
      if (moving !== undefined) await interruptible(moving, context.signal)
      if (entry === this.#entry) {
        if (this.#served) throw await this.#goneFor(error)
        await this.#pinOnce(error)
      }
      return this.#read(range, context)
    }
  }

  /** Whether `version` is the one that is read; it then stays the one, as if it had been read from. */
  keeps(version: string): boolean {
    return this.#entry.etag === version && this.#serves()
  }

  /** What the name stands for now: the version to read, unless another was read from. */
  beginWith(entry: Entry): void {
    if (!this.#served && entry.etag !== this.#entry.etag) this.#pin(entry)
  }

  /** This mount made version `after` of version `before`: whoever reads that one goes on there. */
  follow(before: Pick<Entry, 'etag'> | undefined, after: Entry): void {
    if (before?.etag !== this.#entry.etag) return
    this.#pin(after)
  }

  close(): void {
    this.#reader?.close()
    this.#reader = undefined
  }

  #pin(entry: Entry): void {
    this.close()
    this.#entry = entry
    this.#path = this.#options.path()
    this.#options.onPinned?.()
  }

  async #read(range: ByteRange, context: ReadContext): Promise<readonly Uint8Array[]> {
    if (this.#entry.etag === undefined) throw new FileSystemError('ESTALE', 'read')
    const { signal, whenAnswered: onLent } = context
    this.#reader ??= this.#open()
    const [reader, entry] = [this.#reader, this.#entry]
    const { fetchedBytes } = reader
    const parts = await reader.read(range, { signal, onLent })
    if (!this.#served) await this.#options.settling?.()
    // It was told meanwhile to read another version.
    if (entry !== this.#entry) return this.#read(range, context)
    if (!this.#serves()) throw this.#gone(new FileSystemError('ESTALE', 'read'))
    if (!this.#hasAnswered && reader.fetchedBytes > fetchedBytes) this.#options.onMissed?.()
    this.#hasAnswered = true
    return parts
  }

  /** Whether it is this version that is read: the first that somebody sees decides. */
  #serves(): boolean {
    this.#served ||= this.#options.mayServe?.(this.#entry) ?? true
    return this.#served
  }

  /** Whoever opens the file again is to find what is there: asks once. */
  async #goneFor(cause: FileSystemError): Promise<FileSystemError> {
    const isNews = !this.#isGone
    this.#isGone = true
    if (isNews) await this.#options.refresh().catch(() => undefined)
    return this.#gone(cause)
  }

  /** Reads that were asked for together go on in one version. */
  #pinOnce(cause: FileSystemError): Promise<void> {
    this.#pinning ??= this.#pinAgain(cause).finally(() => {
      this.#pinning = undefined
    })
    return this.#pinning
  }

  async #pinAgain(cause: FileSystemError): Promise<void> {
    const entry = await this.#options.refresh().catch((error: unknown) => {
      throw isFileSystemError(error, 'ENOENT') ? this.#gone(cause) : error
    })
    if (entry.type !== 'file') throw this.#gone(cause)
    this.#pin(entry)
  }

  #open(): BlobReader {
    const { store, chunkCache } = this.#options
    const { etag = '', sizeBytes } = this.#entry
    const properties = { etag, sizeBytes }
    const path = this.#path
    return new BlobReader({ store, path, properties, cache: chunkCache, fillsBehind: true })
  }

  #gone(cause: FileSystemError): FileSystemError {
    return new FileSystemError('ESTALE', 'read', {
      path: formatPath(this.#path),
      detail: 'the version that was opened is gone: open the file again',
      cause,
    })
  }
}
