/**
 * Moves all blobs of a tree, as its journal says. In the order things happen: all sources are
 * copied; the destination is listed, and every copy must be there; the journal says so; the sources
 * are deleted, what marks the tree last; the journal is deleted. Until the journal says that all
 * copies are there, a failure takes them back, and the sources are as they were (a recovery that is
 * stopped leaves them for the next one). From then on the only way is forward.
 */
import type { CallOptions } from '../blob/store.ts'
import { forEachConcurrent } from '../concurrency.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { type FaultEvent, faultChannel } from '../telemetry.ts'
import { Arrivals } from './arrivals.ts'
import { childPrefix } from './blob-name.ts'
import { type NamespaceParts, takeAway } from './directories.ts'
import { GatheredDeletes } from './gathered-deletes.ts'
import { callOptions, unlessMissing } from './lookup.ts'
import { at, copyBlob, isTreeMarker, removeSource, type TreeMove } from './move-blob.ts'
import type { RenameJournal } from './rename-journal.ts'
import type { CopiedBlob, CopiedPage } from './rename-records.ts'
import type { TreeOptions, TreeProgress } from './tree.ts'
import { limitOf } from './tree-limit.ts'

/** How far a rename is. */
export interface RenameProgress extends TreeProgress {
  /** What was done to this blob; a rename is complete when all have been deleted. */
  readonly phase: 'copied' | 'deleted'
  /** Blobs of the tree that this phase has dealt with, and all of them. */
  readonly files: number
  readonly totalFiles: number
  readonly bytes: number
  readonly totalBytes: number
}

export interface MoveTreeOptions extends Omit<TreeOptions, 'onProgress'> {
  readonly onProgress?: ((progress: RenameProgress) => void) | undefined
  /** Hears of each blob of a tree that has moved: its former path, the version that was copied, and the etag of the copy. */
  readonly onMoved?: ((blob: MovedBlob) => void) | undefined
}

/** What a rename of a tree made of one blob. */
export interface MovedBlob {
  readonly from: BlobPath
  readonly sourceEtag: string
  readonly targetEtag: string
}

/** After this many failures nothing more is started: the cause is then hardly in the files. */
const maxFailures = 20

/**
 * Does what is left to do of the journal's rename: all of it, unless the journal is `resumed`.
 * `emptied` says whether the old name is gone: what was not in the plan stays there, and keeps it.
 * Rejects with a `FileSystemError` that says what was moved and what was not.
 */
export function moveTree(
  parts: NamespaceParts,
  journal: RenameJournal,
  options: MoveTreeOptions & { readonly resumed: boolean },
): Promise<{ readonly emptied: boolean }> {
  return new MovingTree(parts, journal, options).run()
}

class MovingTree {
  readonly #parts: NamespaceParts
  readonly #journal: RenameJournal
  readonly #options: MoveTreeOptions & { readonly resumed: boolean }
  readonly #move: TreeMove
  readonly #deletes: GatheredDeletes
  /** Resolves when the journal has all pages that were copied. */
  #noting: Promise<void> = Promise.resolve()
  /** What a resumed rename finds at the destination, page by page. */
  #arrivals: Arrivals | undefined
  #progress = { phase: 'copied' as RenameProgress['phase'], files: 0, bytes: 0 }

  constructor(
    parts: NamespaceParts,
    journal: RenameJournal,
    options: MoveTreeOptions & { readonly resumed: boolean },
  ) {
    this.#parts = parts
    this.#journal = journal
    this.#options = options
    this.#deletes = new GatheredDeletes(parts.store, options)
    const { store, tagsOf } = parts
    this.#move = { store, tagsOf, from: journal.state.from, to: journal.state.to }
  }

  async run(): Promise<{ readonly emptied: boolean }> {
    const { phase } = this.#journal.state
    if (phase === 'undoing') {
      await this.#takeBack()
      return { emptied: false }
    }
    if (phase === 'copying') await this.#makeCopies()
    return this.#deleteSources()
  }

  async #makeCopies(): Promise<void> {
    try {
      for (const page of this.#pages()) await this.#copyPage(page)
      await this.#noting
      await this.#verify()
      this.#options.signal?.throwIfAborted()
      await this.#journal.advance('deleting')
    } catch (error) {
      await this.#noting.catch(() => undefined)
      if (this.#isPaused(error)) {
        await this.#release()
        throw error
      }
      await this.#undo(error)
    }
  }

  /** A recovery that is stopped, or cannot reach the service, is gone on with another time. */
  #isPaused(error: unknown): boolean {
    if (!this.#options.resumed) return false
    return this.#options.signal?.aborted === true || (isFileSystemError(error) && error.retryable)
  }

  async #copyPage(page: number): Promise<void> {
    const known = this.#options.resumed ? await this.#journal.copied(page) : undefined
    const rows = [...(known?.rows ?? [])]
    for (const row of rows) this.#report('copied', row)
    if (known?.complete === true) return
    const done = new Set(rows.map((row) => row.suffix))
    const open = (await this.#journal.planned(page)).filter((row) => !done.has(row.suffix))
    let complete = false
    try {
      await this.#each(open, limitOf(this.#options), async (planned) => {
        const copied = await copyBlob(this.#move, planned, this.#call)
        if (copied === undefined) return
        rows.push(copied)
        this.#report('copied', copied)
      })
      complete = true
    } finally {
      await this.#note(page, { complete, rows })
    }
  }

  /** The next page is copied meanwhile, but not the one after it. */
  async #note(page: number, copied: CopiedPage): Promise<void> {
    const former = this.#noting
    const both = Promise.all([former, this.#journal.noteCopied(page, copied)])
    this.#noting = both.then(() => undefined)
    // Whoever awaits it hears of a failure.
    this.#noting.catch(() => undefined)
    await former
  }

  /** Every copy must be at the destination, in the version that was made, before a source goes. */
  async #verify(): Promise<void> {
    const arrived = new Arrivals(this.#parts, this.#move.to, this.#call)
    for (const page of this.#pages()) {
      const copied = await this.#journal.copied(page)
      for (const row of copied?.rows ?? []) {
        const found = arrived.take(row) ?? (await arrived.find(row))
        const whole = found?.etag === row.targetEtag && found.sizeBytes === row.sizeBytes
        if (!whole) throw this.#missing(row, found !== undefined)
      }
    }
  }

  /** Takes the copies back, then throws `error`, which says so. */
  async #undo(error: unknown): Promise<never> {
    try {
      await this.#journal.advance('undoing')
      await this.#takeBack()
    } catch (failure) {
      // Somebody else goes on: what is where is theirs to tell.
      if (isFileSystemError(failure, 'EBUSY') && failure.syscall === 'rename') throw failure
      await this.#release()
      throw this.#stuck(error, failure)
    }
    if (!isFileSystemError(error)) throw error
    const detail = `nothing was moved: ${error.message}`
    throw this.#failure(error, detail, error)
  }

  async #takeBack(): Promise<void> {
    for (const page of this.#pages()) {
      const copied = await this.#journal.copied(page)
      const made = (copied?.rows ?? []).filter((row) => row.created)
      await forEachConcurrent(made, limitOf(this.#options), async (row) => {
        await this.#journal.beat()
        await this.#takeBackOne(row)
      })
    }
    await this.#journal.remove()
  }

  /** What somebody else has written over a copy is theirs, and stays. */
  async #takeBackOne(row: CopiedBlob): Promise<void> {
    try {
      const ifMatch = row.targetEtag
      await unlessMissing(this.#move.store.delete(at(this.#move.to, row), { ifMatch }))
    } catch (error) {
      if (!isFileSystemError(error, 'ESTALE')) throw error
    }
  }

  async #deleteSources(): Promise<{ readonly emptied: boolean }> {
    const failures: Failure[] = []
    this.#progress = { phase: 'deleted', files: 0, bytes: 0 }
    try {
      return await takeAway(this.#parts, this.#move.from, this.#call, async () => {
        const markers = await this.#deleteInside(failures)
        // A directory in which something is left keeps its marker, with its attributes.
        const emptied = failures.length === 0 && !(await this.#holdsMore())
        if (emptied) await this.#deletePage(markers, failures)
        await this.#conclude(failures)
        return { emptied }
      })
    } catch (error) {
      await this.#release()
      throw error
    }
  }

  /** All but what marks the tree itself, which it returns. */
  async #deleteInside(failures: Failure[]): Promise<CopiedBlob[]> {
    const markers: CopiedBlob[] = []
    // The batches of a page are made while the service works at those of another. A listing is in one order.
    const atOnce = this.#options.resumed ? 1 : 2
    await forEachConcurrent([...this.#pages()], atOnce, async (page) => {
      const { rows } = (await this.#journal.copied(page)) ?? nothing
      markers.push(...rows.filter(isTreeMarker))
      await this.#deletePage(
        rows.filter((row) => !isTreeMarker(row)),
        failures,
      )
    })
    return markers
  }

  async #deletePage(rows: readonly CopiedBlob[], failures: Failure[]): Promise<void> {
    const { resumed: wary } = this.#options
    const { there, others } = wary ? await this.#look(rows) : { there: rows, others: [] }
    const removeEach = (isThere: boolean) => async (row: CopiedBlob) => {
      if (failures.length >= maxFailures) return
      try {
        const call = { ...this.#call, wary, isThere, deletes: this.#deletes }
        const { sourceEtag, targetEtag } = await removeSource(this.#move, row, call)
        this.#options.onMoved?.({ from: at(this.#move.from, row), sourceEtag, targetEtag })
        this.#report('deleted', row)
      } catch (error) {
        if (!isFileSystemError(error)) throw error
        failures.push({ row, error })
      }
    }
    await this.#each(there, this.#deletes.limit, removeEach(true))
    // Each of these is looked at first, by requests of its own.
    await this.#each(others, limitOf(this.#options), removeEach(false))
  }

  /** Which copies one listing finds as they were made; the others may be gone, or be somebody else's. */
  async #look(
    rows: readonly CopiedBlob[],
  ): Promise<{ readonly there: CopiedBlob[]; readonly others: CopiedBlob[] }> {
    const [there, others]: [CopiedBlob[], CopiedBlob[]] = [[], []]
    this.#arrivals ??= new Arrivals(this.#parts, this.#move.to, this.#call)
    for (const row of rows) {
      const found = this.#arrivals.take(row) ?? (await this.#arrivals.findNear(row))
      const isWhole = found?.etag === row.targetEtag
      if (isWhole) there.push(row)
      else others.push(row)
    }
    return { there, others }
  }

  /** Whether something lies in the old tree that was not in the plan. */
  async #holdsMore(): Promise<boolean> {
    const { from } = this.#move
    const rows = await this.#parts.lookup.firstBelow(from, 2, this.#call)
    return rows.some((row) => row.name !== childPrefix(from.name))
  }

  /** What is settled for good needs no journal; where another try may move more, it stays. */
  async #conclude(failures: readonly Failure[]): Promise<void> {
    const [first] = failures
    const settled = failures.every(({ error }) => ['ESTALE', 'ENOENT'].includes(error.code))
    if (settled) await this.#forget()
    if (first === undefined) return
    const names = failures.slice(0, 5).map(({ row }) => formatPath(at(this.#move.from, row)))
    const more =
      failures.length > names.length ? `, and ${failures.length - names.length} more` : ''
    const next = settled ? '' : `; ${howToGoOn}`
    const detail =
      `${this.#progress.files} of ${this.#journal.state.files} blobs were moved, all were copied; ` +
      `left at the old name: ${names.join(', ')}${more}; the first because: ${first.error.message}${next}`
    const errors = failures.map(({ error }) => error)
    throw this.#failure(first.error, detail, new AggregateError(errors, 'sources that were left'))
  }

  /** The rename is complete whether or not its journal can be deleted. */
  async #forget(): Promise<void> {
    try {
      await this.#journal.remove()
    } catch (error) {
      if (!isFileSystemError(error)) throw error
      const fault: FaultEvent = { operation: 'rename', path: formatPath(this.#move.to), error }
      faultChannel.publish(fault)
    }
  }

  /** Lets the next one go on at once; a journal that cannot be reached is let go by its age. */
  async #release(): Promise<void> {
    try {
      await this.#journal.release()
    } catch (error) {
      if (!isFileSystemError(error)) throw error
      const fault: FaultEvent = { operation: 'rename', path: formatPath(this.#move.from), error }
      faultChannel.publish(fault)
    }
  }

  async #each<T>(
    rows: readonly T[],
    limit: number,
    task: (row: T) => Promise<void>,
  ): Promise<void> {
    await forEachConcurrent(rows, limit, async (row) => {
      this.#options.signal?.throwIfAborted()
      await this.#journal.beat()
      await task(row)
    })
  }

  #report(phase: RenameProgress['phase'], row: CopiedBlob): void {
    const { files, bytes } = this.#progress
    this.#progress = { phase, files: files + 1, bytes: bytes + row.sizeBytes }
    const { files: totalFiles, bytes: totalBytes } = this.#journal.state
    const path = at(this.#move.from, row)
    const { sizeBytes } = row
    this.#options.onProgress?.({ ...this.#progress, path, sizeBytes, totalFiles, totalBytes })
  }

  #missing(row: CopiedBlob, changed: boolean): FileSystemError {
    const what = changed ? 'was written by somebody else meanwhile' : 'is not there'
    return new FileSystemError(changed ? 'ESTALE' : 'EIO', 'rename', {
      path: formatPath(at(this.#move.to, row)),
      detail: `a copy at the destination ${what}`,
    })
  }

  #stuck(error: unknown, failure: unknown): unknown {
    if (!isFileSystemError(error)) return error
    const why = failure instanceof Error ? failure.message : String(failure)
    const detail =
      `all sources are as they were, but copies remain at the destination: ${error.message}; ` +
      `they could not be taken back: ${why}; ${howToGoOn}`
    return this.#failure(error, detail, new AggregateError([error, failure], 'rename and its undo'))
  }

  #failure({ code, retryable }: FileSystemError, detail: string, cause: unknown): FileSystemError {
    const { from, to } = this.#move
    const dest = formatPath(to)
    return new FileSystemError(code, 'rename', {
      path: formatPath(from),
      dest,
      detail,
      retryable,
      cause,
    })
  }

  get #call(): CallOptions {
    return callOptions(this.#options)
  }

  *#pages(): Generator<number, void, undefined> {
    for (let page = 0; page < this.#journal.state.pages; page += 1) yield page
  }
}

interface Failure {
  readonly row: CopiedBlob
  readonly error: FileSystemError
}

const nothing: CopiedPage = { complete: true, rows: [] }

const howToGoOn = 'the same rename, or `abfs recover`, goes on with it'
