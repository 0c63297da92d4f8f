import type { Need, Right } from '../access/access.ts'
import { cleanName } from '../dfs/target.ts'
import { type Place, stateOf } from '../model/changes.ts'
import { assertLease, type LeaseUse } from '../model/lease.ts'
import { hasPendingCopy, recordAsOf } from '../model/pending.ts'
import type { BlobRecord, PathRecord, PathState } from '../model/record.ts'
import {
  matchesTags,
  parseTagCondition,
  type TagExpression,
  TagExpressionError,
} from '../model/tag-expression.ts'
import type { VerbContext } from '../verb.ts'
import { type ConditionSubject, checkRead, checkWrite, readConditions } from '../wire/conditions.ts'
import { httpDate } from '../wire/http-date.ts'
import { invalidHeader, invalidQuery, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { StorageError } from '../wire/storage-error.ts'

/** The path that a verb is about, as it shows now. */
export interface Target {
  readonly place: Place
  readonly name: string
  readonly state: PathState
  readonly record: PathRecord | undefined
}

/** A target that is a blob. */
export interface BlobTarget extends Target {
  readonly record: BlobRecord
}

/** One record of a blob, and which of them. */
export interface ReadTarget extends BlobTarget {
  readonly snapshot?: string | undefined
  readonly versionId?: string | undefined
  /** False for snapshots and former versions. */
  readonly isCurrent: boolean
}

/** What a verb on the path of the request needs. */
export function needOnPath(request: StorageRequest, right: Right, ...or: Right[]): readonly Need[] {
  const { container, path } = request
  return [{ right, or, resource: 'path', container, path }]
}

/** The path of the request without any check but that the container exists. */
export function targetOf(context: VerbContext): Target {
  const { account, request } = context
  const container = context.container()
  const path = request.path ?? ''
  const name = account.settings.hierarchical ? cleanName(path) : path
  const state = stateOf(container, name)
  return { place: { account, container }, name, state, record: currentOf(context, state) }
}

/**
 * The path of a write that may make it: conditions, lease and a pending copy are checked. Refuses
 * requests that name a snapshot or version.
 */
export function writeTarget(context: VerbContext, use: LeaseUse['use'] = 'write'): Target {
  const target = targetOf(context)
  const { request, account } = context
  refuseFormer(request)
  checkWrite(readConditions(request), target.record && subjectOf(target.record))
  assertLease(target.state, request, { use, nowMs: account.nowMs() })
  const { record } = target
  if (record?.kind === 'blob' && hasPendingCopy(account, record)) throw pendingCopy()
  return target
}

/** The blob of a write that changes what is there: 404 `BlobNotFound`, 409 `InvalidBlobType`. */
export function existingTarget(
  context: VerbContext,
  type?: BlobRecord['blobType'],
  use: LeaseUse['use'] = 'write',
): BlobTarget {
  if (targetOf(context).record === undefined) throw refusal('BlobNotFound')
  const target = writeTarget(context, use)
  const { record } = target
  if (record?.kind !== 'blob') throw refusal('ResourceTypeMismatch')
  if (type !== undefined && record.blobType !== type) throw refusal('InvalidBlobType')
  return { ...target, record }
}

/**
 * The record that a read names: the current one, `?snapshot` or `?versionid`. Checks conditions and
 * the lease; 404 `BlobNotFound`.
 */
export function readTarget(context: VerbContext): ReadTarget {
  const { request, account } = context
  const found = namedRecord(context)
  checkRead(readConditions(request), subjectOf(found.record))
  if (found.isCurrent) assertLease(found.state, request, { use: 'read', nowMs: account.nowMs() })
  return found
}

/** The record that a request names, unchecked: 404 `BlobNotFound`. */
export function namedRecord(context: VerbContext): ReadTarget {
  const target = targetOf(context)
  const snapshot = context.request.query.get('snapshot')
  const versionId = context.request.query.get('versionid')
  if (snapshot !== undefined && versionId !== undefined) {
    throw invalidQuery('versionid', versionId, 'snapshot and versionid exclude each other.')
  }
  assertTime('snapshot', snapshot)
  assertTime('versionid', versionId)
  const { place, name, state } = target
  const named = (record: BlobRecord | undefined, isCurrent: boolean): ReadTarget => {
    return { place, name, state, record: seen(context, record), snapshot, versionId, isCurrent }
  }
  if (snapshot !== undefined) return named(state.snapshots?.get(snapshot), false)
  const current = target.record?.kind === 'blob' ? target.record : undefined
  if (versionId !== undefined && current?.versionId !== versionId) {
    return named(state.versions?.get(versionId), false)
  }
  return named(current, true)
}

function assertTime(name: string, value: string | undefined): void {
  if (value !== undefined && Number.isNaN(Date.parse(value))) throw invalidQuery(name, value)
}

/** What conditions on a record are checked against, tags included. */
export function subjectOf(record: PathRecord): ConditionSubject {
  const tags = record.kind === 'blob' ? record.tags : {}
  return {
    etag: record.etag,
    lastModifiedMs: record.lastModifiedMs,
    matchesTags: (expression) => matchesTags(readTagCondition(expression), tags),
  }
}

/** Headers of the answer to a write. */
export function writtenHeaders(record: PathRecord): Record<string, string | undefined> {
  const { etag, lastModifiedMs } = record
  const blob = record.kind === 'blob' ? record : undefined
  return {
    etag,
    'last-modified': httpDate(lastModifiedMs),
    'x-ms-version-id': blob?.versionId,
    'x-ms-request-server-encrypted': 'true',
    'x-ms-encryption-scope': blob?.encryption?.scope,
    'x-ms-encryption-key-sha256': blob?.encryption?.keySha256,
  }
}

/** The etag and time that a change gives a record. */
export function stamp(place: Place): { readonly etag: string; readonly lastModifiedMs: number } {
  return { etag: place.account.nextEtag(), lastModifiedMs: place.account.nowMs() }
}

function currentOf({ account }: VerbContext, { current }: PathState): PathRecord | undefined {
  if (current?.kind !== 'blob') return current
  const expired = current.expiresMs !== undefined && current.expiresMs <= account.nowMs()
  return expired ? undefined : recordAsOf(account, current)
}

function seen({ account }: VerbContext, record: BlobRecord | undefined): BlobRecord {
  if (record === undefined) throw refusal('BlobNotFound')
  return recordAsOf(account, record)
}

function readTagCondition(text: string): TagExpression {
  try {
    return parseTagCondition(text)
  } catch (error) {
    if (error instanceof TagExpressionError) throw invalidHeader('x-ms-if-tags', text)
    throw error
  }
}

function refuseFormer({ query }: StorageRequest): void {
  const former = query.get('snapshot') ?? query.get('versionid')
  if (former !== undefined) throw refusal('InvalidQueryParameterValue')
}

function pendingCopy(): StorageError {
  return new StorageError(
    409,
    'PendingCopyOperation',
    'There is currently a pending copy operation.',
  )
}
