import { type Leases, RenewedLease } from '../blob/renewed-lease.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { formatPath } from '../path.ts'
import { publishFault } from './fault.ts'
import { type FlockKind, Flocks } from './flocks.ts'
import type { Inode } from './inode-table.ts'
import type { CallContext, FlockRequest, HandleId } from './operations.ts'
import type { Tree } from './tree.ts'

/** How long a lock outlives a drive that died: as long as the service allows, so that a pause of it loses none. */
const ttlMs = 60_000
const pollMs = 1000

/** The locks of one file: those of this machine, and the lease that tells others of an exclusive one. */
export class InodeLock {
  readonly flocks: Flocks = new Flocks()
  lease: RenewedLease | undefined
  /** Why writes must fail until the lock that was lost is given up. */
  lost: FileSystemError | undefined

  /** `ESTALE` while somebody believes to hold a lock that was lost. */
  check(): void {
    if (this.lost !== undefined) throw this.lost
  }
}

/**
 * flock(2) between machines: who locks exclusively holds a lease of the blob, which keeps others from
 * locking and from writing it. Shared locks are known to this machine alone; they wait for a lease of
 * somebody else's.
 */
export class LeaseLocks {
  readonly #tree: Tree
  readonly #leases: Leases
  readonly #held = new Set<Inode>()

  constructor(tree: Tree, leases: Leases) {
    this.#tree = tree
    this.#leases = leases
  }

  /** flock(2) of an open file: `EAGAIN` when somebody else is in the way and `waits` is false. */
  async lock(
    inode: Inode,
    owner: HandleId,
    { kind, waits }: FlockRequest,
    { signal }: CallContext,
  ): Promise<void> {
    if (kind === 'none') return this.unlock(inode, owner)
    if (kind === 'exclusive') this.#tree.checkWritable('flock', inode)
    inode.lock ??= new InodeLock()
    const { flocks, lost } = inode.lock
    if (flocks.kindOf(owner) === kind && lost === undefined) return
    await this.unlock(inode, owner)
    await flocks.take(owner, kind, { waits, signal })
    try {
      await this.#lockElsewhere(inode, { kind, waits, signal })
    } catch (error) {
      flocks.drop(owner)
      if (isFileSystemError(error, 'EBUSY')) throw this.#failure('EAGAIN', inode, error)
      throw error
    }
  }

  /** Stores what was written under an exclusive lock, and lets others in. */
  async unlock(inode: Inode, owner: HandleId): Promise<void> {
    const { lock } = inode
    const kind = lock?.flocks.kindOf(owner)
    if (lock === undefined || kind === undefined) return
    try {
      if (kind === 'exclusive' && !inode.unlinked) await inode.writable?.commit()
    } finally {
      if (kind === 'exclusive') await this.giveUp(inode)
      lock.lost = undefined
      lock.flocks.drop(owner)
    }
  }

  /** Ends the lease of a file that is about to lose its name. Failures are published: it ends by itself. */
  async giveUp(inode: Inode): Promise<void> {
    const lease = inode.lock?.lease
    if (inode.lock === undefined || lease === undefined) return
    inode.lock.lease = undefined
    this.#held.delete(inode)
    await lease.release().catch((error: unknown) => publishFault('flock', lease.path, error))
  }

  /** Lets others in wherever this mount has locked. */
  async close(): Promise<void> {
    await Promise.all([...this.#held].map((inode) => this.giveUp(inode)))
  }

  async #lockElsewhere(inode: Inode, lock: LockOptions): Promise<void> {
    if (inode.unlinked) return
    if (lock.kind === 'exclusive') await this.#lease(inode, lock)
    else await this.#awaitFree(inode, lock)
    await this.#tree.catchUp(inode)
  }

  async #lease(inode: Inode, { waits, signal }: LockOptions): Promise<void> {
    await inode.writable?.ensureStored()
    const lease = await RenewedLease.acquire({
      leases: this.#leases,
      clock: this.#tree.clock,
      path: this.#tree.pathOf(inode),
      ttlMs,
      waitMs: waits ? Number.POSITIVE_INFINITY : 0,
      signal,
    })
    if (inode.lock !== undefined) inode.lock.lease = lease
    this.#held.add(inode)
    lease.lost.addEventListener('abort', () => this.#lose(inode, lease), { once: true })
  }

  /** Waits until nobody holds a lease: one of this machine was excluded by its own table. */
  async #awaitFree(inode: Inode, { waits, signal }: LockOptions): Promise<void> {
    const { namespace, clock } = this.#tree
    if (inode.writable?.unborn === true) return
    for (;;) {
      const { leaseState } = await namespace.store.head(this.#tree.pathOf(inode), { signal })
      if (leaseState !== 'leased' && leaseState !== 'breaking') return
      if (!waits) throw this.#failure('EBUSY', inode)
      await clock.sleep(pollMs / 2 + Math.random() * pollMs, signal)
    }
  }

  /** Whoever goes on writing must not believe that nobody else does. */
  #lose(inode: Inode, lease: RenewedLease): void {
    if (inode.lock?.lease !== lease) return
    const error = this.#failure('ESTALE', inode, lease.lost.reason)
    inode.lock.lease = undefined
    inode.lock.lost = error
    this.#held.delete(inode)
    publishFault('flock', lease.path, error)
  }

  #failure(code: 'EAGAIN' | 'EBUSY' | 'ESTALE', inode: Inode, cause?: unknown): FileSystemError {
    const detail = details[code]
    const path = formatPath(this.#tree.pathOf(inode))
    return new FileSystemError(code, 'flock', { path, detail, cause })
  }
}

interface LockOptions {
  readonly kind: FlockKind
  readonly waits: boolean
  readonly signal: AbortSignal
}

const details = {
  EAGAIN: 'somebody else has locked the file',
  EBUSY: 'somebody else has a lease of the blob',
  ESTALE: 'the lock was lost: others may have written the file; unlock it, and begin again',
} as const
