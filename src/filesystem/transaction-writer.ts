import { FileSystemError } from '../errors.ts'
import type { BlobFileWriter } from './blob-file-writer.ts'
import type { FileData } from './given-bytes.ts'

/** A file being written in a transaction: `close()` completes it, and the transaction makes it visible. */
export class TransactionWriter {
  readonly #writer: BlobFileWriter
  #complete = false

  constructor(writer: BlobFileWriter) {
    this.#writer = writer
  }

  /** Bytes written up to here. */
  get size(): number {
    return this.#writer.size
  }

  /** Appends a copy of `data` (text as UTF-8); `EBADF` after {@link close}. */
  async write(data: FileData): Promise<void> {
    if (this.#complete) {
      throw new FileSystemError('EBADF', 'write', { detail: 'the writer is closed' })
    }
    await this.#writer.write(data)
  }

  /** Says that nothing follows. The file appears when the transaction is committed. */
  async close(): Promise<void> {
    this.#complete = true
  }

  /** Whether {@link close} was called. */
  get isComplete(): boolean {
    return this.#complete
  }

  /** Leaves what was not closed to the transaction, which then cannot be committed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#complete) await this.#writer.abort()
  }
}
