import { totalmem } from 'node:os'
import { GiB, MiB } from '../../byte-range.ts'

/**
 * What a drive may hold of blobs in memory: what was asked for, else a quarter of what this process may
 * have (its cgroup's limit, else the machine's memory), at most 4 GiB.
 */
export function driveBudgetBytes(
  asked: number | undefined,
  limitBytes: number = memoryLimitBytes(),
): number {
  return asked ?? Math.min(Math.floor(limitBytes / 4), 4 * GiB)
}

/** Half of the budget is for what was read; beyond 256 MiB only where somebody asked for a budget. */
export function readCacheBytes(asked: number | undefined, limitBytes?: number): number {
  const half = Math.floor(driveBudgetBytes(asked, limitBytes) / 2)
  return asked === undefined ? Math.min(half, 256 * MiB) : half
}

/** No limit is told as a number that no machine has. */
function memoryLimitBytes(): number {
  const limit = process.constrainedMemory()
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
}
