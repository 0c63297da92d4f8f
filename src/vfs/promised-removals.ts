import type { Deletion } from '../blob/deletion.ts'
import type { PromisedRemoval, RemovingBlobStore } from '../blob/removing-store.ts'
import { Limiter } from '../concurrency.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { baseName } from '../namespace/blob-name.ts'
import { GatheredDeletes } from '../namespace/gathered-deletes.ts'
import { parentOf } from '../namespace/listing-cache.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { asFailure, publishFault, type Unsaved } from './fault.ts'
import { forgetName } from './foreign-changes.ts'
import type { Inode } from './inode-table.ts'
import type { Journal } from './journal.ts'
import type { KeptVersion } from './journal-record.ts'
import { unlessRefused } from './promised-version.ts'
import type { Tree } from './tree.ts'
import type { WritableFileContext } from './writable-file-options.ts'
import type { WriteBackTurns } from './write-back-turns.ts'

/** More than so many do not wait: who removes one more waits for some of them. */
const mostPromised = 1000
/** So many of them, by one request where the service takes it. */
const mostAwaited = 256

/** Deletes as `BlobStore.delete` does, sooner or later. */
export type Deletes = Pick<GatheredDeletes, 'delete'>

interface RemovalParts {
  readonly tree: Tree
  readonly store: RemovingBlobStore
  readonly journal: Journal
  /** Deletes in the account. */
  readonly deletes: Deletes
}

/** The version of a file that unlink(2) has taken here and the journal has, until the service has taken it too. */
class Removal implements PromisedRemoval {
  readonly path: BlobPath
  readonly etag: string
  /** Why it is not done, as of the last attempt. */
  error: FileSystemError | undefined
  /** Somebody else's version is at the name. */
  lost: FileSystemError | undefined
  readonly #parts: RemovalParts
  readonly #kept: KeptVersion
  #isDone = false
  #storing: Promise<void> | undefined

  constructor(parts: RemovalParts, kept: KeptVersion, etag: string) {
    this.#parts = parts
    this.#kept = kept
    this.path = kept.path
    this.etag = etag
  }

  store(): Promise<void> {
    if (this.#isDone) return Promise.resolve()
    this.#storing ??= this.#store().finally(() => {
      this.#storing = undefined
    })
    return this.#storing
  }

  async #store(): Promise<void> {
    try {
      const lost = await this.#delete()
      await this.#parts.journal.remove(this.#kept)
      this.#isDone = true
      this.error = undefined
      this.#parts.store.kept(this)
      if (lost !== undefined) this.#lose(lost)
    } catch (cause) {
      // Told once: it is tried for as long as the mount lives.
      if (this.error === undefined) publishFault('unlink', this.path, cause)
      this.error = asFailure(cause, 'unlink', this.path)
      throw this.error
    }
  }

  /** Why the version is not at its name, where somebody else's is. One that has gone has been removed. */
  async #delete(): Promise<FileSystemError | undefined> {
    try {
      await this.#parts.deletes.delete({ path: this.path, ifMatch: this.etag })
    } catch (error) {
      if (isFileSystemError(error, 'ESTALE')) return replacedMeanwhile(this.path, error)
      if (!isFileSystemError(error, 'ENOENT')) throw error
    }
    return undefined
  }

  #lose(error: FileSystemError): void {
    const { tree } = this.#parts
    const parent = parentOf(this.path)
    this.lost = error
    tree.namespace.invalidate(parent, { recursive: false })
    forgetName(tree, parent, baseName(this.path.name))
    publishFault('unlink', this.path, error)
  }
}

/** What was removed is another version than what is there. */
export function replacedMeanwhile(path: BlobPath, cause: FileSystemError): FileSystemError {
  const detail = 'somebody else wrote the file before it was removed: it stays as they wrote it'
  return new FileSystemError('ESTALE', 'unlink', { path: formatPath(path), detail, cause })
}

export interface PromisedRemovalsOptions {
  readonly context: WritableFileContext
  readonly turns: WriteBackTurns
  /** What `tree` shows; absent: removals are requests. */
  readonly store: RemovingBlobStore | undefined
}

/** What unlink(2) has removed on a mount that writes back: the journal has it at once, the service when it is its turn. */
export class PromisedRemovals {
  readonly #tree: Tree
  readonly #turns: WriteBackTurns
  readonly #parts: RemovalParts | undefined
  /** In the order in which they were promised, until they are stored, or are left to the next mount. */
  readonly #removals = new Map<Removal, Promise<void>>()
  readonly #lost: Unsaved[] = []

  constructor(tree: Tree, { context, turns, store }: PromisedRemovalsOptions) {
    this.#tree = tree
    this.#turns = turns
    const journal = context.writeBack === true ? context.journals?.pending : undefined
    if (journal === undefined || store === undefined) return
    const gathered = new GatheredDeletes(store.plain, {})
    const atOnce = new Limiter(gathered.limit)
    const deletes = { delete: (each: Deletion) => atOnce.run(() => gathered.delete(each)) }
    this.#parts = { tree, store, journal, deletes }
  }

  /** How the file of `inode`, of which all is stored, is removed without a request; `undefined` where it is by one. */
  async of(inode: Inode | undefined, path: BlobPath): Promise<Deletes | undefined> {
    const parts = this.#parts
    if (parts === undefined || !this.#turns.areTaken || inode?.lock !== undefined) return undefined
    const { writable } = inode ?? {}
    // What replaces a promised version must outlive whatever that does.
    if (writable !== undefined && (writable.dirty || writable.isPromised)) return undefined
    if (await this.#tree.namespace.isHierarchical(path.container)) return undefined
    return { delete: (deletion) => this.#promise(parts, deletion) }
  }

  async #promise(parts: RemovalParts, { path, ifMatch }: Deletion): Promise<void> {
    const { store, journal } = parts
    await store.promisedOf(path)?.store()
    if (this.#removals.size >= mostPromised) await this.#awaitSome()
    const kept =
      ifMatch === undefined || this.#removals.size >= mostPromised
        ? undefined
        : await unlessRefused(journal.keepRemoval({ path, etag: ifMatch }))
    if (kept === undefined || ifMatch === undefined) return store.delete(path, { ifMatch })
    const removal = new Removal(parts, kept, ifMatch)
    store.promise(removal)
    this.#storeLater(removal)
  }

  async #awaitSome(): Promise<void> {
    const first = [...this.#removals.keys()].slice(0, mostAwaited)
    await Promise.allSettled(first.map((removal) => this.#attempt(removal)))
    for (const removal of first) this.#turns.hurry(removal)
  }

  #storeLater(removal: Removal): void {
    const turn = this.#turns.areTaken ? this.#turns.wait(removal) : Promise.resolve()
    const work = turn
      .then(() => this.#turns.retry(() => this.#attempt(removal)))
      .finally(() => {
        if (removal.error === undefined) this.#removals.delete(removal)
      })
    this.#removals.set(removal, work)
  }

  async #attempt(removal: Removal): Promise<boolean> {
    try {
      await removal.store()
    } catch {
      return !this.#turns.areTaken
    }
    if (this.#removals.delete(removal) && removal.lost !== undefined) {
      const path = formatPath(removal.path)
      this.#lost.push({ path, error: removal.lost, place: undefined, isRemoval: true })
    }
    return true
  }

  /** Stores the removals below `directory`; in it alone where not `deep`. Rejects as the first one that fails does. */
  async storeBelow(
    directory: BlobPath,
    { deep = true }: { readonly deep?: boolean } = {},
  ): Promise<void> {
    const start = directory.name === '' ? '' : `${directory.name}/`
    const isMeant = ({ path: { container, name } }: Removal): boolean =>
      container === directory.container &&
      name.startsWith(start) &&
      (deep || !name.slice(start.length).includes('/'))
    const stored = [...this.#removals.keys()].filter(isMeant).map((removal) => removal.store())
    const failure = (await Promise.allSettled(stored)).find(({ status }) => status === 'rejected')
    if (failure?.status === 'rejected') throw failure.reason
  }

  /** What somebody has tried to remove without success, and what stays because somebody else wrote it. */
  get unsaved(): readonly Unsaved[] {
    const place = this.#parts?.journal.directory
    const isPending = this.#turns.areTaken ? true : undefined
    const left = [...this.#removals.keys()].flatMap(({ path, error }): Unsaved[] => {
      if (error === undefined) return []
      return [{ path: formatPath(path), error, place, isPending, isRemoval: true }]
    })
    return [...this.#lost, ...left]
  }

  /** Resolves when all are stored, or are left to the next mount. */
  async settle(): Promise<void> {
    await Promise.all(this.#removals.values())
  }
}
