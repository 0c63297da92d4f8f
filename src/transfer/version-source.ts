import type { BlobProperties, BlobStore } from '../blob/store.ts'
import { type ByteRange, lengthOf } from '../byte-range.ts'
import { Limiter } from '../concurrency.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { DiskVersion } from './disk-version.ts'
import { alignDown, alignUp } from './granule.ts'

/** Requests of one reader under way at once. */
const maxInFlight = 8

export interface VersionSourceOptions {
  readonly store: BlobStore
  readonly path: BlobPath
  readonly sizeBytes: number
  /** The etag to demand; asked anew for each request. */
  readonly etag: () => string
  readonly disk: DiskVersion | undefined
}

/** Where bytes are wanted. */
export interface Target {
  readonly signal: AbortSignal
  readonly room: () => Uint8Array
  /** Keeps the room as it is until what this gives is called. */
  readonly lend?: (() => () => void) | undefined
  /** Nobody reads there yet. */
  readonly ahead?: boolean | undefined
}

/** Where the bytes of one version come from: the local disk, as far as it has them, and the network. */
export class VersionSource {
  readonly #options: VersionSourceOptions
  readonly #limiter = new Limiter(maxInFlight)

  constructor(options: VersionSourceOptions) {
    this.#options = options
  }

  /** Whether a request would be sent at once. */
  get hasRoom(): boolean {
    return this.#limiter.hasRoom
  }

  /**
   * The bytes of `piece`, which begins at a granule and ends at one or with the blob, in what `room` gives;
   * nothing is written there once this has settled.
   */
  async load(piece: ByteRange, target: Target): Promise<Uint8Array> {
    const { disk } = this.#options
    const { signal, room } = target
    if (disk !== undefined) return this.#loadThrough(disk, piece, target)
    // Its memory is taken when its turn comes.
    return this.#limiter.run(() => this.#request(piece, room(), signal), signal)
  }

  /** Fills `into`, which stays the caller's, with the bytes of `piece`, wherever that begins and ends. */
  async fill(piece: ByteRange, into: Uint8Array, signal: AbortSignal): Promise<void> {
    const { disk, sizeBytes } = this.#options
    if (disk === undefined) {
      await this.#limiter.run(() => this.#request(piece, into, signal), signal)
      return
    }
    const start = alignDown(piece.start)
    const aligned = { start, end: Math.min(alignUp(piece.end), sizeBytes) }
    const room = () => Buffer.allocUnsafeSlow(lengthOf(aligned))
    const whole = await this.#loadThrough(disk, aligned, { signal, room })
    into.set(whole.subarray(piece.start - start, piece.end - start))
  }

  /** Throws `ESTALE` when the service speaks of another version. */
  check({ sizeBytes }: BlobProperties): void {
    if (sizeBytes !== this.#options.sizeBytes) throw this.gone(undefined)
  }

  /** What a reader is told whose version is not there any more. */
  gone(cause: unknown): FileSystemError {
    const detail = 'the blob was deleted or replaced since it was opened; open it again'
    const path = formatPath(this.#options.path)
    return new FileSystemError('ESTALE', 'read', { path, detail, cause })
  }

  async #loadThrough(disk: DiskVersion, piece: ByteRange, target: Target): Promise<Uint8Array> {
    const { signal, room, lend, ahead } = target
    const into = room()
    const missing = await disk.read(piece, into)
    const fetch = async (range: ByteRange) => {
      const view = into.subarray(range.start - piece.start, range.end - piece.start)
      await this.#limiter.run(() => this.#request(range, view, signal), signal)
      await disk.write(range.start, view, { onDone: lend?.(), ahead })
    }
    const fetched = await Promise.allSettled(missing.map(fetch))
    for (const outcome of fetched) if (outcome.status === 'rejected') throw outcome.reason
    return into
  }

  async #request(piece: ByteRange, into: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const { store, path, etag } = this.#options
    const ifMatch = etag()
    try {
      const { data, properties } = await store.get(path, { range: piece, ifMatch, into, signal })
      this.check(properties)
      if (data.byteLength === lengthOf(piece)) return data
      const detail = `expected ${lengthOf(piece)} bytes at ${piece.start}, got ${data.byteLength}`
      throw new FileSystemError('EIO', 'read', { path: formatPath(path), detail })
    } catch (error) {
      // The etag moved on under a request that was already under way: the content is the same.
      if (ifMatch !== etag() && isFileSystemError(error, 'ESTALE')) {
        return this.#request(piece, into, signal)
      }
      throw isFileSystemError(error, 'ENOENT') ? this.gone(error) : error
    }
  }
}
