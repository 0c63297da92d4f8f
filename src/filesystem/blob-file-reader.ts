import type { CallOptions } from '../blob/store.ts'
import { MiB } from '../byte-range.ts'
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { BlobReader } from '../transfer/blob-reader.ts'
import { type FileInfo, toFileInfo } from './file-info.ts'
import type { Remote } from './remote.ts'

/** Bytes that iteration yields at once. */
const stepBytes = MiB

/**
 * An open file with a position. All bytes come from the version that it had when it was opened:
 * once that is replaced, reading what is not in memory rejects with `ESTALE`.
 */
export class BlobFileReader implements AsyncIterable<Uint8Array> {
  /** As it was at open. */
  readonly info: FileInfo
  readonly #reader: BlobReader
  #position = 0

  private constructor(info: FileInfo, reader: BlobReader) {
    this.info = info
    this.#reader = reader
  }

  /** Opens the version that `path` has now. `ENOENT`, `EISDIR`. */
  static async open(
    remote: Remote,
    path: BlobPath,
    options: CallOptions = {},
  ): Promise<BlobFileReader> {
    const entry = await remote.namespace.stat(path, { signal: options.signal, fresh: true })
    const { type, etag, sizeBytes } = entry
    if (type === 'directory' || etag === undefined) {
      throw new FileSystemError('EISDIR', 'open', { path: formatPath(path) })
    }
    const reader = new BlobReader({
      store: remote.store,
      path,
      properties: { etag, sizeBytes },
      cache: remote.chunkCache,
      chunkBytes: remote.blockBytes,
    })
    return new BlobFileReader(toFileInfo(path.container, entry), reader)
  }

  /** Bytes of the whole file. */
  get size(): number {
    return this.#reader.sizeBytes
  }

  /** The next `length` bytes, fewer at the end, none after it. The caller owns them. */
  async read(length: number, options: CallOptions = {}): Promise<Uint8Array> {
    if (!Number.isSafeInteger(length) || length < 0) {
      throw new RangeError(`length: expected bytes, 0 or more, got ${length}`)
    }
    const start = this.#position
    const end = Math.min(start + length, this.size)
    const parts = await this.#reader.read({ start, end: Math.max(start, end) }, options)
    const data = joinParts(parts)
    this.#position = start + data.byteLength
    return data
  }

  /** All bytes from the position to the end. */
  readAll(options: CallOptions = {}): Promise<Uint8Array> {
    return this.read(Math.max(this.size - this.#position, 0), options)
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

  /** Lines of UTF-8 from the position on, without their ends (`\n` or `\r\n`). */
  async *lines(): AsyncGenerator<string, void> {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
    let tail = ''
    for await (const data of this) {
      const lines = (tail + decoder.decode(data, { stream: true })).split('\n')
      tail = lines.pop() ?? ''
      for (const line of lines) yield withoutReturn(line)
    }
    tail += decoder.decode()
    if (tail !== '') yield withoutReturn(tail)
  }

  /** The bytes from the position to the end, in pieces of 1 MiB. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      const data = await this.read(stepBytes)
      if (data.byteLength === 0) return
      yield data
    }
  }

  /** Ends what is being fetched. Never throws; later reads reject with `EBADF`. */
  async close(): Promise<void> {
    this.#reader.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function joinParts(parts: readonly Uint8Array[]): Uint8Array {
  const data = new Uint8Array(parts.reduce((total, part) => total + part.byteLength, 0))
  let at = 0
  for (const part of parts) {
    data.set(part, at)
    at += part.byteLength
  }
  return data
}

function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line
}
