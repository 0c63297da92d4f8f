import { totalmem } from 'node:os'
import { GiB, MiB } from '../../byte-range.ts'
import { cgroupMemoryBytes } from './cgroup-memory.ts'

/** What a drive may hold of blobs in memory, in parts that together are its budget. */
export interface DriveMemory {
  /** What was read, and all that is on its way from or to Azure: who needs bytes has what was read let go. */
  readonly sharedBytes: number
  /** Of those, what was read at most. */
  readonly cacheBytes: number
  /** What was written and has not been sent. It lies there as long as its file is open, so nobody waits for it. */
  readonly spoolBytes: number
  /** What waits to be written to the disk cache. */
  readonly pendingBytes: number
}

/**
 * A budget of `asked` bytes, else a quarter of what this process may have (the limits of its cgroup
 * and those above, and the machine's memory) and at most 4 GiB, in parts. What was read has half of it; beyond 256 MiB only where somebody
 * asked for a budget.
 */
export function driveMemory(
  asked: number | undefined,
  limitBytes: number = memoryLimitBytes(),
): DriveMemory {
  const budgetBytes = asked ?? Math.min(Math.floor(limitBytes / 4), 4 * GiB)
  const eighth = Math.floor(budgetBytes / 8)
  const half = 4 * eighth
  return {
    sharedBytes: Math.max(6 * eighth, leastBytes),
    cacheBytes: asked === undefined ? Math.min(half, 256 * MiB) : half,
    spoolBytes: Math.max(eighth, leastBytes),
    pendingBytes: Math.min(eighth, 8 * MiB),
  }
}

/** Two blocks: a large file is sent in pieces of one while the next is written. */
const leastBytes = 16 * MiB

function memoryLimitBytes(): number {
  return Math.min(cgroupMemoryBytes(), totalmem())
}
