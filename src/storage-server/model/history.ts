import { randomUUID } from 'node:crypto'
import type { StorageAccount } from './account.ts'
import type { Container } from './container.ts'
import { leaseAfterWrite } from './lease.ts'
import type { BlobRecord, DeletedRecord, PathRecord, PathState } from './record.ts'

/**
 * What a write does to the record before it: `replace` (Put Blob, Put Block List, Copy) leaves a
 * version, or a soft-deleted snapshot where no versions are kept, and drops staged data; `revise`
 * (Set Blob Metadata) leaves a version; `touch` (all else) leaves nothing.
 */
export type WriteKind = 'replace' | 'revise' | 'touch'

/**
 * The state after a write: the record as current with a version id where versions are kept, the
 * former one where the account keeps it, a lease that has lapsed forgotten.
 */
export function writeRecord(
  account: StorageAccount,
  state: PathState,
  record: PathRecord,
  kind: WriteKind,
): PathState {
  const after = { ...state, lease: leaseAfterWrite(state.lease, account.nowMs()) }
  if (kind === 'replace') Object.assign(after, { staged: undefined, appended: undefined })
  if (kind === 'touch' || record.kind === 'directory') return { ...after, current: record }
  if (account.settings.versioning) {
    const versions = versionsWithCurrent(after)
    const versionId = nextTimestamp(account, versions)
    return { ...after, versions, current: { ...record, versionId } }
  }
  const deleted =
    kind === 'replace' ? deletedWithCurrent(account, after, 'snapshot') : state.deleted
  return { ...after, deleted, current: { ...record, versionId: undefined } }
}

/**
 * The state after the current record was deleted: it becomes a version, or a soft-deleted record,
 * or nothing, as the account keeps it. Staged data and the lease go.
 */
export function deleteRecord(account: StorageAccount, state: PathState): PathState {
  const after = { ...state, current: undefined, staged: undefined, appended: undefined }
  const unleased = { ...after, lease: undefined }
  if (state.current?.kind === 'directory') return unleased
  if (account.settings.versioning) return { ...unleased, versions: versionsWithCurrent(state) }
  return { ...unleased, deleted: deletedWithCurrent(account, state, 'blob') }
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

/** Stores a state, or removes the name when nothing of it is left. */
export function storeState(container: Container, state: PathState): void {
  const held = state.current !== undefined || state.appended !== undefined
  const kept = [state.staged?.size, state.snapshots?.size, state.versions?.size]
  if (held || kept.some(Boolean) || (state.deleted?.length ?? 0) > 0) container.paths.put(state)
  else container.paths.remove(state.name)
}

/** A time as `snapshot` and `versionid` write it, with 100 ns steps, later than all of `taken`. */
export function nextTimestamp(
  account: StorageAccount,
  taken: ReadonlyMap<string, unknown> | undefined,
): string {
  const now = formatTicks(BigInt(Math.floor(account.nowMs())) * ticksPerMs)
  let last = ''
  for (const id of taken?.keys() ?? []) if (id > last) last = id
  return now > last ? now : formatTicks(parseTicks(last) + 1n)
}

const dayMs = 24 * 60 * 60 * 1000
const ticksPerMs = 10_000n

function formatTicks(ticks: bigint): string {
  const date = new Date(Number(ticks / ticksPerMs)).toISOString()
  return `${date.slice(0, -1)}${String(ticks % ticksPerMs).padStart(4, '0')}Z`
}

function parseTicks(text: string): bigint {
  return BigInt(Date.parse(`${text.slice(0, 23)}Z`)) * ticksPerMs + BigInt(text.slice(23, 27))
}

function versionsWithCurrent(state: PathState): ReadonlyMap<string, BlobRecord> {
  const { current } = state
  const versions = new Map(state.versions)
  if (current?.kind !== 'blob') return versions
  const written = BigInt(Math.floor(current.lastModifiedMs)) * ticksPerMs
  const versionId = current.versionId ?? formatTicks(written)
  return versions.set(versionId, { ...current, versionId })
}

function deletedWithCurrent(
  account: StorageAccount,
  state: PathState,
  as: 'snapshot' | 'blob',
): readonly DeletedRecord[] | undefined {
  const { current } = state
  if (current?.kind !== 'blob') return state.deleted
  if (as === 'blob') return keepDeleted(account, state.deleted, current)
  const taken = new Map([
    ...(state.snapshots ?? []),
    ...(state.deleted ?? []).map((one) => [one.snapshot ?? '', one.record] as const),
  ])
  return keepDeleted(account, state.deleted, current, nextTimestamp(account, taken))
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
