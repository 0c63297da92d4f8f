import { createGzip, type Gzip } from 'node:zlib'
import type { BlobFileWriter } from './blob-file-writer.ts'
import type { Coding, FileEncoding } from './file-coding.ts'
import type { FileInfo } from './file-info.ts'

/**
 * A file being written whose text is encoded, and whose bytes are compressed, on their way. As with
 * `BlobFileWriter` nobody sees anything of it before `close()`.
 */
export class EncodedFileWriter {
  readonly #target: BlobFileWriter
  readonly #encoding: FileEncoding
  readonly #gzip: Gzip | undefined
  /** Ends when all that was compressed is written. */
  readonly #pumped: Promise<void>
  #closing: Promise<FileInfo> | undefined

  constructor(target: BlobFileWriter, { encoding, isGzip }: Coding) {
    this.#target = target
    this.#encoding = encoding
    this.#gzip = isGzip ? createGzip() : undefined
    this.#pumped = this.#gzip === undefined ? Promise.resolve() : pump(this.#gzip, target)
    // Whoever writes or closes meets its failure.
    this.#pumped.catch(() => undefined)
  }

  /** Bytes that are stored up to here; with compression some may still be on their way. */
  get size(): number {
    return this.#target.size
  }

  /** Appends a copy of `data`; `RangeError` for characters that `latin1` does not have. */
  async write(data: Uint8Array | string): Promise<void> {
    const bytes = typeof data === 'string' ? encode(data, this.#encoding) : data
    const gzip = this.#gzip
    // After `close()` the target refuses; so it does what is no bytes.
    if (gzip === undefined || this.#closing !== undefined || !(bytes instanceof Uint8Array)) {
      return this.#target.write(bytes)
    }
    try {
      await new Promise<void>((resolve, reject) => {
        gzip.write(Buffer.from(bytes), (error) => (error ? reject(error) : resolve()))
      })
    } catch (error) {
      // What went wrong with the file says more than that the stream has ended.
      await this.#pumped
      throw error
    }
  }

  /** Makes what was written the file. Calling it again gives the same answer. */
  close(): Promise<FileInfo> {
    this.#closing ??= this.#commit()
    return this.#closing
  }

  /** Gives up what was written. Never throws; without effect after `close()`. */
  async abort(): Promise<void> {
    if (this.#closing !== undefined) return
    this.#gzip?.destroy()
    await this.#pumped.catch(() => undefined)
    await this.#target.abort()
  }

  /** Gives up what was not closed. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.abort()
  }

  async #commit(): Promise<FileInfo> {
    this.#gzip?.end()
    await this.#pumped
    return this.#target.close()
  }
}

async function pump(gzip: Gzip, target: BlobFileWriter): Promise<void> {
  for await (const piece of gzip) await target.write(piece)
}

function encode(text: string, encoding: FileEncoding): Uint8Array {
  const outside = encoding === 'latin1' ? /[\u0100-\uffff]/.exec(text) : null
  if (outside === null) return Buffer.from(text, encoding)
  throw new RangeError(`data: latin1 has no ${JSON.stringify(outside[0])}; write as utf8`)
}
