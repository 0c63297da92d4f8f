import { MiB } from '../byte-range.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { asFailure, publishFault, type Unsaved } from './fault.ts'
import type { Inode } from './inode-table.ts'
import type { Journals } from './journals.ts'
import type { CallContext } from './operations.ts'
import type { Tree } from './tree.ts'
import type { WritableFile } from './writable-file.ts'
import type { WritableFileContext } from './writable-file-options.ts'
import { WriteBackTurns } from './write-back-turns.ts'

/** Larger ones are not renamed or removed as soon as they are made; bytes. */
const maxWaitingBytes = MiB

/** A commit under way, and who waits for it. */
interface AwaitedCommit {
  readonly storing: Promise<void>
  readonly context: CallContext
}

/** What becomes of commits whose callers have gone, and of files after their last close: stored, or kept and told. */
export class LastClose {
  readonly #tree: Tree
  readonly #journals: Journals | undefined
  /** What is under way for each file. */
  readonly #finishing = new Map<WritableFile, Promise<unknown>>()
  readonly #lost: Unsaved[] = []
  /** What failed and may be stored yet. */
  readonly #pending = new Map<WritableFile, Unsaved>()
  readonly #unheard = new Map<string, FileSystemError>()
  readonly #closing = new AbortController()
  readonly turns: WriteBackTurns

  constructor(
    tree: Tree,
    { journals, writeBackQuietMs = 0 }: Pick<WritableFileContext, 'journals' | 'writeBackQuietMs'>,
  ) {
    this.#tree = tree
    this.#journals = journals
    this.turns = new WriteBackTurns(tree.clock, writeBackQuietMs, this.#closing.signal)
  }

  /** What could not be stored since the mount began, and what is not stored so far though somebody tried. */
  get unsaved(): readonly Unsaved[] {
    const pending = [...this.#pending].filter(([writable]) => writable.dirty)
    return [...this.#lost, ...pending.map(([, unsaved]) => unsaved)]
  }

  /**
   * Waits for a commit, whatever signal the caller meets: libraries take `EINTR` of close(2) for success. Those that are
   * killed, or waited too long, have their answer already; what fails then is published.
   */
  async awaitCommit(operation: string, inode: Inode, commit: AwaitedCommit): Promise<void> {
    const { storing, context } = commit
    const { signal } = context
    const { writable } = inode
    const note = (cause: unknown): void => this.#notePending(inode, writable, cause)
    const noteAlone = (): void => note(this.#alone(operation, inode))
    signal.addEventListener('abort', noteAlone, { once: true })
    try {
      await storing
    } catch (error) {
      const isConflict = isFileSystemError(error, 'ESTALE')
      if (signal.aborted || isConflict) publishFault(operation, this.#tree.pathOf(inode), error)
      if (!isConflict) note(error)
      throw error
    } finally {
      signal.removeEventListener('abort', noteAlone)
    }
  }

  /** Takes a writer off; the last one commits what no flush did. What may be stored later is not waited for. */
  leaveWriters(inode: Inode, writable: WritableFile): Promise<void> {
    writable.writers--
    if (writable.writers > 0) return Promise.resolve()
    if (!writable.isUnpromised) return this.#leave(inode, writable)
    const work = writable.promiseRest().then(() => this.#leave(inode, writable))
    this.#note(writable, work)
    return work
  }

  #leave(inode: Inode, writable: WritableFile): Promise<void> {
    if (writable.writers > 0 || this.turns.isWaiting(writable)) return Promise.resolve()
    if (!this.#mayWait(inode, writable)) return this.#end(inode, writable)
    const work = this.turns.wait(writable).then(() => this.#endUnlessOpen(inode, writable))
    this.#note(writable, work)
    return Promise.resolve()
  }

  /** Who has opened it again may be in the middle of it, and closes it again. */
  async #endUnlessOpen(inode: Inode, writable: WritableFile): Promise<void> {
    if (writable.writers === 0) await this.#finishAndClose(inode, writable)
  }

  #mayWait(inode: Inode, writable: WritableFile): boolean {
    if (!this.turns.areTaken || !writable.isPromised || inode.lock !== undefined) return false
    return writable.entry().sizeBytes <= maxWaitingBytes
  }

  #end(inode: Inode, writable: WritableFile): Promise<void> {
    const work = this.#finishAndClose(inode, writable)
    this.#note(writable, work)
    return work
  }

  async #finishAndClose(inode: Inode, writable: WritableFile): Promise<void> {
    await this.finish(inode, writable)
    await this.#closeUnused(inode, writable)
  }

  #note(writable: WritableFile, work: Promise<void>): void {
    const all = Promise.allSettled([this.#finishing.get(writable), work]).then(() => {
      if (this.#finishing.get(writable) === all) this.#finishing.delete(writable)
    })
    this.#finishing.set(writable, all)
  }

  /** Stores what is left. What the journal has promised is tried again while the mount lives. */
  async finish(inode: Inode, writable: WritableFile): Promise<void> {
    await this.#finish(inode, writable)
    this.#pending.delete(writable)
  }

  async #finish(inode: Inode, writable: WritableFile): Promise<void> {
    await this.turns.retry(async () => {
      try {
        await this.turns.store(() => writable.finish())
        if (writable.dirty) await this.#preserve(inode, writable, undefined)
        return true
      } catch (error) {
        publishFault('release', this.#tree.pathOf(inode), error)
        const isLeft = writable.isPromised && !this.#closing.signal.aborted
        if (isLeft) this.#notePending(inode, writable, error)
        else await this.#preserve(inode, writable, error)
        return !isLeft
      }
    })
  }

  /** Resolves when every release under way has committed or failed. */
  async settle(): Promise<void> {
    await Promise.all(this.#finishing.values())
  }

  /** The same of one file or directory, whose turn it is then. */
  async settleOne({ writable, unstored }: Inode): Promise<void> {
    await unstored?.store()
    if (writable === undefined) return
    this.turns.hurry(writable)
    await this.#finishing.get(writable)
  }

  /** From here on nothing that failed is tried again. */
  giveUp(): void {
    this.#closing.abort()
  }

  /** A failure that nobody was told is the first thing that the next one to open the file hears. */
  tellUnheard(path: BlobPath): void {
    const key = formatPath(path)
    const error = this.#unheard.get(key)
    this.#unheard.delete(key)
    if (error !== undefined) throw error
  }

  /** A commit failed, or its caller has gone, and the file is still open or being stored. */
  #notePending(inode: Inode, writable: WritableFile | undefined, cause: unknown): void {
    if (writable?.dirty !== true) return
    const path = this.#tree.pathOf(inode)
    const place = writable.isPromised ? this.#journals?.pending.directory : undefined
    const error = asFailure(cause, 'close', path)
    this.#pending.set(writable, { path: formatPath(path), error, place, isPending: true })
  }

  #alone(operation: string, inode: Inode): FileSystemError {
    const detail = 'the program did not wait until the file was stored'
    const path = formatPath(this.#tree.pathOf(inode))
    return new FileSystemError('ETIMEDOUT', operation, { path, detail })
  }

  /** Notes what is not stored, for the next who opens the file and for the end of the mount. */
  async #preserve(inode: Inode, writable: WritableFile, cause: unknown): Promise<void> {
    const path = formatPath(this.#tree.pathOf(inode))
    const error = asFailure(cause ?? writable.reported, 'release', this.#tree.pathOf(inode))
    const place = writable.isPromised
      ? this.#journals?.pending.directory
      : await writable.preserve(error)
    if (cause === undefined && place === undefined) return
    this.#lost.push({ path, error, place })
    if (cause !== undefined) this.#unheard.set(path, error)
  }

  async #closeUnused(inode: Inode, writable: WritableFile): Promise<void> {
    if (writable.writers > 0 || inode.writable !== writable) return
    if (inode.unlinked && inode.readers.size > 0) return
    // What the kernel holds of content that was never stored must not be read again.
    if (writable.dirty) inode.cachedEtag = undefined
    if (!writable.dirty) inode.entry = writable.entry()
    inode.writable = undefined
    if (writable.unborn) this.#tree.table.detach(inode)
    await writable.close()
    this.#tree.table.prune(inode)
  }
}
