import type { ByteRange } from '../byte-range.ts'
import { type FileSystemError, isFileSystemError } from '../errors.ts'
import type { Entry, PosixAttributes } from '../namespace/entry.ts'
import type { MetadataChange } from '../namespace/entry-metadata.ts'
import { unlessMissing } from '../namespace/lookup.ts'
import type { BlobPath } from '../path.ts'
import type { BaseVersion } from '../transfer/file-content.ts'
import { asFailure } from './fault.ts'
import { commitVersion, describe, keepFailed, type NewVersion, replacedBy } from './file-commit.ts'
import { FileMutex, StoppedStoring } from './file-mutex.ts'
import type { InodeLock } from './lease-locks.ts'
import type { Allocation } from './operations.ts'
import { keepFile, PromisedVersion } from './promised-version.ts'
import { UnsavedChanges } from './unsaved-changes.ts'
import type { WritableFileContext, WritableFileOptions } from './writable-file-options.ts'
import {
  allocating,
  type ContentAndBlocks,
  type Edit,
  truncating,
  WrittenContent,
  writing,
} from './written-content.ts'

const fresh = { fresh: true } as const

/**
 * A file that is open for writing: its content and attributes until a commit has made them a blob. All handles of one inode
 * share it. Of an existing file only what a block holds is downloaded when the first write arrives; of a larger one what is
 * not written over is left where it is. From then on the content here is what every reader in this mount sees. A commit
 * replaces the version that the content began with and no other: `ESTALE` when there is another.
 */
export class WritableFile {
  readonly mutex: FileMutex = new FileMutex()
  /** Open handles that may write. */
  writers = 0
  readonly #context: WritableFileContext
  readonly #path: () => BlobPath
  readonly #onCommitted: WritableFileOptions['onCommitted']
  readonly #lock: () => InodeLock | undefined
  readonly #content: WrittenContent
  readonly #changes: UnsavedChanges
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
    this.#lock = options.lock ?? (() => undefined)
    this.#content = new WrittenContent(options.context, this.mutex, () => this.#lease.leaseId)
    this.#changes = new UnsavedChanges(options)
    if (options.stored === undefined) this.#content.begin(undefined)
  }

  /** Whether readers must come here: the content differs, or may soon, from what is stored. */
  get active(): boolean {
    return this.#content.held !== undefined || this.#failure !== undefined
  }

  /** Whether nothing of this file was ever stored. */
  get unborn(): boolean {
    return this.stored === undefined
  }

  get replaces(): string | undefined {
    return this.#changes.replaces
  }

  /** The version that the content began with, or that was committed last. */
  get stored(): Entry | undefined {
    return this.#changes.stored
  }

  get dirty(): boolean {
    return !this.#discarded && this.#changes.exist
  }

  /** What the caller of the last commit was told, while nothing was changed since. */
  get reported(): FileSystemError | undefined {
    return this.#changes.reported
  }

  /** Whether some of it is in staged blocks and nowhere else. */
  get isSent(): boolean {
    return this.#content.isSent
  }

  get #lease(): { readonly leaseId: string | undefined } {
    return { leaseId: this.#lock()?.lease?.leaseId }
  }

  /** What the file is to this mount, commits to come included. */
  entry(): Entry {
    return this.#changes.entry(this.#path().name, this.#content.held?.content.sizeBytes)
  }

  /** A copy of the bytes in `range` as they were last written. Only while `active`. */
  async read(range: ByteRange): Promise<Uint8Array> {
    if (this.#failure !== undefined) throw this.#failure
    return (await this.#content.held?.content.read(range)) ?? new Uint8Array(0)
  }

  /** Takes `data` at `offsetBytes`, or at the end; the number of bytes taken. */
  write(offsetBytes: number | 'end', data: Uint8Array): Promise<number> {
    return this.mutex.run(() => this.#edit(writing(offsetBytes, data)))
  }

  /** Cuts the content at `sizeBytes`, or adds zeros up to there. */
  async truncate(sizeBytes: number): Promise<void> {
    await this.mutex.run(async () => {
      if (sizeBytes === 0) await this.#restart()
      const isMade = this.#failure === undefined && this.#changes.setOnMade !== undefined
      const known = isMade || !this.active ? (this.stored?.sizeBytes ?? 0) : undefined
      if (sizeBytes === known) return this.#changes.touch()
      await this.#edit(truncating(sizeBytes), sizeBytes)
    })
  }

  /** Makes zeros of a range, or room after the end, as fallocate(2) asks. */
  allocate(allocation: Allocation): Promise<void> {
    return this.mutex.run(() => this.#edit(allocating(allocation)))
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
      this.#changes.setTime()
    })
  }

  /** Others have stored `entry`: where nothing is unsaved here, that is the file from now on. */
  catchUp(entry: Entry): Promise<void> {
    return this.mutex.run(async () => {
      if (this.dirty || this.#failure !== undefined || entry.etag === this.stored?.etag) return
      await this.#content.release()
      this.#changes.adopt(entry)
    })
  }

  /** As `UnsavedChanges.noteKept`. */
  noteKept(kept: Pick<Entry, 'tagCount' | 'chosenTier'>): void {
    this.#changes.noteKept(kept)
  }

  /** Has the file stored, so that it can be locked; one that holds nothing yet may be another's meanwhile. */
  ensureStored(): Promise<void> {
    return this.mutex.run(async () => {
      if (!this.unborn) return
      const { setOnMade } = this.#changes
      const isTaken = setOnMade && (await this.#context.namespace.exists(this.#path(), fresh))
      await (isTaken === true ? this.#becomeTheirs() : this.commitLocked())
    })
  }

  /** As `FileOperations.seek`, while `active`. */
  seek(offset: number, what: 'data' | 'hole'): number | undefined {
    return this.#content.seek(offset, what)
  }

  /** Makes an empty file the content of a stored version elsewhere, which the service copies; whether it is empty. */
  copyFrom(version: BaseVersion): Promise<boolean> {
    return this.mutex.run(async () => {
      const { content } = await this.#load()
      if (content.sizeBytes > 0) return false
      content.begin(version)
      this.#changes.touchContent()
      return true
    })
  }

  /** Changes what stat shows, and what the next commit sends. */
  setAttributes(changes: PosixAttributes): Promise<void> {
    return this.mutex.run(async () => this.#changes.setAttributes(changes))
  }

  /** Changes metadata of others: with the next commit while the content is to be stored, else at once; whether it changed. */
  changeMetadata(change: MetadataChange): Promise<boolean> {
    return this.mutex.run(async () => {
      if (!this.#changes.inContent) return this.#changeStoredMetadata(change)
      return this.#changes.changeMetadata(change)
    })
  }

  async #changeStoredMetadata(change: MetadataChange): Promise<boolean> {
    const before = this.stored
    const { namespace, posixAttrs = 'write' } = this.#context
    const keepsTime = posixAttrs === 'write'
    const entry = await this.#changeStored((onVersion) => {
      const options = { ...this.#lease, keepsTime, onVersion }
      return namespace.changeMetadata(this.#path(), change, options)
    })
    return entry.etag !== before?.etag
  }

  /**
   * Commits what a close(2) must make durable: everything that was written or set. A file that was only created or truncated waits
   * for its first write or its release: a shell closes one of its descriptors before the program that it starts writes to another.
   * The journal has one that is new at once.
   */
  flush(): Promise<void> {
    return this.mutex.storing(async () => {
      if (this.#failure !== undefined || this.#changes.touched) await this.#secure(false)
      else if (this.#changes.setOnMade !== undefined) await this.#promise(false)
    })
  }

  /** Whether the journal could be given what no flush gave it. */
  get isUnpromised(): boolean {
    const { inContent, isUnpromised, reported } = this.#changes
    return this.#promised.isOffered && inContent && isUnpromised && reported === undefined
  }

  /** Gives the journal what no flush did; what keeps it from that meets the commit, too. */
  async promiseRest(): Promise<void> {
    const work = this.mutex.storing(async () => void (await this.#promise(false)))
    await work.catch(() => undefined)
  }

  /** Makes durable all that differs from what is stored, as fsync(2) does. */
  commit(): Promise<void> {
    return this.mutex.storing(() => this.#secure(true))
  }

  /** Whether the journal holds what is not stored yet, for the next mount if not for this one. */
  get isPromised(): boolean {
    return this.#promised.exists
  }

  /** Stores what no flush did; a failure that a caller knows is not met again, unless the journal has promised to store it. */
  finish(): Promise<void> {
    return this.mutex.storing(async () => {
      if (this.#changes.reported === undefined || this.isPromised) await this.commitLocked(true)
    })
  }

  /** Keeps what could not be stored for its owner; where, if anything was kept. */
  preserve(cause: FileSystemError): Promise<string | undefined> {
    return this.mutex.run(async () => (this.isPromised ? undefined : this.#keepUnsaved(cause)))
  }

  async #keepUnsaved(cause: FileSystemError): Promise<string | undefined> {
    if (!this.dirty || this.#content.held === undefined) return undefined
    return keepFailed(this.#context, await this.#newVersion({ tags: false }), cause)
  }

  /** In the journal where the mount writes back, in Azure otherwise, or where the journal fails. */
  async #secure(synced: boolean): Promise<void> {
    if (!(await this.#promise(synced))) return this.commitLocked(!this.#changes.isExclusive)
    this.#changes.touched = false
  }

  /** Whether the journal has what is not stored. */
  async #promise(synced: boolean): Promise<boolean> {
    if (!this.#changes.inContent || this.#failure !== undefined || this.#discarded) return false
    const how = { synced, isNew: this.#changes.touched || this.#changes.isUnpromised }
    const keep = keepFile(() => this.#newVersion())
    if (!(await this.#promised.secure(keep, how))) return false
    this.#changes.isUnpromised = false
    return true
  }

  /** As `setAttributes`, where the journal has the file and its commit is to come; whether it is so. */
  amend(changes: PosixAttributes): Promise<boolean> {
    return this.mutex.run(async () => {
      if (!this.isPromised || !this.#changes.inContent || this.#discarded) return false
      this.#changes.setAttributes(changes)
      await this.#secure(false)
      return true
    })
  }

  /** Stores what is not, for a holder of the mutex; one that `yields` takes another's file for one that was only made here. */
  async commitLocked(yields: boolean = false): Promise<void> {
    if (this.#discarded || (!this.dirty && this.#failure === undefined)) return
    try {
      if (this.#failure !== undefined) throw this.#failure
      this.#lock()?.check()
      await (this.#changes.inContent ? this.#commitContent(yields) : this.#commitAttributes())
      this.#changes.touched = false
    } catch (error) {
      if (error instanceof StoppedStoring) throw error
      this.#changes.reported = asFailure(error, 'close', this.#path())
      throw error
    }
  }

  /** For a holder of the mutex: the file is not stored yet and will replace version `replaces`. */
  async retargetLocked(replaces: string | undefined): Promise<void> {
    this.#changes.replaces = replaces
    await this.#content.forgetBlocks()
  }

  /** For a holder of the mutex: the file has another path now, and what was promised is meant for that. */
  async renamedLocked(): Promise<void> {
    if (!this.isPromised) return
    this.#changes.touched = true
    await this.#secure(false)
  }

  /** The file lost its name: nothing of it is committed any more. */
  async discardLocked(): Promise<void> {
    this.#discarded = true
    await this.#content.forgetBlocks()
    await this.#promised.forget()
  }

  /** Gives memory, disk and uploads back. */
  close(): Promise<void> {
    this.#discarded = true
    return this.#content.release()
  }

  /** Lets go of content and failure, so that nothing has to be downloaded before a truncation. */
  async #restart(): Promise<void> {
    if (this.#failure?.code !== 'ESTALE') this.#failure = undefined
    if (this.#failure !== undefined) return
    await this.#content.release()
    this.#content.begin(undefined)
    this.#changes.inContentNow()
  }

  /** For a holder of the mutex: `stored`, which has the content as it is here, lies at the file's path. */
  async followLocked(stored: Entry): Promise<void> {
    this.#changes.adopt(stored)
    this.#content.rebase(this.#path(), stored)
    await this.#content.forgetBlocks()
  }

  async #edit<T>(edit: Edit<T>, limit?: number): Promise<T> {
    const held = await this.#orFail(() => {
      this.#lock()?.check()
      return this.#load(limit)
    })
    edit.check(held, this.#path())
    const name = this.#discarded ? undefined : this.#path()
    const result = await this.#orFail(() => edit.run(held, name))
    this.#changes.touchContent()
    return result
  }

  /** Runs a step after whose failure the content is not what the writer meant. */
  async #orFail<T>(step: () => Promise<T>): Promise<T> {
    try {
      return await step()
    } catch (error) {
      const failure = asFailure(error, 'write', this.#path())
      await this.#keepUnsaved(failure)
      await this.#fail(failure)
      throw failure
    }
  }

  /** The content; of a small file downloaded first, at most `limit` bytes of it. */
  async #load(limit: number = Number.POSITIVE_INFINITY): Promise<ContentAndBlocks> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#content.held !== undefined) return this.#content.held
    const { etag, sizeBytes = 0 } = this.stored ?? {}
    const base = etag === undefined ? undefined : { path: this.#path(), etag, sizeBytes }
    const begun = this.#content.begin(base)
    // Its commit is one request with all of it: had now, it is there whatever others do.
    if (sizeBytes <= begun.blocks.blockBytes) await begun.content.fetch({ start: 0, end: limit })
    return begun
  }

  async #commitAttributes(): Promise<void> {
    const { namespace } = this.#context
    const entry = await this.#changeStored((onVersion) => {
      const options = { ...this.#lease, onVersion }
      return namespace.setAttributes(this.#path(), this.#changes.posix, options)
    })
    this.#changes.attributesStored(this.stored ?? entry)
  }

  /** Runs `change` of what is stored. Where that was a version of others, what is here goes on from the one that it was. */
  async #changeStored(
    change: (onVersion: (entry: Entry) => void) => Promise<Entry>,
  ): Promise<Entry> {
    const before = this.stored
    let changed: Entry | undefined
    const entry = await change((version) => {
      changed = version
    })
    const isOurs = before?.etag === undefined || before.etag === changed?.etag
    if (!isOurs) this.#changes.adopt({ ...before, posix: entry.posix, metadata: entry.metadata })
    else if (entry !== changed) {
      await this.followLocked(entry)
      this.#onCommitted(before, entry, false)
    }
    return entry
  }

  async #commitContent(yields: boolean): Promise<void> {
    const before = this.stored
    const made = await this.#newVersion()
    const version = yields ? made : { ...made, setOnMade: undefined }
    try {
      const entry = await commitVersion(this.#context, version, before)
      if (entry === undefined) return await this.#becomeTheirs()
      this.#changes.allStored(entry)
      this.#content.rebase(version.path, entry)
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
    const { stored: before, posix: changes, metadata, replaces, setOnMade } = this.#changes
    const description = await describe(context, path, { before, changes, metadata })
    return { path, content, blocks, description, replaces, setOnMade, ...this.#lease }
  }

  /** Somebody else's version is the file from here on, with what was set of one that was only made here. */
  async #becomeTheirs(): Promise<void> {
    const theirs = await unlessMissing(this.#context.namespace.stat(this.#path(), fresh))
    const isMade = this.#changes.setOnMade !== undefined
    if (theirs === undefined && isMade) return this.#commitContent(true)
    if (theirs?.type === 'file') this.#changes.becomeTheirs(theirs)
    // Whoever has it open may write yet.
    else if (isMade && this.writers > 0) throw replacedBy(theirs, this.#path())
    else this.#discarded = true
    await this.#content.release()
    if (this.dirty) await unlessMissing(this.#commitAttributes())
    await this.#promised.forget()
  }

  async #fail(error: FileSystemError): Promise<void> {
    this.#failure = error
    await this.#content.release()
    await this.#promised.forget()
  }
}
