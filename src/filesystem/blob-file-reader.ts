import type { CallOptions } from '../blob/store.ts'
import { MiB, splitRange } from '../byte-range.ts'
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { BlobReader } from '../transfer/blob-reader.ts'
import { readAhead } from '../transfer/read-ahead.ts'
import { type FileInfo, toFileInfo } from './file-info.ts'
import type { Remote } from './remote.ts'

/** Bytes that iteration yields at once. */
const stepBytes = MiB
/** A read this long is its own window, and would drive everything else out of the shared memory. */
const directBytes = 32 * MiB
/** So is the rest of a file, when it is iterated. */
const streamBytes = 16 * MiB

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
      streamBelowMs: remote.streamBelowMs,
      clock: remote.clock,
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
    // Not zeroed: every byte of it is written or cut off.
    const target = Buffer.allocUnsafeSlow(Math.max(Math.min(length, this.size - this.#position), 0))
    return target.subarray(0, await this.readInto(target, options))
  }

  /**
   * Fills `target` with the next bytes and returns how many there were: fewer at the end, 0 after
   * it. A target of 32 MiB and more is filled from the network without a copy.
   */
  async readInto(target: Uint8Array, options: CallOptions = {}): Promise<number> {
    const start = this.#position
    const count =
      target.byteLength >= directBytes
        ? await this.#reader.readInto(target, start, options)
        : await this.#copyInto(target, start, options)
    this.#position = start + count
    return count
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

  /**
   * The bytes from the position to the end, in pieces of 1 MiB, which the caller owns. What is left
   * of a long file (16 MiB and more) comes straight from the network and is not kept in memory.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      if (this.size - this.#position >= streamBytes) yield* this.#stream()
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

  /** Ends where the file does, or where the position is moved by somebody else. */
  async *#stream(): AsyncGenerator<Uint8Array, void> {
    for await (const piece of readAhead(this.#reader, this.#position)) {
      for (const { start, end } of splitRange({ start: 0, end: piece.byteLength }, stepBytes)) {
        this.#position += end - start
        const position = this.#position
        yield piece.subarray(start, end)
        if (this.#position !== position) return
      }
    }
  }

  async #copyInto(target: Uint8Array, start: number, options: CallOptions): Promise<number> {
    const parts = await this.#reader.read({ start, end: start + target.byteLength }, options)
    let count = 0
    for (const part of parts) {
      target.set(part, count)
      count += part.byteLength
    }
    return count
  }
}

function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line
}
