import type { BlobAdministration } from '../blob/administration.ts'
import type { CallOptions } from '../blob/store.ts'
import type { Clock } from '../clock.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { pipeFile } from './pipe.ts'
import type { Remote } from './remote.ts'

export interface LockOptions extends CallOptions {
  /** How long the lock outlives its holder, 15 to 60 seconds; milliseconds. Default 30,000. */
  readonly ttlMs?: number | undefined
  /** How long to wait for another holder; milliseconds. Default 0: `EBUSY` at once. */
  readonly waitMs?: number | undefined
}

interface Held {
  readonly administration: BlobAdministration
  readonly clock: Clock
  readonly path: BlobPath
  readonly leaseId: string
  readonly ttlMs: number
}

/** While another holds it, it is asked for this often, about. */
const pollMs = 1000
/** A renewal that failed is tried again so soon. */
const retryMs = 1000

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
  readonly #held: Held
  readonly #ending = new AbortController()
  readonly #lost = new AbortController()
  readonly #renewing: Promise<void>
  #releasing: Promise<void> | undefined

  private constructor(held: Held) {
    this.#held = held
    this.path = formatPath(held.path)
    this.leaseId = held.leaseId
    this.#renewing = this.#renew()
  }

  /** Locks `path`, which is made, empty, where it is missing. `EBUSY` when another holds it after `waitMs`. */
  static async acquire(
    remote: Remote,
    path: BlobPath,
    options: LockOptions & { readonly administration: BlobAdministration },
  ): Promise<FileLock> {
    const { administration, ttlMs = 30_000, waitMs = 0, signal } = options
    if (!(ttlMs >= 15_000 && ttlMs <= 60_000)) {
      throw new RangeError(`ttlMs: expected 15,000 to 60,000 milliseconds, got ${ttlMs}`)
    }
    const { clock } = remote
    const untilMs = clock.nowMs() + waitMs
    for (;;) {
      try {
        const leaseId = await leaseOf(remote, path, { administration, ttlMs, signal })
        return new FileLock({ administration, clock, path, leaseId, ttlMs })
      } catch (error) {
        const leftMs = untilMs - clock.nowMs()
        if (!isFileSystemError(error, 'EBUSY') || leftMs <= 0) throw error
        // Half of it by chance: those who wait for one lock must not come together.
        await clock.sleep(Math.min(leftMs, pollMs / 2 + Math.random() * pollMs), signal)
      }
    }
  }

  /** Aborted when the lock is lost: it could not be renewed in time, or somebody broke it. */
  get signal(): AbortSignal {
    return this.#lost.signal
  }

  /** Whether nobody else can have written the file since it was locked. */
  get isHeld(): boolean {
    return !this.#lost.signal.aborted && this.#releasing === undefined
  }

  /** Lets others in. Calling it again does nothing. Rejects when the service cannot be told. */
  release(): Promise<void> {
    this.#releasing ??= this.#release()
    return this.#releasing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }

  async #release(): Promise<void> {
    this.#ending.abort()
    await this.#renewing
    if (this.#lost.signal.aborted) return
    const { administration, path, leaseId } = this.#held
    try {
      await administration.releaseLease(path, leaseId)
    } catch (error) {
      // The file is gone, or the lease is another's: it is not held any more.
      if (!isFileSystemError(error, 'ENOENT', 'EBUSY')) throw error
    }
  }

  async #renew(): Promise<void> {
    const { administration, clock, path, leaseId, ttlMs } = this.#held
    let expiresAtMs = clock.nowMs() + ttlMs
    let pauseMs = ttlMs / 3
    while (await slept(clock, pauseMs, this.#ending.signal)) {
      const startedMs = clock.nowMs()
      try {
        await administration.renewLease(path, leaseId, { signal: this.#ending.signal })
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
    this.#lost.abort(new FileSystemError('EBUSY', 'lock', { path: this.path, detail, cause }))
  }
}

async function leaseOf(
  remote: Remote,
  path: BlobPath,
  options: CallOptions & { readonly administration: BlobAdministration; readonly ttlMs: number },
): Promise<string> {
  const { administration, ttlMs, signal } = options
  const acquire = () => administration.acquireLease(path, Math.ceil(ttlMs / 1000), { signal })
  try {
    return await acquire()
  } catch (error) {
    if (!isFileSystemError(error, 'ENOENT')) throw error
  }
  try {
    await pipeFile(remote, path, new Uint8Array(), { mode: 'create', signal })
  } catch (error) {
    // Another was as quick.
    if (!isFileSystemError(error, 'EEXIST')) throw error
  }
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
