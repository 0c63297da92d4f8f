import { tmpdir } from 'node:os'
import type { CallOptions } from '../blob/store.ts'
import { maxBlocks } from '../blob/validate.ts'
import { MiB, splitRange } from '../byte-range.ts'
import { Limiter } from '../concurrency.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import type { Entry } from '../namespace/entry.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { AppendBlobWriter } from '../transfer/append-blob-writer.ts'
import { FileContent } from '../transfer/file-content.ts'
import { StagedBlocks } from '../transfer/staged-blocks.ts'
import { type FileInfo, toFileInfo } from './file-info.ts'
import { bytesOf, type FileData } from './given-bytes.ts'
import { type Kept, keptOf } from './kept.ts'
import { noteCommitted, refuseOtherType } from './pipe.ts'
import type { Remote } from './remote.ts'

export interface EditOptions extends CallOptions {
  /** The file must have this etag: else `ESTALE`. */
  readonly ifMatch?: string | undefined
  /** Of the lock that the caller holds on the file; see `FileLock`. */
  readonly leaseId?: string | undefined
}

/**
 * A file that is read and changed in place. Nobody sees a change before `flush()` or `close()`, which
 * make all of them visible at once, unless somebody else wrote the file meanwhile (`ESTALE`, and nothing
 * is changed). Only what was changed is sent: other blocks stay, and what is left of blocks that are cut
 * is copied on the service where it can do that. Metadata, headers, tier and tags stay. Changes wait in a
 * nameless file in the directory for temporary files. Left in any other way, the file stays as it was.
 */
export class BlobFileEditor {
  /** As it was at open. */
  readonly info: FileInfo
  readonly #remote: Remote
  readonly #path: BlobPath
  readonly #content: FileContent
  readonly #blocks: StagedBlocks
  readonly #kept: Kept
  readonly #signal: AbortSignal | undefined
  readonly #leaseId: string | undefined
  /** Bytes of an append blob, which only grows; `undefined` of others. */
  #fixedBytes: number | undefined
  /** Changes come one after the other. */
  readonly #turn = new Limiter(1)
  #etag: string
  #position = 0
  #isDirty = false
  #state: 'open' | 'failed' | 'closed' | 'aborted' = 'open'
  #last: FileInfo

  private constructor(
    remote: Remote,
    path: BlobPath,
    opened: { readonly entry: Entry; readonly etag: string; readonly kept: Kept },
    options: EditOptions,
  ) {
    const { entry, etag, kept } = opened
    const { sizeBytes } = entry
    const { store, chunkCache } = remote
    this.info = toFileInfo(path.container, entry)
    this.#fixedBytes = entry.blobType === 'AppendBlob' ? sizeBytes : undefined
    this.#last = this.info
    this.#remote = remote
    this.#path = path
    this.#kept = kept
    this.#etag = etag
    this.#signal = options.signal
    this.#leaseId = options.leaseId
    const spool = { directory: tmpdir() }
    this.#content = new FileContent({ store, chunkCache, spool, base: { path, etag, sizeBytes } })
    this.#blocks = new StagedBlocks({
      store,
      content: this.#content,
      leaseId: () => options.leaseId,
      blockBytes: blockBytesFor(sizeBytes, remote.blockBytes),
    })
  }

  /** `ENOENT`, `EISDIR`; `ESTALE` for another version than `ifMatch`. */
  static async open(
    remote: Remote,
    path: BlobPath,
    options: EditOptions = {},
  ): Promise<BlobFileEditor> {
    const { signal, ifMatch } = options
    const entry = await remote.namespace.stat(path, { signal, fresh: true })
    const { type, etag } = entry
    if (type === 'directory' || etag === undefined) {
      throw new FileSystemError('EISDIR', 'open', { path: formatPath(path) })
    }
    if (ifMatch !== undefined && ifMatch !== etag) {
      throw new FileSystemError('ESTALE', 'open', { path: formatPath(path) })
    }
    if (entry.blobType === 'PageBlob') await refuseOtherType(remote, path, entry, { signal })
    const kept = await keptOf(remote, path, entry)
    return new BlobFileEditor(remote, path, { entry, etag, kept }, options)
  }

  /** Bytes of the file with its changes. */
  get size(): number {
    return this.#content.sizeBytes
  }

  /** The next `length` bytes, changes included; fewer at the end. */
  async read(length: number): Promise<Uint8Array> {
    const bytes = await this.readAt(this.#position, length)
    this.#position += bytes.byteLength
    return bytes
  }

  /** Writes over what is at the position, and moves it on. */
  async write(data: FileData): Promise<void> {
    const bytes = bytesOf(data)
    const offset = this.#position
    this.#position += bytes.byteLength
    await this.writeAt(offset, bytes)
  }

  /** The bytes from `offset` on, changes included; fewer at the end. The position stays. */
  async readAt(offset: number, length: number): Promise<Uint8Array> {
    checkCount('offset', offset)
    checkCount('length', length)
    return this.#run('read', () => this.#content.read({ start: offset, end: offset + length }))
  }

  /** Writes over what is at `offset`; beyond the end zeros come before. The position stays. */
  async writeAt(offset: number, data: FileData): Promise<void> {
    checkCount('offset', offset)
    // The caller may go on to use its buffer.
    const bytes = new Uint8Array(bytesOf(data))
    const range = { start: offset, end: offset + bytes.byteLength }
    if (bytes.byteLength === 0) return
    this.#demandGrowth('write', offset)
    await this.#change('write', range.end, async () => {
      this.#blocks.changed(range)
      await this.#content.write(offset, bytes)
      if (this.#fixedBytes === undefined) await this.#blocks.written(range, this.#path)
    })
  }

  /** Cuts the file at `size` bytes, or adds zeros up to there. */
  async truncate(size: number): Promise<void> {
    checkCount('size', size)
    this.#demandGrowth('truncate', size)
    await this.#change('truncate', size, async () => {
      const low = Math.min(size, this.size)
      this.#blocks.changed({ start: low, end: Math.max(size, this.size) })
      this.#content.truncate(size)
    })
  }

  /** Moves the position: an offset from the beginning, or from the end when negative. */
  seek(offset: number): void {
    const position = offset < 0 || Object.is(offset, -0) ? this.size + offset : offset
    checkCount('offset', position)
    this.#position = position
  }

  /** The position. */
  tell(): number {
    return this.#position
  }

  /** Makes all changes up to here visible, at once, and goes on. */
  flush(): Promise<FileInfo> {
    return this.#run('flush', () => this.#commit())
  }

  /** Makes all changes visible, at once. Calling it again gives the same answer. */
  async close(): Promise<FileInfo> {
    if (this.#state === 'closed') return this.#last
    const info = await this.#run('close', () => this.#commit())
    this.#state = 'closed'
    await this.#content.close()
    return info
  }

  /** Gives up what was not flushed. Never throws; without effect after `close()`. */
  async abort(): Promise<void> {
    if (this.#state === 'closed' || this.#state === 'aborted') return
    this.#state = 'aborted'
    await this.#blocks.reset()
    await this.#turn.run(() => this.#content.close())
  }

  /** The same as {@link abort}, by fsspec's name. */
  discard(): Promise<void> {
    return this.abort()
  }

  /** Gives up what was not closed: leaving a block by an error changes nothing. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.abort()
  }

  async #commit(): Promise<FileInfo> {
    if (!this.#isDirty) return this.#last
    const { sizeBytes } = this.#content
    const { store } = this.#remote
    if (this.#fixedBytes !== undefined) return this.#append(this.#fixedBytes)
    const conditions = { ifMatch: this.#etag, leaseId: this.#leaseId }
    const put = { ...this.#kept, ...conditions, signal: this.#signal }
    const properties =
      sizeBytes <= this.#blocks.blockBytes
        ? await store.put(this.#path, await this.#content.read({ start: 0, end: sizeBytes }), put)
        : await store.commitBlocks(this.#path, await this.#blocks.complete(this.#path), {
            ...put,
            sizeBytes,
          })
    this.#etag = properties.etag
    this.#isDirty = false
    await this.#blocks.reset()
    this.#content.committed({ path: this.#path, etag: properties.etag, sizeBytes })
    const { metadata, contentType } = this.#kept
    this.#last = noteCommitted(this.#remote, this.#path, { properties, metadata, contentType })
    return this.#last
  }

  /** What was added to an append blob: block by block. */
  async #append(from: number): Promise<FileInfo> {
    const { store, memory, blockBytes } = this.#remote
    const common = { path: this.#path, leaseId: this.#leaseId, signal: this.#signal }
    const parts = { ...common, store, memory, blockBytes, sizeBytes: from }
    await using writer = new AppendBlobWriter(parts)
    const { sizeBytes } = this.#content
    for (const range of splitRange({ start: from, end: sizeBytes }, MiB)) {
      await writer.write(await this.#content.read(range))
    }
    const properties = await writer.commit()
    this.#etag = properties.etag
    this.#fixedBytes = sizeBytes
    this.#isDirty = false
    await this.#blocks.reset()
    this.#content.committed({ path: this.#path, etag: properties.etag, sizeBytes })
    const { metadata, contentType } = this.#kept
    this.#last = noteCommitted(this.#remote, this.#path, { properties, metadata, contentType })
    return this.#last
  }

  #demandGrowth(syscall: string, from: number): void {
    if (this.#fixedBytes === undefined || from >= this.#fixedBytes) return
    const detail = `an append blob only grows: its first ${this.#fixedBytes} bytes cannot be changed`
    throw new FileSystemError('ENOTSUP', syscall, { path: formatPath(this.#path), detail })
  }

  #change(syscall: string, endBytes: number, work: () => Promise<void>): Promise<void> {
    this.#blocks.checkSize(endBytes, { path: this.#path, syscall })
    return this.#run(syscall, () => {
      this.#isDirty = true
      return work()
    })
  }

  /** After a failure changes may be missing, so nothing may be committed any more. */
  #run<T>(syscall: string, work: () => Promise<T>): Promise<T> {
    this.#demandOpen(syscall)
    return this.#turn.run(async () => {
      this.#demandOpen(syscall)
      try {
        this.#signal?.throwIfAborted()
        return await work()
      } catch (error) {
        if (syscall !== 'read') await this.#fail()
        throw isFileSystemError(error, 'ENOENT') ? this.#gone(error) : error
      }
    })
  }

  async #fail(): Promise<void> {
    this.#state = 'failed'
    await this.#blocks.reset()
    await this.#content.close()
  }

  #gone(cause: unknown): FileSystemError {
    const detail = 'the file was deleted since it was opened'
    return new FileSystemError('ESTALE', 'close', { path: formatPath(this.#path), detail, cause })
  }

  #demandOpen(syscall: string): void {
    if (this.#state === 'open') return
    const detail = `the file is ${this.#state}; open it again`
    throw new FileSystemError('EBADF', syscall, { path: formatPath(this.#path), detail })
  }
}

/** A file that can still double keeps the size of its blocks. */
function blockBytesFor(sizeBytes: number, usual: number): number {
  const needed = Math.ceil((2 * sizeBytes) / maxBlocks / MiB) * MiB
  return Math.max(usual, needed)
}

function checkCount(name: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return
  throw new RangeError(`${name}: expected bytes, 0 or more, got ${value}`)
}
