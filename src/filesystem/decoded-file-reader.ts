import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { StringDecoder } from 'node:string_decoder'
import { createGunzip } from 'node:zlib'
import { FileSystemError } from '../errors.ts'
import type { BlobFileReader } from './blob-file-reader.ts'
import type { Coding } from './file-coding.ts'
import { type FileInfo, urlOf } from './file-info.ts'

/**
 * An open file that is decompressed and decoded as it is read, from its beginning to its end: it has no
 * positions to go to. All comes from one version. Bytes that are not what they should be, or end too
 * early, are `EBADMSG`.
 */
export class DecodedFileReader implements AsyncIterable<Uint8Array> {
  readonly #source: BlobFileReader
  readonly #coding: Coding
  readonly #pieces: AsyncGenerator<Uint8Array, void>
  #left: Uint8Array = new Uint8Array()
  #isOpen = true

  constructor(source: BlobFileReader, coding: Coding) {
    this.#source = source
    this.#coding = coding
    this.#pieces = coding.isGzip ? gunzip(source) : passOn(source)
  }

  /** Of the version that is read; `size` is that of the bytes that are stored. */
  get info(): FileInfo {
    return this.#source.info
  }

  /** The next `length` decompressed bytes, fewer at the end only. */
  async read(length: number): Promise<Uint8Array> {
    if (!Number.isSafeInteger(length) || length < 0) {
      throw new RangeError(`length: expected bytes, 0 or more, got ${length}`)
    }
    const parts: Uint8Array[] = []
    for (let wanted = length; wanted > 0; ) {
      const piece = await this.#next()
      if (piece === undefined) break
      parts.push(piece.subarray(0, wanted))
      this.#left = piece.subarray(wanted)
      wanted -= Math.min(piece.byteLength, wanted)
    }
    return Buffer.concat(parts)
  }

  /** The decompressed bytes from the position to the end. */
  async readAll(): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    for await (const piece of this) parts.push(piece)
    return Buffer.concat(parts)
  }

  /** The text from the position to the end. */
  async readText(): Promise<string> {
    return Buffer.from(await this.readAll()).toString(this.#coding.encoding)
  }

  /** The lines from the position to the end, without `\n` or `\r\n`. */
  async *lines(): AsyncGenerator<string, void> {
    const decoder = new StringDecoder(this.#coding.encoding)
    let rest = ''
    for await (const piece of this) {
      const lines = (rest + decoder.write(Buffer.from(piece))).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) yield line.replace(/\r$/, '')
    }
    rest += decoder.end()
    if (rest !== '') yield rest
  }

  /** The decompressed bytes from the position to the end, in pieces. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for (let piece = await this.#next(); piece !== undefined; piece = await this.#next())
      yield piece
  }

  /** Never throws; later reads reject with `EBADF`. */
  async close(): Promise<void> {
    this.#isOpen = false
    await this.#pieces.return()
    await this.#source.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #next(): Promise<Uint8Array | undefined> {
    if (!this.#isOpen) {
      throw new FileSystemError('EBADF', 'read', { path: urlOf(this.info.name) })
    }
    const left = this.#left
    this.#left = new Uint8Array()
    if (left.byteLength > 0) return left
    const { value } = await this.#pieces.next()
    return value ?? undefined
  }
}

async function* passOn(source: BlobFileReader): AsyncGenerator<Uint8Array, void> {
  yield* source
}

async function* gunzip(source: BlobFileReader): AsyncGenerator<Uint8Array, void> {
  const stream = createGunzip()
  const fed = pipeline(Readable.from(source, { objectMode: false }), stream)
  // Its failure ends the stream too, and is met there.
  fed.catch(() => undefined)
  try {
    for await (const piece of stream) yield piece
  } catch (error) {
    if (error instanceof FileSystemError || !isZlibError(error)) throw error
    throw damaged(source.info, error)
  }
}

function damaged({ name }: FileInfo, cause: Error): FileSystemError {
  const detail = `not gzip, damaged or cut off: ${cause.message}`
  return new FileSystemError('EBADMSG', 'read', { path: urlOf(name), detail, cause })
}

function isZlibError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('Z_')
}
