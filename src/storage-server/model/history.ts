import { randomUUID } from 'node:crypto'
import type { StorageAccount } from './account.ts'
import type { BlobRecord, DeletedRecord, PathState } from './record.ts'

/**
 * What takes the current record's place: `replace` (Put Blob, Put Block List, Copy) leaves a
 * version, or a soft-deleted snapshot where no versions are kept; `revise` (Set Blob Metadata)
 * leaves a version; `delete` leaves a version or a soft-deleted blob. Hierarchical accounts keep no versions.
 */
export type Retirement = 'replace' | 'revise' | 'delete'

/** The state without its current record, which is among the versions or soft-deleted where kept. */
export function retireCurrent(
  account: StorageAccount,
  state: PathState,
  retirement: Retirement,
): PathState {
  const { current, ...rest } = state
  if (current?.kind !== 'blob') return rest
  if (account.settings.versioning) return { ...rest, versions: withVersion(state, current) }
  if (retirement === 'revise') return rest
  // Soft delete protects what is deleted there, and not what is written over.
  if (retirement === 'replace' && account.settings.hierarchical) return rest
  const snapshot = retirement === 'replace' ? account.nextTimestamp() : undefined
  return { ...rest, deleted: keepDeleted(account, state.deleted, current, snapshot) }
}

/** The state after a snapshot was deleted, kept as soft-deleted when the account does so. */
export function deleteSnapshot(
  account: StorageAccount,
  state: PathState,
  snapshot: string,
): PathState {
  const record = state.snapshots?.get(snapshot)
  if (record === undefined) return state
  const snapshots = withoutKey(state.snapshots, snapshot)
  return { ...state, snapshots, deleted: keepDeleted(account, state.deleted, record, snapshot) }
}

/** The state after a former version was deleted, kept as soft-deleted when the account does so. */
export function deleteVersion(
  account: StorageAccount,
  state: PathState,
  versionId: string,
): PathState {
  const record = state.versions?.get(versionId)
  if (record === undefined) return state
  const versions = withoutKey(state.versions, versionId)
  return { ...state, versions, deleted: keepDeleted(account, state.deleted, record) }
}

/** Soft-deleted records whose days are not over, with the days that remain. */
export function retainedRecords(account: StorageAccount, state: PathState): DeletedRecord[] {
  const nowMs = account.nowMs()
  return (state.deleted ?? []).flatMap((deleted) => {
    const days = deleted.remainingDays - (nowMs - deleted.deletedMs) / dayMs
    return days > 0 ? [{ ...deleted, remainingDays: Math.floor(days) }] : []
  })
}

/**
 * The state after Undelete Blob: soft-deleted versions and snapshots are back, and the blob itself
 * when it was deleted last and nothing has taken its place.
 */
export function undeleteRecords(account: StorageAccount, state: PathState): PathState {
  const snapshots = new Map(state.snapshots)
  const versions = new Map(state.versions)
  let { current } = state
  for (const { record, snapshot } of retainedRecords(account, state)) {
    if (record.kind === 'directory') continue
    if (snapshot !== undefined) snapshots.set(snapshot, record)
    else if (record.versionId !== undefined) versions.set(record.versionId, record)
    else if (state.current === undefined) current = record
  }
  return { ...state, current, snapshots, versions: sortedByKey(versions), deleted: undefined }
}

const dayMs = 24 * 60 * 60 * 1000

function withVersion(state: PathState, current: BlobRecord): ReadonlyMap<string, BlobRecord> {
  // A record from before versions were kept gets the time it was written as its id.
  const written = new Date(current.lastModifiedMs).toISOString()
  const versionId = current.versionId ?? `${written.slice(0, -1)}0000Z`
  return new Map(state.versions).set(versionId, { ...current, versionId })
}

function keepDeleted(
  account: StorageAccount,
  deleted: readonly DeletedRecord[] | undefined,
  record: BlobRecord,
  snapshot?: string,
): readonly DeletedRecord[] | undefined {
  const { softDeleteDays } = account.settings
  if (softDeleteDays === undefined) return deleted
  const kept = {
    record,
    deletedMs: account.nowMs(),
    remainingDays: softDeleteDays,
    deletionId: randomUUID(),
    snapshot,
  }
  return [...(deleted ?? []), kept]
}

function withoutKey<V>(
  map: ReadonlyMap<string, V> | undefined,
  key: string,
): ReadonlyMap<string, V> {
  const rest = new Map(map)
  rest.delete(key)
  return rest
}

function sortedByKey<V>(map: ReadonlyMap<string, V>): ReadonlyMap<string, V> {
  return new Map([...map].sort(([one], [other]) => (one < other ? -1 : 1)))
}
