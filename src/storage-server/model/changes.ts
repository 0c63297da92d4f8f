import type { StorageAccount } from './account.ts'
import type { Container } from './container.ts'
import { retireCurrent } from './history.ts'
import { leaseAfterWrite } from './lease.ts'
import type { BlobRecord, PathRecord, PathState } from './record.ts'

// Every verb that replaces, changes or deletes the current record of a name does it here, so that
// versions, soft deletion and staged data follow one rule.

/** Where a change happens. */
export interface Place {
  readonly account: StorageAccount
  readonly container: Container
}

/** The name's state, empty when nothing is known of it. */
export function stateOf(container: Container, name: string): PathState {
  return container.paths.get(name) ?? { name }
}

/**
 * Makes `record` the current one and retires the one before as the account keeps them. Staged
 * blocks and appended data of the name are dropped; a lease that holds stays.
 */
export function replaceCurrent(place: Place, name: string, record: PathRecord): PathRecord {
  const { account, container } = place
  const before = stateOf(container, name)
  const current = withVersion(place, record)
  const lease = leaseAfterWrite(before.lease, account.nowMs())
  if (hasNoPast(account, before)) {
    container.paths.put({ name, current, lease })
    return current
  }
  const { staged: _, appended: __, ...state } = before
  container.paths.put({ ...retireCurrent(account, state, 'replace'), current, lease })
  return current
}

/**
 * Makes `record`, of the same content with other metadata, the current one: the one before becomes
 * a version where versions are kept; staged and appended data stay.
 */
export function reviseCurrent(place: Place, name: string, record: PathRecord): PathRecord {
  const { account, container } = place
  const state = stateOf(container, name)
  const current = withVersion(place, record)
  const lease = leaseAfterWrite(state.lease, account.nowMs())
  container.paths.put({ ...retireCurrent(account, state, 'revise'), current, lease })
  return current
}

/**
 * Changes the current record without replacing its content: staged and appended data stay, no
 * version is kept.
 */
export function amendCurrent(place: Place, name: string, record: PathRecord): PathRecord {
  const { account, container } = place
  const state = stateOf(container, name)
  const lease = leaseAfterWrite(state.lease, account.nowMs())
  container.paths.put({ ...state, current: record, lease })
  return record
}

/** Takes the current record away as the account keeps deleted ones. Its staged data goes too. */
export function deleteCurrent(place: Place, name: string): void {
  const { account, container } = place
  const before = stateOf(container, name)
  if (hasNoPast(account, before)) {
    container.paths.remove(name)
    return
  }
  const { staged: _, appended: __, lease: ___, ...state } = before
  keep(container, retireCurrent(account, state, 'delete'))
}

/** Whether nothing is kept of a name but its current record, which is not kept either once it is retired. */
function hasNoPast({ settings }: StorageAccount, state: PathState): boolean {
  const keepsNone = !settings.versioning && settings.softDeleteDays === undefined
  const { current, snapshots, versions, deleted } = state
  const leavesNone = keepsNone || current === undefined
  return leavesNone && snapshots === undefined && versions === undefined && deleted === undefined
}

/** Stores the state of a name, or forgets the name when nothing is left of it. */
export function keep(container: Container, state: PathState): void {
  const { name, ...rest } = state
  const left = Object.values(rest).some((part) => part !== undefined && sizeOf(part) > 0)
  if (left) container.paths.put(state)
  else container.paths.remove(name)
}

function withVersion({ account }: Place, record: PathRecord): PathRecord {
  if (!account.settings.versioning || record.kind !== 'blob') return record
  const versioned: BlobRecord = { ...record, versionId: account.nextTimestamp() }
  return versioned
}

function sizeOf(part: unknown): number {
  if (Array.isArray(part)) return part.length
  return part instanceof Map ? part.size : 1
}
