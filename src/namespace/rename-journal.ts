/**
 * What a rename of a tree has set out to do and how far it is, kept in the container of the source,
 * so that whoever comes next can finish it:
 *
 *   .abfs/renames/ID/state        what is renamed, the phase, whose work it is
 *   .abfs/renames/ID/plan-N       the sources, with the etags that were found
 *   .abfs/renames/ID/copied-N     of the same page: the copies, with the etags that they got
 *
 * The plan is written before the state; without a state nothing has begun. The phase only goes
 * forward, by a conditional write: copies are made while `copying`, sources are deleted while
 * `deleting`, copies are taken back while `undoing`, and nobody can be in the last two at once.
 */
import { randomUUID } from 'node:crypto'
import type { BlobStore } from '../blob/store.ts'
import type { Clock } from '../clock.ts'
import { forEachConcurrent } from '../concurrency.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { type FaultEvent, faultChannel } from '../telemetry.ts'
import { unlessMissing } from './lookup.ts'
import {
  type CopiedPage,
  type PlannedBlob,
  parseCopiedPage,
  parsePlan,
  parseState,
  type RenamePhase,
  type RenameState,
} from './rename-records.ts'

/** Where the journals of a container's renames lie. */
export const renamesPrefix = '.abfs/renames/'
/** Blobs per page: what one page needs stays small, and so does what a crash leaves unsure. */
const pageRows = 500
/** So many pages stay in memory; a larger plan is read back page by page. */
const maxKeptPages = 4
/** Pages that are deleted at once. */
const maxDiscards = 8
/** How often a rename says that it is alive; milliseconds. */
const beatMs = 10_000

/** What a journal stands on. */
export interface JournalParts {
  readonly store: BlobStore
  readonly clock: Clock
}

/** One rename's journal, held by the one who works on it. */
export class RenameJournal {
  readonly #store: BlobStore
  readonly #clock: Clock
  /** Whether it is in Azure; the rename of a single blob needs no plan. */
  readonly #stored: boolean
  #removed = false
  readonly #kept = new Map<string, PlannedBlob[] | CopiedPage>()
  #state: RenameState
  #etag = ''
  #beatMs = 0
  /** Of the last write that was tried: no two that differ have the same. */
  #revision: number
  /** Writes of the state follow one another. */
  #writing: Promise<void> = Promise.resolve()

  private constructor(parts: JournalParts, state: RenameState, stored: boolean) {
    this.#store = parts.store
    this.#clock = parts.clock
    this.#state = state
    this.#revision = state.revision
    this.#stored = stored
  }

  /** Writes the plan of moving `sources` from `move.from` to `move.to`, page by page. */
  static async plan(
    parts: JournalParts,
    move: { readonly from: BlobPath; readonly to: BlobPath },
    sources: AsyncIterable<readonly PlannedBlob[]>,
  ): Promise<RenameJournal> {
    const startedMs = parts.clock.nowMs()
    const id = `${startedMs.toString(36).padStart(9, '0')}-${randomUUID()}`
    // What the callers know besides the names does not belong into the record.
    const { from, to } = move
    const base = { from, to, id, startedMs, owner: randomUUID(), revision: 1, released: false }
    const empty: RenameState = { ...base, phase: 'copying', pages: 0, files: 0, bytes: 0 }
    const draft = new RenameJournal(parts, empty, true)
    try {
      const last = await draft.#writePlan(sources)
      if (draft.#state.pages === 0) return RenameJournal.#unstored(parts, draft.#state, last)
      if (last.length > 0) await draft.#addPage(last)
      await draft.#create()
      return draft
    } catch (error) {
      await draft.#giveUpPlan()
      throw error
    }
  }

  /** The journal `id` as it is stored; `undefined` when it has no state. */
  static async open(
    parts: JournalParts,
    container: string,
    id: string,
  ): Promise<RenameJournal | undefined> {
    const path = { container, name: `${renamesPrefix}${id}/state` }
    const found = await unlessMissing(parts.store.get(path))
    if (found === undefined) return undefined
    const journal = new RenameJournal(parts, parseState(found.data, path, id), true)
    journal.#etag = found.properties.etag
    journal.#beatMs = found.properties.lastModifiedMs
    return journal
  }

  get state(): RenameState {
    return this.#state
  }

  /** Whether it was deleted, because all is done. */
  get isRemoved(): boolean {
    return this.#removed
  }

  /** When its state was last written, by the service's clock; milliseconds since the epoch. */
  get writtenMs(): number {
    return this.#beatMs
  }

  /** Makes this the one who works on it. `EBUSY` when somebody else was quicker. */
  claim(): Promise<void> {
    return this.#write({ owner: randomUUID(), released: false })
  }

  /** Goes to another phase. `EBUSY` when somebody else has taken the rename over. */
  advance(phase: RenamePhase): Promise<void> {
    return this.#write({ phase })
  }

  /** Says that this rename is alive, now and then. `EBUSY` when somebody else has taken it over. */
  async beat(): Promise<void> {
    if (!this.#stored || this.#clock.nowMs() - this.#beatMs < beatMs) return
    this.#beatMs = this.#clock.nowMs()
    await this.#write({})
  }

  /** Leaves it to whoever comes next, at once. */
  release(): Promise<void> {
    return this.#write({ released: true })
  }

  /** The sources of one page. */
  async planned(page: number): Promise<PlannedBlob[]> {
    const name = `plan-${page}`
    const kept = this.#kept.get(name)
    if (Array.isArray(kept)) return kept
    const path = this.#path(name)
    return parsePlan((await this.#store.get(path)).data, path)
  }

  /** What is known of one page's copies; `undefined` when nothing was noted. */
  async copied(page: number): Promise<CopiedPage | undefined> {
    const name = `copied-${page}`
    const kept = this.#kept.get(name)
    if (kept !== undefined && !Array.isArray(kept)) return kept
    if (!this.#stored) return undefined
    const path = this.#path(name)
    const found = await unlessMissing(this.#store.get(path))
    return found === undefined ? undefined : parseCopiedPage(found.data, path)
  }

  /** Notes the copies of one page. `EBUSY` when somebody else has taken the rename over. */
  async noteCopied(page: number, copied: CopiedPage): Promise<void> {
    const name = `copied-${page}`
    // Kept until it is stored, so that copies are never unknown to this process.
    this.#kept.set(name, copied)
    await this.beat()
    if (this.#stored) await this.#put(name, copied)
    if (page >= maxKeptPages && this.#stored) this.#kept.delete(name)
  }

  /** Deletes it, the state last: until then its end can be repeated. */
  async remove(): Promise<void> {
    if (this.#stored) {
      await this.#writing
      await this.#discardPlan()
      await unlessMissing(this.#store.delete(this.#path('state')))
    }
    this.#removed = true
  }

  static #unstored(parts: JournalParts, state: RenameState, rows: PlannedBlob[]): RenameJournal {
    const bytes = rows.reduce((total, row) => total + row.sizeBytes, 0)
    const counted = { ...state, pages: 1, files: rows.length, bytes }
    const journal = new RenameJournal(parts, counted, false)
    journal.#kept.set('plan-0', rows)
    return journal
  }

  /** Writes all full pages, and the last one unless it is the only one and holds one blob at most. */
  async #writePlan(sources: AsyncIterable<readonly PlannedBlob[]>): Promise<PlannedBlob[]> {
    let rows: PlannedBlob[] = []
    for await (const more of sources) {
      rows.push(...more)
      for (; rows.length >= pageRows; rows = rows.slice(pageRows)) {
        await this.#addPage(rows.slice(0, pageRows))
      }
    }
    if (this.#state.pages === 0 && rows.length <= 1) return rows
    if (rows.length > 0) await this.#addPage(rows)
    return []
  }

  async #addPage(rows: PlannedBlob[]): Promise<void> {
    const { pages, files, bytes } = this.#state
    await this.#put(`plan-${pages}`, rows)
    if (pages < maxKeptPages) this.#kept.set(`plan-${pages}`, rows)
    const more = rows.reduce((total, row) => total + row.sizeBytes, 0)
    this.#state = {
      ...this.#state,
      pages: pages + 1,
      files: files + rows.length,
      bytes: bytes + more,
    }
  }

  async #create(): Promise<void> {
    const { etag } = await this.#put('state', this.#state)
    this.#etag = etag
    this.#beatMs = this.#clock.nowMs()
  }

  /** What remains of it is discarded by the next recovery. */
  async #giveUpPlan(): Promise<void> {
    try {
      await this.#discardPlan()
    } catch (error) {
      if (!isFileSystemError(error)) throw error
      const fault: FaultEvent = { operation: 'rename', path: formatPath(this.#path('')), error }
      faultChannel.publish(fault)
    }
  }

  async #discardPlan(): Promise<void> {
    const pages = Array.from({ length: this.#state.pages }, (_, page) => page)
    const names = pages.flatMap((page) => [`plan-${page}`, `copied-${page}`])
    await forEachConcurrent(names, maxDiscards, (name) =>
      unlessMissing(this.#store.delete(this.#path(name))).then(() => undefined),
    )
  }

  #write(change: Partial<RenameState>): Promise<void> {
    const write = this.#writing.then(() => this.#writeState(change))
    // A failed write is its caller's to report, and must not hold up the next one.
    this.#writing = write.catch(() => undefined)
    return write
  }

  async #writeState(change: Partial<RenameState>): Promise<void> {
    this.#revision += 1
    const state = { ...this.#state, ...change, revision: this.#revision }
    if (this.#stored) {
      try {
        this.#etag = (await this.#put('state', state, this.#etag)).etag
      } catch (error) {
        if (!isFileSystemError(error, 'ESTALE', 'ENOENT')) throw error
        this.#etag = await this.#etagOf(state, error)
      }
      this.#beatMs = this.#clock.nowMs()
    }
    this.#state = state
  }

  /** A write whose answer was lost, and which was sent again, fails because it went through. */
  async #etagOf(state: RenameState, cause: unknown): Promise<string> {
    const path = this.#path('state')
    const found = await unlessMissing(this.#store.get(path))
    if (found !== undefined) {
      const { owner, revision } = parseState(found.data, path, state.id)
      if (owner === state.owner && revision === state.revision) return found.properties.etag
    }
    // Whoever finished it did not know of what was noted here since.
    else await this.#discardPlan()
    throw new FileSystemError('EBUSY', 'rename', {
      path: formatPath(state.from),
      dest: formatPath(state.to),
      detail: 'another client has taken this rename over and goes on with it',
      cause,
    })
  }

  #put(name: string, value: unknown, ifMatch?: string) {
    const data = Buffer.from(JSON.stringify(value))
    const contentType = 'application/json'
    return this.#store.put(this.#path(name), data, { contentType, ifMatch })
  }

  #path(name: string): BlobPath {
    const { from, id } = this.#state
    return { container: from.container, name: `${renamesPrefix}${id}/${name}` }
  }
}
