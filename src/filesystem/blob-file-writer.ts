import type { StagedBlob } from '../blob/staged-blob.ts'
import type { Metadata } from '../blob/store.ts'
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { AppendBlobWriter } from '../transfer/append-blob-writer.ts'
import { BlobWriter, type BlobWriterOptions } from '../transfer/blob-writer.ts'
import type { FileInfo } from './file-info.ts'
import { bytesOf, type FileData } from './given-bytes.ts'
import { noteCommitted, refuseDirectory, refuseOtherType, type WriteOptions } from './pipe.ts'
import type { Remote } from './remote.ts'

/** What makes a blob of bytes. */
type Writer = Pick<
  BlobWriter | AppendBlobWriter,
  'sizeBytes' | 'write' | 'flush' | 'commit' | 'abort' | typeof Symbol.asyncDispose
> &
  Partial<Pick<BlobWriter, 'prepare'>>

/**
 * A file being written from its beginning to its end. Nobody sees anything of it before `close()`,
 * which makes all of it visible at once. A writer that is aborted, disposed of, left alone or that
 * has failed leaves the file as it was. When two write the same file, the last to close wins.
 */
export class BlobFileWriter {
  readonly #remote: Remote
  readonly #path: BlobPath
  readonly #writer: Writer
  readonly #options: WriteOptions
  #state: 'open' | 'failed' | 'closed' | 'aborted' = 'open'
  #closing: Promise<FileInfo> | undefined

  private constructor(remote: Remote, path: BlobPath, options: WriteOptions, writer: Writer) {
    this.#remote = remote
    this.#path = path
    this.#options = options
    this.#writer = writer
  }

  /** `EISDIR`; with `exclusive` `EEXIST`, which `close()` checks once more, as one step with writing. */
  static async open(
    remote: Remote,
    path: BlobPath,
    options: WriteOptions & Pick<BlobWriterOptions, 'continues'> & { readonly exclusive: boolean },
  ): Promise<BlobFileWriter> {
    const { exclusive, signal, ifMatch, leaseId, metadata, contentType } = options
    const { headers, tier, tags } = options
    signal?.throwIfAborted()
    const existing = await refuseDirectory(remote, path, { signal })
    if (exclusive && existing !== undefined) {
      throw new FileSystemError('EEXIST', 'open', { path: formatPath(path) })
    }
    await refuseOtherType(remote, path, existing, { signal })
    const writer = new BlobWriter({
      store: remote.store,
      path,
      conditions: { ifMatch, leaseId, ifNoneMatch: exclusive ? '*' : undefined },
      metadata,
      contentType,
      blockBytes: remote.blockBytes,
      memory: remote.memory,
      continues: options.continues,
      kept: { headers, tier, tags },
    })
    return new BlobFileWriter(remote, path, options, writer)
  }

  /** To write on at the end of an append blob: see `AppendBlobWriter`. */
  static onAppendBlob(
    remote: Remote,
    path: BlobPath,
    options: WriteOptions & { readonly sizeBytes: number },
  ): BlobFileWriter {
    const { sizeBytes, leaseId, signal } = options
    const { store, memory, blockBytes } = remote
    const parts = { store, memory, blockBytes, path, sizeBytes, leaseId, signal }
    return new BlobFileWriter(remote, path, options, new AppendBlobWriter(parts))
  }

  /** Bytes written up to here. */
  get size(): number {
    return this.#writer.sizeBytes
  }

  /** The same as {@link size}, by fsspec's name: a writer is at its end. */
  tell(): number {
    return this.size
  }

  /** Appends a copy of `data` (text as UTF-8); resolves when there is room for more. */
  async write(data: FileData): Promise<void> {
    this.#demandOpen('write')
    const bytes = bytesOf(data)
    await this.#orFail(() => this.#writer.write(bytes))
  }

  /**
   * Sends the blocks that are full, and resolves when they are at the service; what fills none waits for more or for
   * `close`. Nothing becomes visible. Of an append blob all that was written is sent, and visible. A failure ends
   * the writer, as one of `write` does.
   */
  async flush(): Promise<void> {
    this.#demandOpen('flush')
    await this.#orFail(() => this.#writer.flush())
  }

  /**
   * Makes what was written the file, with `metadata` in place of what was given at open. Calling it
   * again gives the same answer.
   */
  close(options: { readonly metadata?: Metadata } = {}): Promise<FileInfo> {
    this.#closing ??= this.#commit(options.metadata ?? this.#options.metadata)
    return this.#closing
  }

  /** Whether the file is written under the caller's lock. */
  get isLeased(): boolean {
    return this.#options.leaseId !== undefined
  }

  /** Sends all that `close()` would still have to send; `undefined` where it was visible at once. */
  async prepare(): Promise<StagedBlob | undefined> {
    this.#demandOpen('close')
    return this.#orFail(async () => this.#writer.prepare?.())
  }

  /** Gives up what was written. Never throws; without effect after `close()`. */
  async abort(): Promise<void> {
    if (this.#closing !== undefined || this.#state === 'aborted') return
    this.#state = 'aborted'
    await this.#writer.abort()
  }

  /** The same as {@link abort}, by fsspec's name. */
  discard(): Promise<void> {
    return this.abort()
  }

  /** Gives up what was not closed: leaving a block by an error commits nothing. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.abort()
  }

  async #commit(metadata: Metadata | undefined): Promise<FileInfo> {
    this.#demandOpen('close')
    const properties = await this.#orFail(() => this.#writer.commit({ metadata }))
    this.#state = 'closed'
    await this.#writer[Symbol.asyncDispose]()
    const { contentType } = this.#options
    return noteCommitted(this.#remote, this.#path, { properties, metadata, contentType })
  }

  /** After a failure bytes may be missing, so nothing may be committed any more. */
  async #orFail<T>(work: () => Promise<T>): Promise<T> {
    try {
      this.#options.signal?.throwIfAborted()
      return await work()
    } catch (error) {
      this.#state = 'failed'
      await this.#writer.abort()
      throw error
    }
  }

  #demandOpen(syscall: string): void {
    if (this.#state === 'open' && (syscall === 'close' || this.#closing === undefined)) return
    const state = this.#state === 'open' ? 'closed' : this.#state
    throw new FileSystemError('EBADF', syscall, {
      path: formatPath(this.#path),
      detail: `the writer is ${state}; open the file again`,
    })
  }
}
