import { makeParents } from '../dfs/directories.ts'
import { callerName, ownershipOf, ownershipOfChild, parentOf } from '../dfs/ownership.ts'
import { amendCurrent, replaceCurrent } from '../model/changes.ts'
import type { BlobRecord } from '../model/record.ts'
import type { VerbContext } from '../verb.ts'
import { isFolderMarker } from '../wire/metadata.ts'
import { refusal } from '../wire/refusals.ts'
import type { Target } from './target.ts'

/**
 * Makes `record` what its name holds, as Put Blob, Put Block List and Copy Blob do. On hierarchical
 * accounts the directories above are made, a new file inherits its rights, one that is replaced
 * keeps them, and 409 `ResourceTypeMismatch` tells of a directory in its place, unless the record
 * marks a directory itself: then it replaces the metadata. 409 `InvalidBlobType`: a blob keeps its type.
 */
export function storeBlob(context: VerbContext, target: Target, record: BlobRecord): BlobRecord {
  const { place, name } = target
  if (isDirectoryStub(target, record)) return storeDirectory(context, target, record)
  assertReplaceable(target, record.blobType)
  const owned = place.account.settings.hierarchical ? withOwner(context, target, record) : record
  const stored = replaceCurrent(place, name, owned)
  return stored.kind === 'blob' ? stored : owned
}

/** 409 where a directory is, or a blob of another type: that of a blob never changes. */
export function assertReplaceable({ record }: Target, type: BlobRecord['blobType']): void {
  if (record?.kind === 'directory') throw refusal('ResourceTypeMismatch')
  if (record !== undefined && record.blobType !== type) throw refusal('InvalidBlobType')
}

/**
 * Clients of the blob face make directories of hierarchical accounts as flat ones mark them, beside
 * files below, which may have made the directory by then.
 */
function isDirectoryStub({ place, record: current }: Target, record: BlobRecord): boolean {
  const isEmpty = record.blobType === 'BlockBlob' && record.content.sizeBytes === 0
  const isFree = current === undefined || current.kind === 'directory'
  return isFree && isEmpty && place.account.settings.hierarchical && isFolderMarker(record.metadata)
}

function storeDirectory(
  context: VerbContext,
  { place, name, record: current }: Target,
  blob: BlobRecord,
): BlobRecord {
  const maker = callerName(context.caller, context.request)
  makeParents(place, name, maker)
  const parent = ownershipOf(place.container, parentOf(name))
  const ownership = current?.ownership ?? ownershipOfChild(parent, { kind: 'directory', maker })
  const { etag, lastModifiedMs, metadata } = blob
  const marked = Object.entries(metadata).filter(([key]) => key.toLowerCase() !== 'hdi_isfolder')
  const times = { etag, createdMs: current?.createdMs ?? blob.createdMs, lastModifiedMs }
  const rest = Object.fromEntries(marked)
  amendCurrent(place, name, { kind: 'directory', ...times, metadata: rest, ownership })
  return blob
}

function withOwner(context: VerbContext, target: Target, record: BlobRecord): BlobRecord {
  const { place, name } = target
  if (target.record?.ownership !== undefined) {
    return { ...record, ownership: target.record.ownership }
  }
  const maker = callerName(context.caller, context.request)
  makeParents(place, name, maker)
  const parent = ownershipOf(place.container, parentOf(name))
  return { ...record, ownership: ownershipOfChild(parent, { kind: 'file', maker }) }
}
