import type { BlobStore, CallOptions, FormerId } from '../blob/store.ts'
import { MiB } from '../byte-range.ts'
import { FileSystemError } from '../errors.ts'
import { expectCall } from '../expect-option.ts'
import { type BlobPath, formatPath } from '../path.ts'

export interface FormerFileOptions {
  readonly store: BlobStore
  readonly path: BlobPath
  readonly former: FormerId
  readonly sizeBytes: number
}

/** Bytes that iteration asks for at once. */
const stepBytes = 4 * MiB
/** One request brings so many at most. */
const maxReadBytes = 256 * MiB

/** A former state of a file, open with a position. It never changes. */
export class FormerFile implements AsyncIterable<Uint8Array> {
  /** Which state it is. */
  readonly former: FormerId
  /** Bytes of the whole state. */
  readonly size: number
  readonly #options: FormerFileOptions
  #position = 0
  #isOpen = true

  constructor(options: FormerFileOptions) {
    this.#options = options
    this.former = options.former
    this.size = options.sizeBytes
  }

  /** The next `length` bytes, at most 256 MiB, fewer at the end. */
  async read(length: number, options: CallOptions = {}): Promise<Uint8Array> {
    expectCall(options)
    const { store, path, former } = this.#options
    if (!this.#isOpen) throw new FileSystemError('EBADF', 'read', { path: formatPath(path) })
    if (!Number.isSafeInteger(length) || length < 0) {
      throw new RangeError(`length: expected bytes, 0 or more, got ${length}`)
    }
    const start = this.#position
    const end = Math.min(start + Math.min(length, maxReadBytes), this.size)
    if (end <= start) return new Uint8Array()
    const range = { start, end }
    const { data } = await store.get(path, { former, range, signal: options.signal })
    this.#position = start + data.byteLength
    return data
  }

  /** Moves the position: an offset from the beginning, or from the end when negative. */
  seek(offset: number): void {
    const position = offset < 0 || Object.is(offset, -0) ? this.size + offset : offset
    if (!Number.isSafeInteger(position) || position < 0) {
      throw new RangeError(`offset: expected a place within the file or after it, got ${offset}`)
    }
    this.#position = position
  }

  /** The position. */
  tell(): number {
    return this.#position
  }

  /** The bytes from the position to the end, 4 MiB at a time. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      const data = await this.read(stepBytes)
      if (data.byteLength === 0) return
      yield data
    }
  }

  /** Never throws; later reads reject with `EBADF`. */
  async close(): Promise<void> {
    this.#isOpen = false
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
