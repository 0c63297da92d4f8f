import { stateOf } from '../model/changes.ts'
import { assertLease } from '../model/lease.ts'
import type { BlobRecord, TierState } from '../model/record.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { checkWrite, readConditions } from '../wire/conditions.ts'
import { requireHeader } from '../wire/metadata.ts'
import { invalidHeader, refusal } from '../wire/refusals.ts'
import { namedRecord, needOnPath, type ReadTarget, subjectOf } from './target.ts'
import { parseTier } from './tier-header.ts'

/** Set Blob Tier. */
export const tierVerbs: readonly Verb[] = [
  {
    name: 'SetBlobTier',
    matches: ({ method, path, query }) =>
      method === 'PUT' && path !== undefined && query.get('comp') === 'tier',
    needs: (request) => needOnPath(request, 'write'),
    run: setTier,
  },
]

/** Online tiers change at once (200); out of the archive it takes time (202). */
function setTier(context: VerbContext): StorageAnswer {
  const { request, account } = context
  const text = requireHeader(request, 'x-ms-access-tier')
  const wanted = parseTier(text)
  if (wanted === undefined) throw invalidHeader('x-ms-access-tier', text)
  const target = namedRecord(context)
  const { record, isCurrent, state } = target
  if (record.blobType !== 'BlockBlob') throw refusal('InvalidBlobType')
  checkWrite({ ifTags: readConditions(request).ifTags }, subjectOf(record))
  if (isCurrent) assertLease(state, request, { use: 'write', nowMs: account.nowMs() })
  const tier = nextTier(context, record, wanted)
  if (tier !== record.tier) storeTier(target, tier)
  return { status: tier.rehydratingTo === undefined ? 200 : 202 }
}

function nextTier(
  context: VerbContext,
  { tier }: BlobRecord,
  wanted: TierState['name'],
): TierState {
  const { account, request } = context
  const nowMs = account.nowMs()
  if (tier.name !== 'Archive') return { name: wanted, inferred: false, changedMs: nowMs }
  if (tier.rehydratingTo !== undefined) {
    if (wanted === tier.rehydratingTo) return tier
    throw refusal('BlobBeingRehydrated')
  }
  if (wanted === 'Archive') return tier
  checkPriority(request.headers['x-ms-rehydrate-priority'])
  const delayMs = account.settings.rehydrateDelayMs ?? defaultRehydrateMs
  return { ...tier, rehydratingTo: wanted, rehydratedMs: nowMs + delayMs }
}

/** A tier is no change of the blob: etag and time stay. */
function storeTier(
  { place, name, record, isCurrent, snapshot }: ReadTarget,
  tier: TierState,
): void {
  const state = stateOf(place.container, name)
  const tiered = (former: BlobRecord): BlobRecord => ({ ...former, tier })
  if (isCurrent && state.current?.kind === 'blob') {
    place.container.paths.put({ ...state, current: tiered(state.current) })
  } else if (snapshot !== undefined) {
    const snapshots = new Map(state.snapshots).set(snapshot, tiered(record))
    place.container.paths.put({ ...state, snapshots })
  } else {
    const versions = new Map(state.versions).set(record.versionId ?? '', tiered(record))
    place.container.paths.put({ ...state, versions })
  }
}

function checkPriority(priority: string | undefined): void {
  if (priority === undefined || priority === 'Standard' || priority === 'High') return
  throw invalidHeader('x-ms-rehydrate-priority', priority)
}

const defaultRehydrateMs = 15 * 60 * 60 * 1000
