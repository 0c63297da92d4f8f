import type { MemoryAccount } from './memory-account.ts'
import type { MemoryBlob } from './memory-container.ts'
import { idOfMs } from './past-names.ts'
import type { FormerId, Metadata, StateListOptions, StateMark } from './store.ts'

/** What takes the place of a blob: other content, the same with other metadata, or nothing. */
export type Retirement = 'replace' | 'revise' | 'delete'

/** One row of a listing of states. */
export interface StatedBlob {
  readonly blob: MemoryBlob
  readonly state: StateMark
}

interface DeletedBlob {
  readonly blob: MemoryBlob
  readonly deletedMs: number
  readonly snapshot: string | undefined
}

interface FormerStates {
  /** By id, the oldest first. */
  readonly versions: Map<string, MemoryBlob>
  readonly snapshots: Map<string, MemoryBlob>
  deleted: readonly DeletedBlob[]
}

const dayMs = 24 * 60 * 60 * 1000

/** What the names of one container held before, as far as the account keeps it. */
export class MemoryPast {
  readonly #account: MemoryAccount
  readonly #states = new Map<string, FormerStates>()

  constructor(account: MemoryAccount) {
    this.#account = account
  }

  /** Whether anything of the name may still be asked for. */
  has(name: string): boolean {
    return this.#states.has(name)
  }

  find(name: string, { versionId, snapshot }: FormerId): MemoryBlob | undefined {
    const states = this.#states.get(name)
    return versionId === undefined
      ? states?.snapshots.get(snapshot)
      : states?.versions.get(versionId)
  }

  /** Keeps what was current until now: as a version, or as a deleted state that can be brought back. */
  keep(name: string, blob: MemoryBlob, retirement: Retirement): void {
    if (this.#account.kept.versioning === true) {
      // What was written before versions were kept is called by the time it was written.
      const versionId = blob.properties.versionId ?? idOfMs(blob.properties.lastModifiedMs)
      const properties = { ...blob.properties, versionId }
      this.#of(name).versions.set(versionId, { ...blob, properties })
    } else if (
      retirement === 'delete' ||
      (retirement === 'replace' && !this.#account.hierarchical)
    ) {
      const snapshot = retirement === 'replace' ? this.#account.nextStateId() : undefined
      this.#keepDeleted(name, blob, snapshot)
    }
  }

  /** Returns the id of the snapshot. */
  takeSnapshot(name: string, blob: MemoryBlob, metadata: Metadata | undefined): string {
    const id = this.#account.nextStateId()
    this.#of(name).snapshots.set(id, { ...blob, metadata: metadata ?? blob.metadata })
    return id
  }

  /** Deletes one state; false when there is none. */
  remove(name: string, { versionId, snapshot }: FormerId): boolean {
    const { versions, snapshots } = this.#of(name)
    const from = versionId === undefined ? snapshots : versions
    const blob = from.get(versionId ?? snapshot)
    if (blob === undefined) return false
    from.delete(versionId ?? snapshot)
    this.#keepDeleted(name, blob, snapshot)
    return true
  }

  removeSnapshots(name: string): void {
    const snapshots = [...(this.#states.get(name)?.snapshots.keys() ?? [])]
    for (const snapshot of snapshots) this.remove(name, { snapshot })
  }

  /** Brings deleted states back, and returns what is to be current again if nothing is. */
  undelete(name: string): MemoryBlob | undefined {
    const { versions, snapshots, deleted } = this.#of(name)
    let current: MemoryBlob | undefined
    for (const { blob, snapshot, deletedMs } of deleted) {
      if (this.#msLeft(deletedMs) <= 0) continue
      const { versionId } = blob.properties
      if (snapshot !== undefined) snapshots.set(snapshot, blob)
      else if (versionId !== undefined) versions.set(versionId, blob)
      else current = blob
    }
    this.#of(name).deleted = []
    return current
  }

  /** What a listing tells of `name`: its states, the oldest first, and those that were deleted last. */
  rows(name: string, current: MemoryBlob | undefined, options: StateListOptions): StatedBlob[] {
    const { versions, snapshots, deleted = [] } = this.#states.get(name) ?? {}
    const rows: StatedBlob[] = []
    if (options.snapshots === true) rows.push(...statedAs('snapshot', snapshots))
    if (options.versions === true) rows.push(...statedAs('versionId', versions))
    if (current !== undefined) {
      const versionId = options.versions === true ? current.properties.versionId : undefined
      rows.push({ blob: current, state: { ...noState, versionId, isCurrent: true } })
    }
    if (options.deleted === true) rows.push(...deleted.flatMap((each) => this.#deletedRow(each)))
    return rows
  }

  #deletedRow({ blob, deletedMs, snapshot }: DeletedBlob): StatedBlob[] {
    const leftMs = this.#msLeft(deletedMs)
    const { versionId } = blob.properties
    const daysLeft = Math.floor(leftMs / dayMs)
    const state = { isCurrent: false, isDeleted: true, versionId, snapshot, deletedMs, daysLeft }
    return leftMs > 0 ? [{ blob, state }] : []
  }

  #keepDeleted(name: string, blob: MemoryBlob, snapshot: string | undefined): void {
    if (this.#account.kept.softDeleteDays === undefined) return
    const states = this.#of(name)
    states.deleted = [...states.deleted, { blob, snapshot, deletedMs: this.#account.nowMs() }]
  }

  #msLeft(deletedMs: number): number {
    const keptMs = (this.#account.kept.softDeleteDays ?? 0) * dayMs
    return deletedMs + keptMs - this.#account.nowMs()
  }

  #of(name: string): FormerStates {
    const known = this.#states.get(name)
    if (known !== undefined) return known
    const none: FormerStates = { versions: new Map(), snapshots: new Map(), deleted: [] }
    this.#states.set(name, none)
    return none
  }
}

const noState: StateMark = {
  versionId: undefined,
  snapshot: undefined,
  isCurrent: false,
  isDeleted: false,
  deletedMs: undefined,
  daysLeft: undefined,
}

function statedAs(
  id: 'versionId' | 'snapshot',
  blobs: ReadonlyMap<string, MemoryBlob> = new Map(),
): StatedBlob[] {
  return [...blobs].map(([value, blob]) => ({ blob, state: { ...noState, [id]: value } }))
}
