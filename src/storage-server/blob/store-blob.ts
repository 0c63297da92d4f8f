import { makeParents } from '../dfs/directories.ts'
import { callerName, ownershipOf, ownershipOfChild, parentOf } from '../dfs/ownership.ts'
import { replaceCurrent } from '../model/changes.ts'
import type { BlobRecord } from '../model/record.ts'
import type { VerbContext } from '../verb.ts'
import { refusal } from '../wire/refusals.ts'
import type { Target } from './target.ts'

/**
 * Makes `record` what its name holds, as Put Blob, Put Block List and Copy Blob do. On hierarchical
 * accounts the directories above are made, a new file inherits its rights, one that is replaced
 * keeps them, and 409 `ResourceTypeMismatch` tells of a directory in its place.
 */
export function storeBlob(context: VerbContext, target: Target, record: BlobRecord): BlobRecord {
  const { place, name } = target
  assertNoDirectory(target)
  const owned = place.account.settings.hierarchical ? withOwner(context, target, record) : record
  const stored = replaceCurrent(place, name, owned)
  return stored.kind === 'blob' ? stored : owned
}

/** 409 where a directory is, which no blob can take the place of. */
export function assertNoDirectory({ record }: Target): void {
  if (record?.kind === 'directory') throw refusal('ResourceTypeMismatch')
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
