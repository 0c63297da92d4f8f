import type { StorageAccount } from '../model/account.ts'
import { emptyContent } from '../model/extent.ts'
import { retainedRecords } from '../model/history.ts'
import { recordAsOf } from '../model/pending.ts'
import type { BlobRecord, PathRecord, PathState } from '../model/record.ts'
import type { ListRow } from './list-entry.ts'
import { inferredTier } from './tier-header.ts'

/** Which rows a name gives. */
export interface RowChoice {
  readonly account: StorageAccount
  readonly includes: ReadonlySet<string>
  readonly showOnly?: 'deleted' | 'files' | 'directories' | undefined
}

/**
 * The rows of one name: snapshots and former versions, oldest first, the current record, deleted
 * ones, and a name of staged blocks alone.
 */
export function rowsOf(state: PathState, choice: RowChoice): readonly ListRow[] {
  const { includes, showOnly, account } = choice
  if (showOnly === 'deleted') return deletedRows(state, account)
  const current = currentRecord(state, account)
  if (state.snapshots === undefined && state.versions === undefined && !state.deleted?.length) {
    if (current !== undefined) return isWanted(current, choice) ? [currentRow(state, current)] : []
  }
  const rows: ListRow[] = []
  if (includes.has('snapshots')) rows.push(...formerRows(state, account, 'snapshots'))
  if (includes.has('versions')) rows.push(...formerRows(state, account, 'versions'))
  if (current !== undefined && isWanted(current, choice)) rows.push(currentRow(state, current))
  if (includes.has('deleted')) rows.push(...deletedRows(state, account))
  if (includes.has('deletedwithversions')) rows.push(...versionsOnlyRows(state, current, rows))
  if (includes.has('uncommittedblobs') && current === undefined && (state.staged?.size ?? 0) > 0) {
    rows.push({ record: uncommitted(account), state, isCurrent: true })
  }
  return rows
}

function isWanted(record: PathRecord, { showOnly }: RowChoice): boolean {
  return showOnly === undefined || (showOnly === 'directories') === (record.kind === 'directory')
}

function currentRecord({ current }: PathState, account: StorageAccount): PathRecord | undefined {
  if (current?.kind !== 'blob') return current
  if (current.expiresMs !== undefined && current.expiresMs <= account.nowMs()) return undefined
  return recordAsOf(account, current)
}

function currentRow(state: PathState, record: PathRecord): ListRow {
  const versionId = record.kind === 'blob' ? record.versionId : undefined
  return { record, state, versionId, isCurrent: true }
}

function formerRows(
  state: PathState,
  account: StorageAccount,
  kind: 'snapshots' | 'versions',
): ListRow[] {
  const rows: ListRow[] = []
  for (const [id, record] of state[kind] ?? []) {
    const named = kind === 'snapshots' ? { snapshot: id } : { versionId: id }
    rows.push({ record: recordAsOf(account, record), state, ...named, isCurrent: false })
  }
  return rows
}

function deletedRows(state: PathState, account: StorageAccount): ListRow[] {
  if (state.deleted === undefined) return []
  const shown = retainedRecords(account, state).filter(({ withParent }) => withParent !== true)
  return shown.map((deleted) => ({
    record: deleted.record,
    state,
    snapshot: deleted.snapshot,
    versionId: deleted.record.kind === 'blob' ? deleted.record.versionId : undefined,
    isCurrent: false,
    deleted,
    deletionId: deleted.deletionId,
  }))
}

/** The latest version stands for a name that has no current one. */
function versionsOnlyRows(
  state: PathState,
  current: PathRecord | undefined,
  rows: readonly ListRow[],
): ListRow[] {
  const latest = [...(state.versions ?? [])].at(-1)
  if (current !== undefined || latest === undefined || rows.length > 0) return []
  const [versionId, record] = latest
  return [{ record, state, versionId, isCurrent: false, hasVersionsOnly: true }]
}

function uncommitted(account: StorageAccount): BlobRecord {
  const nowMs = account.nowMs()
  return {
    kind: 'blob',
    blobType: 'BlockBlob',
    etag: '',
    createdMs: nowMs,
    lastModifiedMs: nowMs,
    content: emptyContent,
    headers: {},
    metadata: {},
    tags: {},
    tier: inferredTier,
    writtenBy: 'blob',
  }
}
