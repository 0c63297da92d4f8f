import type { BlobAdministration } from '../blob/administration.ts'
import { RenewedLease } from '../blob/renewed-lease.ts'
import type { CallOptions } from '../blob/store.ts'
import { isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { pipeFile } from './pipe.ts'
import type { Remote } from './remote.ts'

export interface LockOptions extends CallOptions {
  /** How long the lock outlives its holder, 15 to 60 seconds; milliseconds. Default 30,000. */
  readonly ttlMs?: number | undefined
  /** How long to wait for another holder; milliseconds. Default 0: `EBUSY` at once. */
  readonly waitMs?: number | undefined
}

/**
 * A file that nobody else may write, append to or delete, by a lease that is renewed until `release()`. When
 * the holder dies it ends by itself, within `ttlMs`. `leaseId` is the fencing token: what is written with
 * it, is written while the lock is held, or not at all.
 */
export class FileLock {
  /** `abfs://container/path`. */
  readonly path: string
  /** For `leaseId` of the calls that write the file. */
  readonly leaseId: string
  readonly #lease: RenewedLease

  private constructor(lease: RenewedLease) {
    this.#lease = lease
    this.path = formatPath(lease.path)
    this.leaseId = lease.leaseId
  }

  /** Locks `path`, which is made, empty, where it is missing. `EBUSY` when another holds it after `waitMs`. */
  static async acquire(
    remote: Remote,
    path: BlobPath,
    options: LockOptions & { readonly administration: BlobAdministration },
  ): Promise<FileLock> {
    const { administration: leases, ttlMs = 30_000, waitMs = 0, signal } = options
    if (!(ttlMs >= 15_000 && ttlMs <= 60_000)) {
      throw new RangeError(`ttlMs: expected 15,000 to 60,000 milliseconds, got ${ttlMs}`)
    }
    const { clock } = remote
    const make = () => makeEmpty(remote, path, { signal })
    const request = { leases, clock, path, ttlMs, waitMs, signal, make }
    return new FileLock(await RenewedLease.acquire(request))
  }

  /** Aborted when the lock is lost: it could not be renewed in time, or somebody broke it. */
  get signal(): AbortSignal {
    return this.#lease.lost
  }

  /** Whether nobody else can have written the file since it was locked. */
  get isHeld(): boolean {
    return this.#lease.isHeld
  }

  /** Lets others in. Calling it again does nothing. Rejects when the service cannot be told. */
  release(): Promise<void> {
    return this.#lease.release()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }
}

async function makeEmpty(remote: Remote, path: BlobPath, options: CallOptions): Promise<void> {
  try {
    await pipeFile(remote, path, new Uint8Array(), { mode: 'create', ...options })
  } catch (error) {
    // Another was as quick.
    if (!isFileSystemError(error, 'EEXIST')) throw error
  }
}
