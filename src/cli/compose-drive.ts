import { Vfs, type VfsOptions } from '../vfs/vfs.ts'
import type { Account } from './compose.ts'

// Apart from `compose.ts`, which commands load that have no drive.

/** Programs that make many small files close the next one sooner; milliseconds. */
const writeBackQuietMs = 100

/** What a drive adds to an account: the place it shows and how the kernel sees it. */
export type DriveOptions = Omit<
  VfsOptions,
  | 'namespace'
  | 'chunkCache'
  | 'memory'
  | 'clock'
  | 'administration'
  | 'leases'
  | 'hasRoomAhead'
  | 'removing'
> & {
  /** How far locks of flock(2) reach. */
  readonly locks: 'local' | 'lease'
}

/** The system calls of a drive on an account. */
export function composeVfs(account: Account, options: DriveOptions): Vfs {
  const { namespace, chunks: chunkCache, memory, clock, requests, removing } = account
  // Tags and tiers are those of the present alone.
  const administration = account.isPast === true ? undefined : account.administration
  const leases = options.locks === 'lease' ? administration : undefined
  return new Vfs({
    ...options,
    writeBackQuietMs,
    namespace,
    chunkCache,
    memory,
    clock,
    administration,
    leases,
    removing,
    hasRoomAhead: () => requests.hasRoomAhead,
  })
}
