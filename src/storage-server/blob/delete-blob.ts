import type { Need } from '../access/access.ts'
import { hasChildren } from '../dfs/directories.ts'
import { deleteCurrent, keep } from '../model/changes.ts'
import { deleteSnapshot, deleteVersion } from '../model/history.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { checkWrite, readConditions } from '../wire/conditions.ts'
import { invalidHeader, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { namedRecord, needOnPath, subjectOf, type Target, targetOf, writeTarget } from './target.ts'

/** Delete Blob: the current one, its snapshots, one snapshot, one version. */
export const deleteBlobVerb: Verb = {
  name: 'DeleteBlob',
  matches: ({ method, path, query }) =>
    method === 'DELETE' && path !== undefined && !query.has('comp'),
  needs,
  run: deleteBlob,
}

function needs(request: StorageRequest): readonly Need[] {
  if (request.query.get('deletetype')?.toLowerCase() === 'permanent') {
    return needOnPath(request, 'permanentDelete')
  }
  return needOnPath(request, request.query.has('versionid') ? 'deleteVersion' : 'delete')
}

function deleteBlob(context: VerbContext): StorageAnswer {
  const { query } = context.request
  if (query.get('deletetype')?.toLowerCase() === 'permanent') purge(context)
  else if (query.has('snapshot') || query.has('versionid')) deleteFormer(context)
  else deleteWhole(context)
  const kept = context.account.settings.softDeleteDays !== undefined
  return { status: 202, headers: { 'x-ms-delete-type-permanent': kept ? 'false' : 'true' } }
}

function deleteWhole(context: VerbContext): void {
  const include = includedSnapshots(context.request)
  if (targetOf(context).record === undefined) throw refusal('BlobNotFound')
  const target = writeTarget(context)
  assertEmpty(target)
  const { place, name } = target
  const snapshots = [...(target.state.snapshots?.keys() ?? [])]
  if (snapshots.length > 0 && include === undefined) throw refusal('SnapshotsPresent')
  for (const snapshot of snapshots) {
    keep(place.container, deleteSnapshot(place.account, targetOf(context).state, snapshot))
  }
  if (include !== 'only') deleteCurrent(place, name)
}

function includedSnapshots({ headers }: StorageRequest): 'include' | 'only' | undefined {
  const text = headers['x-ms-delete-snapshots']?.toLowerCase()
  if (text === undefined || text === 'include' || text === 'only') return text
  throw invalidHeader('x-ms-delete-snapshots', text)
}

function assertEmpty({ record, place, name }: Target): void {
  if (record?.kind === 'directory' && hasChildren(place, name)) throw refusal('DirectoryIsNotEmpty')
}

/** One snapshot or one former version. */
function deleteFormer(context: VerbContext): void {
  const { request, account } = context
  if (request.headers['x-ms-delete-snapshots'] !== undefined) {
    throw invalidHeader('x-ms-delete-snapshots', request.headers['x-ms-delete-snapshots'])
  }
  const { snapshot, versionId, place, state, record, isCurrent } = namedRecord(context)
  checkWrite(readConditions(request), subjectOf(record))
  if (isCurrent) throw refusal('OperationNotAllowedOnRootBlob')
  if (snapshot !== undefined) keep(place.container, deleteSnapshot(account, state, snapshot))
  else keep(place.container, deleteVersion(account, state, versionId ?? ''))
}

/** Takes a soft-deleted snapshot or version away before its days are over. */
function purge(context: VerbContext): void {
  const { query } = context.request
  const { place, state } = targetOf(context)
  const snapshot = query.get('snapshot')
  const versionId = query.get('versionid')
  const left = (state.deleted ?? []).filter(
    (each) =>
      each.snapshot !== snapshot ||
      (each.record.kind === 'blob' ? each.record.versionId : undefined) !== versionId,
  )
  if (left.length === (state.deleted ?? []).length) throw refusal('BlobNotFound')
  keep(place.container, { ...state, deleted: left })
}
