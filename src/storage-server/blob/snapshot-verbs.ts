import { makeParents } from '../dfs/directories.ts'
import { callerName } from '../dfs/ownership.ts'
import { keep, stateOf } from '../model/changes.ts'
import { retainedRecords, undeleteRecords } from '../model/history.ts'
import type { BlobRecord } from '../model/record.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { readMetadata } from '../wire/metadata.ts'
import { refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { assertEncryption } from './encryption.ts'
import { existingTarget, needOnPath, stamp, targetOf, writtenHeaders } from './target.ts'

/** Snapshot Blob and Undelete Blob. */
export const snapshotVerbs: readonly Verb[] = [
  {
    name: 'SnapshotBlob',
    matches: (request) => isOn(request, 'snapshot'),
    needs: (request) => needOnPath(request, 'create', 'write'),
    run: takeSnapshot,
  },
  {
    name: 'UndeleteBlob',
    matches: (request) => isOn(request, 'undelete'),
    needs: (request) => needOnPath(request, 'write'),
    run: undelete,
  },
]

/**
 * Metadata of its own gives the snapshot an etag of its own; otherwise it keeps the blob's. A lease
 * does not keep others from taking snapshots.
 */
function takeSnapshot(context: VerbContext): StorageAnswer {
  const { request, account } = context
  const { place, name, record } = existingTarget(context, undefined, 'read')
  assertEncryption(request, record.encryption, place.container.properties)
  const metadata = readMetadata(request)
  const snapshot = account.nextTimestamp()
  const own = Object.keys(metadata).length > 0
  const taken: BlobRecord = own ? { ...record, metadata, ...stamp(place) } : record
  const state = stateOf(place.container, name)
  const snapshots = new Map(state.snapshots).set(snapshot, { ...taken, versionId: undefined })
  place.container.paths.put({ ...state, snapshots })
  return { status: 201, headers: { ...writtenHeaders(taken), 'x-ms-snapshot': snapshot } }
}

/** Brings back what was soft-deleted: the blob when it is gone, its snapshots and versions. */
function undelete(context: VerbContext): StorageAnswer {
  const { account, request, caller } = context
  const { place, name, state } = targetOf(context)
  const retained = retainedRecords(account, state)
  if (state.current === undefined && retained.length === 0 && !hasHistory(state)) {
    throw refusal('BlobNotFound')
  }
  if (retained.length > 0) {
    makeParents(place, name, callerName(caller, request))
    keep(place.container, undeleteRecords(account, state))
  }
  return { status: 200 }
}

function hasHistory({ versions, snapshots }: ReturnType<typeof stateOf>): boolean {
  return (versions?.size ?? 0) + (snapshots?.size ?? 0) > 0
}

function isOn({ method, path, query }: StorageRequest, comp: string): boolean {
  return method === 'PUT' && path !== undefined && query.get('comp') === comp
}
