import type { BlobRecord, TierState } from '../model/record.ts'
import { httpDate } from '../wire/http-date.ts'
import { invalidHeader, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'

/** The tier of a blob that says nothing: the account's default. */
export const inferredTier: TierState = { name: 'Hot', inferred: true }

/** A tier by its name; `undefined` when it is none of block blobs. */
export function parseTier(text: string): TierState['name'] | undefined {
  return tiers.find((name) => name === text)
}

/** The tier that `x-ms-access-tier` gives a new block blob; the account's default when absent. */
export function readTierHeader(request: StorageRequest, nowMs: number): TierState {
  const text = request.headers['x-ms-access-tier']
  if (text === undefined) return inferredTier
  const name = parseTier(text)
  if (name === undefined) throw invalidHeader('x-ms-access-tier', text)
  return { name, inferred: false, changedMs: nowMs }
}

/** Refuses to read or change the content of an archived blob: 409 `BlobArchived`. */
export function assertOnline({ tier }: BlobRecord): void {
  if (tier.name === 'Archive') {
    throw refusal(tier.rehydratingTo === undefined ? 'BlobArchived' : 'BlobBeingRehydrated')
  }
}

/** Adds `x-ms-access-tier` and its kin, as reads of a block blob show them. */
export function addTierHeaders(headers: Record<string, string | undefined>, tier: TierState): void {
  headers['x-ms-access-tier'] = tier.name
  if (tier.inferred) headers['x-ms-access-tier-inferred'] = 'true'
  if (tier.changedMs !== undefined) {
    headers['x-ms-access-tier-change-time'] = httpDate(tier.changedMs)
  }
  if (tier.rehydratingTo !== undefined) headers['x-ms-archive-status'] = archiveStatus(tier)
}

/** `rehydrate-pending-to-hot` and its kin while a blob comes back from the archive. */
export function archiveStatus({ rehydratingTo }: TierState): string | undefined {
  return rehydratingTo && `rehydrate-pending-to-${rehydratingTo.toLowerCase()}`
}

const tiers = ['Hot', 'Cool', 'Cold', 'Archive'] as const satisfies TierState['name'][]
