import type { StorageAccount } from './account.ts'
import { emptyContent } from './extent.ts'
import type { BlobRecord, CopyState, TierState } from './record.ts'

// Copies and rehydrations take time. What they will have made is stored at once, with the time when
// it shows; until then readers see what Azure shows meanwhile. So nothing has to run at that time,
// and a restart loses nothing.

/**
 * A record as it shows at this time: a copy that is pending has no bytes (a page blob: no pages)
 * and has succeeded after its `completedMs`; a tier being rehydrated is there after `rehydratedMs`.
 */
export function recordAsOf(account: StorageAccount, record: BlobRecord): BlobRecord {
  const pendingCopy = record.copy?.status === 'pending'
  if (!pendingCopy && record.tier.rehydratingTo === undefined) return record
  const nowMs = account.nowMs()
  const tier = tierAsOf(record.tier, nowMs)
  if (record.copy === undefined || !pendingCopy) return { ...record, tier }
  const copy = copyAsOf(record.copy, nowMs)
  if (copy.status === 'success') return { ...record, tier, copy }
  return {
    ...record,
    tier,
    copy: { ...copy, completedMs: undefined },
    content: emptyContent,
    pages: record.pages && [],
  }
}

/** Whether a copy onto this record has not ended: writes and other copies are refused. */
export function hasPendingCopy(account: StorageAccount, record: BlobRecord): boolean {
  return recordAsOf(account, record).copy?.status === 'pending'
}

function tierAsOf(tier: TierState, nowMs: number): TierState {
  const { rehydratingTo, rehydratedMs = 0, ...rest } = tier
  if (rehydratingTo === undefined || rehydratedMs > nowMs) return tier
  return { ...rest, name: rehydratingTo, changedMs: rehydratedMs }
}

function copyAsOf(copy: CopyState, nowMs: number): CopyState {
  if ((copy.completedMs ?? Infinity) > nowMs) return copy
  return { ...copy, status: 'success', progressBytes: copy.totalBytes }
}
