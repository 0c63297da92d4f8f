import type { Metadata } from '../blob/store.ts'
import type { ByteRange } from '../byte-range.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import type { Entry, PosixAttributes } from '../namespace/entry.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { ChunkCache } from '../transfer/chunk-cache.ts'
import { type BaseVersion, FileContent } from '../transfer/file-content.ts'
import type { SpoolOptions } from '../transfer/spool.ts'
import { StagedBlocks } from '../transfer/staged-blocks.ts'
import { millisecondsToNs, withoutStored } from './attributes.ts'
import {
  type CommitContext,
  commitVersion,
  describe,
  keepFailed,
  type NewVersion,
  withKnownHeaders,
} from './file-commit.ts'
import { Mutex } from './mutex.ts'
import type { Allocation } from './operations.ts'
import { PromisedVersion } from './promised-version.ts'

/** What writable files of one mount share. */
export interface WritableFileContext extends CommitContext {
  readonly spool: SpoolOptions
  readonly chunkCache: ChunkCache
  readonly blockBytes?: number | undefined
  /** close(2) and fsync(2) write down what is to be stored, and it is stored after the last close. */
  readonly writeBack?: boolean | undefined
}

export interface WritableFileOptions {
  readonly context: WritableFileContext
  /** The path as it is when it is asked for: a rename changes it. */
  readonly path: () => BlobPath
  /** The version to begin with; `undefined` for a file that does not exist yet. */
  readonly stored: Entry | undefined
  /** Attributes that a file which does not exist yet begins with. */
  readonly posix?: PosixAttributes | undefined
  /** Called after each commit with the version before it and the one that it made. */
  readonly onCommitted: (before: Entry | undefined, after: Entry, contentChanged: boolean) => void
}

/**
 * A file that is open for writing: its content and attributes until a commit has made them a blob.
 * All handles of one inode share it.
 *
 * Of an existing file only what a block holds is downloaded when the first write arrives; of a
 * larger one what is not written over is left where it is. From then on the content here is what
 * every reader in this mount sees. A commit replaces the version that the content began with and no
 * other: `ESTALE` when there is another.
 */
export class WritableFile {
  /** Held by whatever changes or commits the file. */
  readonly mutex: Mutex = new Mutex()
  /** Open handles that may write. */
  writers = 0
  readonly #context: WritableFileContext
  readonly #path: () => BlobPath
  readonly #onCommitted: WritableFileOptions['onCommitted']
  #stored: Entry | undefined
  /** The version that a commit must find in its place; `undefined`: none. */
  #replaces: string | undefined
  #content: FileContent | undefined
  #blocks: StagedBlocks | undefined
  /** Attributes to send with the next commit. */
  #changes: PosixAttributes
  /** Metadata that the next commit sends, instead of the stored version's. */
  #metadata: Metadata | undefined
  #changedAtMs: number
  #contentDirty = false
  /** Something was written, or an attribute was set, since the last commit. */
  #touched = false
  /** The last commit failed, its caller knows, and nothing was changed since. */
  #reported = false
  /** Why nothing of this file can be committed any more. */
  #failure: FileSystemError | undefined
  #discarded = false
  /** What the journal holds of this file until it is stored. */
  readonly #promised: PromisedVersion

  constructor(options: WritableFileOptions) {
    this.#context = options.context
    this.#promised = new PromisedVersion(options.context)
    this.#path = options.path
    this.#onCommitted = options.onCommitted
    this.#stored = options.stored
    this.#replaces = options.stored?.etag
    this.#changedAtMs = options.context.clock.nowMs()
    this.#changes = options.posix ?? {}
    if (options.stored !== undefined) return
    this.#startEmpty()
    this.#setTime()
  }

  /** Whether readers must come here: the content differs, or may soon, from what is stored. */
  get active(): boolean {
    return this.#content !== undefined || this.#failure !== undefined
  }

  /** Whether nothing of this file was ever stored. */
  get unborn(): boolean {
    return this.#stored === undefined
  }

  /** The version that a commit replaces; `undefined` when there is none. */
  get replaces(): string | undefined {
    return this.#replaces
  }

  /** The version that the content began with, or that was committed last. */
  get stored(): Entry | undefined {
    return this.#stored
  }

  get dirty(): boolean {
    return !this.#discarded && this.#differs
  }

  get #differs(): boolean {
    return this.#contentDirty || Object.keys(this.#changes).length > 0
  }

  /** What the file is to this mount, commits to come included. */
  entry(): Entry {
    const stored = this.#stored
    const posix = { ...stored?.posix, ...this.#changes }
    const name = this.#path().name
    if (stored !== undefined && !this.#differs) return { ...stored, name }
    return {
      metadata: {},
      ...stored,
      name,
      type: 'file',
      sizeBytes: this.#content?.sizeBytes ?? stored?.sizeBytes ?? 0,
      etag: this.#contentDirty ? undefined : stored?.etag,
      lastModifiedMs: this.#changedAtMs,
      posix,
      ...(this.#metadata === undefined ? {} : { metadata: this.#metadata }),
    }
  }

  /** A copy of the bytes in `range` as they were last written. Only while `active`. */
  async read(range: ByteRange): Promise<Uint8Array> {
    if (this.#failure !== undefined) throw this.#failure
    return (await this.#content?.read(range)) ?? new Uint8Array(0)
  }

  /** Takes `data` at `offsetBytes`, or at the end; the number of bytes taken. */
  write(offsetBytes: number | 'end', data: Uint8Array): Promise<number> {
    return this.mutex.run(async () => {
      const { content, blocks } = await this.#orFail(() => this.#load())
      const start = offsetBytes === 'end' ? content.sizeBytes : offsetBytes
      const range = { start, end: start + data.length }
      this.#checkSize(range.end, blocks)
      await this.#orFail(async () => {
        blocks.changed(range)
        await content.write(start, data)
        await blocks.written(range, this.#path())
      })
      this.#touchContent()
      return data.length
    })
  }

  /** Cuts the content at `sizeBytes`, or adds zeros up to there. */
  truncate(sizeBytes: number): Promise<void> {
    return this.mutex.run(async () => {
      if (sizeBytes === 0) await this.#restart()
      if (!this.active && sizeBytes === this.#stored?.sizeBytes) return this.#touch()
      const { content, blocks } = await this.#orFail(() => this.#load(sizeBytes))
      this.#checkSize(sizeBytes, blocks)
      await this.#orFail(async () => {
        const larger = Math.max(sizeBytes, content.sizeBytes)
        blocks.changed({ start: sizeBytes, end: larger })
        content.truncate(sizeBytes)
      })
      this.#touchContent()
    })
  }

  /** Makes zeros of a range, or room after the end, as fallocate(2) asks. */
  allocate({ range, zero, keepSize }: Allocation): Promise<void> {
    return this.mutex.run(async () => {
      const { content, blocks } = await this.#orFail(() => this.#load())
      if (!keepSize) this.#checkSize(range.end, blocks)
      await this.#orFail(async () => {
        blocks.changed(range)
        if (!keepSize && range.end > content.sizeBytes) content.truncate(range.end)
        if (zero) content.zero(range)
      })
      this.#touchContent()
    })
  }

  /** Fetches the content, if only to keep it for those who have the file open. */
  keep(): Promise<void> {
    return this.mutex.run(async () => {
      if (this.#failure !== undefined) return
      const { content } = await this.#load()
      await content.fetch({ start: 0, end: content.sizeBytes })
    })
  }

  /** Begins again with nothing, as `open` with `O_TRUNC` does. */
  startOver(): Promise<void> {
    return this.mutex.run(async () => {
      this.#failure = undefined
      await this.#restart()
      this.#setTime()
    })
  }

  /** As `FileOperations.seek`, while `active`. */
  seek(offset: number, what: 'data' | 'hole'): number | undefined {
    const { sizeBytes = 0 } = this.#content ?? {}
    if (offset >= sizeBytes) return undefined
    const data = this.#content?.nextData(offset)
    if (what === 'data') return data?.start
    return data === undefined || data.start > offset ? offset : this.#endOfData(data.end)
  }

  #endOfData(end: number): number {
    const next = this.#content?.nextData(end)
    return next?.start === end ? this.#endOfData(next.end) : end
  }

  /** Makes an empty file the content of a stored version elsewhere, which the service copies; whether it is empty. */
  copyFrom(version: BaseVersion): Promise<boolean> {
    return this.mutex.run(async () => {
      const { content } = await this.#load()
      if (content.sizeBytes > 0) return false
      content.begin(version)
      this.#touchContent()
      return true
    })
  }

  /** Changes what stat shows, and what the next commit sends. */
  setAttributes(changes: PosixAttributes): Promise<void> {
    return this.mutex.run(async () => {
      const merged = { ...this.#changes, ...withoutStored(changes, {}) }
      this.#changes = this.#contentDirty ? merged : withoutStored(merged, this.#stored?.posix ?? {})
      this.#changedAtMs = this.#context.clock.nowMs()
      this.#touched = true
      this.#reported = false
    })
  }

  /**
   * Changes metadata of others: with the next commit while the content is to be stored, at once
   * otherwise. `undefined` changes nothing; whether it did change.
   */
  changeMetadata(change: (metadata: Metadata) => Metadata | undefined): Promise<boolean> {
    return this.mutex.run(async () => {
      if (!this.#contentDirty) return this.#changeStoredMetadata(change)
      const metadata = change(this.#metadata ?? this.#stored?.metadata ?? {})
      if (metadata === undefined) return false
      this.#metadata = metadata
      this.#touched = true
      this.#reported = false
      return true
    })
  }

  async #changeStoredMetadata(
    change: (metadata: Metadata) => Metadata | undefined,
  ): Promise<boolean> {
    const before = this.#stored
    const entry = await this.#context.namespace.changeMetadata(this.#path(), change)
    if (entry.etag === before?.etag) return false
    this.#adopt(entry)
    this.#rebase(entry)
    await this.#blocks?.reset()
    this.#onCommitted(before, entry, false)
    return true
  }

  /**
   * Commits what a close(2) must make durable: everything that was written or set. A file that was
   * only created or truncated waits for its first write or its release, because a shell closes one
   * of its descriptors before the program that it starts writes through the other.
   */
  flush(): Promise<void> {
    return this.mutex.run(async () => {
      if (this.#failure !== undefined || this.#touched) await this.#secure()
    })
  }

  /** Makes durable all that differs from what is stored, as fsync(2) does. */
  commit(): Promise<void> {
    return this.mutex.run(() => this.#secure())
  }

  /** Whether the journal holds what is not stored yet, for the next mount if not for this one. */
  get isPromised(): boolean {
    return this.#promised.exists
  }

  /**
   * Stores what no flush did; a failure that a caller already knows is not met again, unless the
   * journal has promised that it will be stored.
   */
  finish(): Promise<void> {
    return this.mutex.run(async () => {
      if (!this.#reported || this.isPromised) await this.commitLocked()
    })
  }

  /** Keeps what could not be stored for its owner; where, if anything was kept. */
  preserve(cause: FileSystemError): Promise<string | undefined> {
    return this.mutex.run(async () => {
      if (!this.dirty || this.#content === undefined || this.isPromised) return undefined
      return keepFailed(this.#context, await this.#newVersion({ tags: false }), cause)
    })
  }

  /** In the journal where the mount writes back, in Azure otherwise, or where the journal fails. */
  async #secure(): Promise<void> {
    const mayWait = this.#contentDirty && this.#failure === undefined && !this.#discarded
    if (!mayWait) return this.commitLocked()
    if (this.#promised.exists && !this.#touched) return
    if (!(await this.#promised.write(() => this.#newVersion()))) return this.commitLocked()
    this.#touched = false
  }

  /** Stores all that differs from what is stored, for a caller that holds the mutex. */
  async commitLocked(): Promise<void> {
    if (!this.dirty && this.#failure === undefined) return
    if (this.#discarded) return
    try {
      if (this.#failure !== undefined) throw this.#failure
      await (this.#contentDirty ? this.#commitContent() : this.#commitAttributes())
      this.#touched = false
    } catch (error) {
      this.#reported = true
      throw error
    }
  }

  /** For a holder of the mutex: the file moved; `stored` is what lies at its new path. */
  async movedLocked(stored: Entry): Promise<void> {
    this.#adopt(stored)
    this.#rebase(stored)
    await this.#blocks?.reset()
  }

  /** For a holder of the mutex: the file is not stored yet and will replace version `replaces`. */
  async retargetLocked(replaces: string | undefined): Promise<void> {
    this.#replaces = replaces
    await this.#blocks?.reset()
  }

  /** For a holder of the mutex: the file has another path now, and what was promised is meant for that. */
  async renamedLocked(): Promise<void> {
    if (this.#promised.exists) await this.#promised.write(() => this.#newVersion())
  }

  /** The file lost its name: nothing of it is committed any more. */
  async discardLocked(): Promise<void> {
    this.#discarded = true
    await this.#blocks?.reset()
    await this.#promised.forget()
  }

  /** Gives memory, disk and uploads back. */
  async close(): Promise<void> {
    this.#discarded = true
    await this.#release()
  }

  #startEmpty(): void {
    this.#begin(undefined)
    this.#contentDirty = true
  }

  #begin(base: BaseVersion | undefined): Content {
    const { spool, namespace, chunkCache, blockBytes } = this.#context
    const { store } = namespace
    const content = new FileContent({ store, chunkCache, spool, base })
    const blocks = new StagedBlocks({ store, content, blockBytes })
    this.#content = content
    this.#blocks = blocks
    return { content, blocks }
  }

  /** The content is as it was, but of another version now. */
  #rebase(entry: Entry): void {
    const { etag, sizeBytes } = entry
    if (etag !== undefined) this.#content?.rebase({ path: this.#path(), etag, sizeBytes })
  }

  /** Lets go of content and failure, so that nothing has to be downloaded before a truncation. */
  async #restart(): Promise<void> {
    if (this.#failure?.code !== 'ESTALE') this.#failure = undefined
    if (this.#failure !== undefined) return
    await this.#release()
    this.#startEmpty()
  }

  async #release(): Promise<void> {
    const content = this.#content
    const blocks = this.#blocks
    this.#content = undefined
    this.#blocks = undefined
    await blocks?.reset()
    await content?.close()
  }

  #adopt(stored: Entry): void {
    this.#stored = withKnownHeaders(stored, this.#stored)
    this.#replaces = stored.etag
  }

  #touchContent(): void {
    this.#contentDirty = true
    this.#touch()
  }

  #touch(): void {
    this.#touched = true
    this.#reported = false
    this.#setTime()
  }

  #setTime(): void {
    this.#changedAtMs = this.#context.clock.nowMs()
    this.#changes = { ...this.#changes, mtimeNs: millisecondsToNs(this.#changedAtMs) }
  }

  #checkSize(sizeBytes: number, blocks: StagedBlocks): void {
    if (sizeBytes <= blocks.maxFileBytes) return
    throw new FileSystemError('EFBIG', 'write', {
      path: formatPath(this.#path()),
      detail: `files written through the drive have at most ${blocks.maxFileBytes} bytes`,
    })
  }

  /** The content; of a small file downloaded first, at most `limit` bytes of it. */
  async #load(limit: number = Number.POSITIVE_INFINITY): Promise<Content> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#content !== undefined && this.#blocks !== undefined) {
      return { content: this.#content, blocks: this.#blocks }
    }
    const { etag, sizeBytes = 0 } = this.#stored ?? {}
    const base = etag === undefined ? undefined : { path: this.#path(), etag, sizeBytes }
    const begun = this.#begin(base)
    // Its commit is one request with all of it: had now, it is there whatever others do.
    if (sizeBytes <= begun.blocks.blockBytes) await begun.content.fetch({ start: 0, end: limit })
    return begun
  }

  /** Runs a step after whose failure the content is not what the writer meant. */
  async #orFail<T>(step: () => Promise<T>): Promise<T> {
    try {
      return await step()
    } catch (error) {
      const failure = asFileSystemError(error, this.#path())
      if (this.dirty && this.#content !== undefined) {
        await keepFailed(this.#context, await this.#newVersion({ tags: false }), failure)
      }
      await this.#fail(failure)
      throw failure
    }
  }

  async #commitAttributes(): Promise<void> {
    const before = this.#stored
    const entry = await this.#context.namespace.setAttributes(this.#path(), this.#changes)
    this.#adopt(entry)
    this.#rebase(entry)
    await this.#blocks?.reset()
    this.#changes = {}
    this.#onCommitted(before, entry, false)
  }

  async #commitContent(): Promise<void> {
    const before = this.#stored
    const version = await this.#newVersion()
    try {
      const entry = await commitVersion(this.#context, version, before)
      if (entry === undefined) return await this.#yieldToTheirs(version.path)
      this.#adopt(entry)
      this.#rebase(entry)
      this.#changes = {}
      this.#metadata = undefined
      this.#contentDirty = false
      this.#onCommitted(before, entry, true)
    } catch (error) {
      if (isFileSystemError(error, 'ESTALE')) await this.#fail(error)
      throw error
    }
    await this.#promised.forget()
  }

  async #newVersion({ tags = true } = {}): Promise<NewVersion> {
    const path = this.#path()
    const { content, blocks } = await this.#load()
    const context = tags ? this.#context : { ...this.#context, tagsOf: undefined }
    const given = {
      before: this.#stored,
      changes: this.#changes,
      metadata: this.#metadata ?? this.#stored?.metadata ?? {},
    }
    const description = await describe(context, path, given)
    return { path, content, blocks, description, replaces: this.#replaces }
  }

  /** Somebody else's version is the file from here on. */
  async #yieldToTheirs(path: BlobPath): Promise<void> {
    this.#changes = {}
    this.#contentDirty = false
    await this.#release()
    await this.#promised.forget()
    const theirs = await this.#context.namespace.stat(path, { fresh: true }).catch(ignoreMissing)
    if (theirs === undefined) this.#discarded = true
    else this.#adopt(theirs)
  }

  /** Nothing of this can be stored any more. */
  async #fail(error: FileSystemError): Promise<void> {
    this.#failure = error
    await this.#release()
    await this.#promised.forget()
  }
}

function ignoreMissing(error: unknown): undefined {
  if (!isFileSystemError(error, 'ENOENT')) throw error
}

interface Content {
  readonly content: FileContent
  readonly blocks: StagedBlocks
}

function asFileSystemError(error: unknown, path: BlobPath): FileSystemError {
  if (error instanceof FileSystemError) return error
  return new FileSystemError('EIO', 'write', { path: formatPath(path), cause: error })
}
