import type { Clock } from '../clock.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { BlobAdministration } from './administration.ts'
import type { CallOptions } from './store.ts'

/** What leases are made with. */
export type Leases = Pick<BlobAdministration, 'acquireLease' | 'renewLease' | 'releaseLease'>

export interface LeaseRequest extends CallOptions {
  readonly leases: Leases
  readonly clock: Clock
  readonly path: BlobPath
  /** How long the lease outlives its holder, 15 to 60 seconds; milliseconds. */
  readonly ttlMs: number
  /** How long to wait for another holder; milliseconds; may be infinite. */
  readonly waitMs: number
  /** Makes the blob where it is missing; absent: `ENOENT`. */
  readonly make?: (() => Promise<void>) | undefined
}

/** While another holds it, it is asked for this often, about. */
const pollMs = 1000
/** A renewal that failed is tried again so soon. */
const retryMs = 1000

/**
 * A lease of a blob that is renewed until `release()`. When the holder dies it ends by itself. `leaseId` is
 * the fencing token: what is written with it, is written while the lease is held, or not at all.
 */
export class RenewedLease {
  readonly path: BlobPath
  readonly leaseId: string
  readonly #request: LeaseRequest
  readonly #ending = new AbortController()
  readonly #lost = new AbortController()
  readonly #renewing: Promise<void>
  #releasing: Promise<void> | undefined

  private constructor(request: LeaseRequest, leaseId: string) {
    this.#request = request
    this.path = request.path
    this.leaseId = leaseId
    this.#renewing = this.#renew()
  }

  /** `EBUSY` when another holds it after `waitMs`; `ENOENT` where there is no blob. */
  static async acquire(request: LeaseRequest): Promise<RenewedLease> {
    const { clock, waitMs, signal } = request
    const untilMs = clock.nowMs() + waitMs
    for (;;) {
      try {
        return new RenewedLease(request, await leaseOf(request))
      } catch (error) {
        const leftMs = untilMs - clock.nowMs()
        if (!isFileSystemError(error, 'EBUSY') || leftMs <= 0) throw error
        // Half of it by chance: those who wait for one lease must not come together.
        await clock.sleep(Math.min(leftMs, pollMs / 2 + Math.random() * pollMs), signal)
      }
    }
  }

  /** Aborted when the lease is lost: it could not be renewed in time, or somebody broke it. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** Whether nobody else can have written the blob since it was leased. */
  get isHeld(): boolean {
    return !this.#lost.signal.aborted && this.#releasing === undefined
  }

  /** Lets others in. Calling it again does nothing. Rejects when the service cannot be told. */
  release(): Promise<void> {
    this.#releasing ??= this.#release()
    return this.#releasing
  }

  async #release(): Promise<void> {
    this.#ending.abort()
    await this.#renewing
    if (this.#lost.signal.aborted) return
    const { leases, path } = this.#request
    try {
      await leases.releaseLease(path, this.leaseId)
    } catch (error) {
      // The blob is gone, or the lease is another's: it is not held any more.
      if (!isFileSystemError(error, 'ENOENT', 'EBUSY')) throw error
    }
  }

  async #renew(): Promise<void> {
    const { leases, clock, path, ttlMs } = this.#request
    let expiresAtMs = clock.nowMs() + ttlMs
    let pauseMs = ttlMs / 3
    while (await slept(clock, pauseMs, this.#ending.signal)) {
      const startedMs = clock.nowMs()
      try {
        await leases.renewLease(path, this.leaseId, { signal: this.#ending.signal })
        expiresAtMs = startedMs + ttlMs
        pauseMs = ttlMs / 3
      } catch (error) {
        if (this.#ending.signal.aborted) return
        const isOver = isFileSystemError(error, 'EBUSY', 'ENOENT') || clock.nowMs() >= expiresAtMs
        if (isOver) return this.#lose(error)
        pauseMs = Math.min(retryMs, Math.max(expiresAtMs - clock.nowMs(), 0))
      }
    }
  }

  #lose(cause: unknown): void {
    const detail = 'the lock is lost: it was not renewed in time, or somebody broke it'
    const path = formatPath(this.path)
    this.#lost.abort(new FileSystemError('EBUSY', 'lock', { path, detail, cause }))
  }
}

async function leaseOf({ leases, path, ttlMs, make, signal }: LeaseRequest): Promise<string> {
  const acquire = () => leases.acquireLease(path, Math.ceil(ttlMs / 1000), { signal })
  try {
    return await acquire()
  } catch (error) {
    if (make === undefined || !isFileSystemError(error, 'ENOENT')) throw error
  }
  await make()
  return acquire()
}

/** False when it ended before. */
async function slept(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(ms, signal)
    return true
  } catch (error) {
    if (signal.aborted) return false
    throw error
  }
}
