import { MiB } from '../byte-range.ts'
import { whenAborted } from '../concurrency.ts'

// The bytes of all transfers of a file system between here and the network. Nobody can wait for ever:
// - who waits for bytes holds none, or lends what it holds;
// - what is held and not lent is on its way: it ends without anybody else's bytes;
// - what is lent is given back when somebody has to wait.
// Bytes are given in the order they were asked for, so that a large claim is not passed by small ones.

export interface MemoryBudgetOptions {
  /** Bytes held at once at most. Default 256 MiB. */
  readonly maxBytes?: number | undefined
}

/** Bytes that may be held until they are given back. */
export interface Claim {
  readonly bytes: number
  /** Takes more when they are free at once, up to `bytes` altogether; says whether. */
  tryGrow(bytes: number): boolean
  /** Gives back what is beyond `bytes`. */
  shrink(bytes: number): void
  /** Gives all back; without effect the second time. */
  release(): void
}

/**
 * Asked when somebody waits for `bytes`: gives back what it can, soon or at once, and says how much that is; more
 * than was asked for is of no use.
 */
export type Reclaim = (bytes: number) => number

interface Waiter {
  readonly bytes: number
  readonly start: () => void
}

/** Bounds the memory of transfers: first come, first served. */
export class MemoryBudget {
  readonly maxBytes: number
  readonly #queue: Waiter[] = []
  readonly #lenders = new Set<Reclaim>()
  readonly #holder: Holder = {
    take: (bytes) => this.tryClaim(bytes) !== undefined,
    giveBack: (bytes) => this.#giveBack(bytes),
  }
  #heldBytes = 0
  #peakBytes = 0

  constructor(options: MemoryBudgetOptions = {}) {
    this.maxBytes = options.maxBytes ?? 256 * MiB
    if (!Number.isSafeInteger(this.maxBytes) || this.maxBytes < 1) {
      throw new RangeError(`maxBytes: expected bytes, 1 or more, got ${this.maxBytes}`)
    }
  }

  /** Bytes held at the moment. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /** The most bytes that were held at once. */
  get peakBytes(): number {
    return this.#peakBytes
  }

  /** Whether `tryClaim` of so many would give a claim. */
  hasRoomFor(bytes: number): boolean {
    return this.#queue.length === 0 && this.#heldBytes + this.#atMostAll(bytes) <= this.maxBytes
  }

  /** Claims that wait. */
  get waiting(): number {
    return this.#queue.length
  }

  /** A claim when the bytes are free at once and nobody waits. */
  tryClaim(bytes: number): Claim | undefined {
    if (!this.hasRoomFor(bytes)) return undefined
    const wanted = this.#atMostAll(bytes)
    this.#hold(wanted)
    return this.#claim(wanted)
  }

  /** A claim of nothing, to be grown. */
  claimNone(): Claim {
    return this.#claim(0)
  }

  /**
   * Waits for bytes. A claim for more than there are altogether waits until it is alone and gets all.
   * Rejects with `signal.reason`. The caller holds none, or has lent them.
   */
  async claim(bytes: number, signal?: AbortSignal): Promise<Claim> {
    signal?.throwIfAborted()
    const claim = this.tryClaim(bytes)
    if (claim !== undefined) return claim
    const wanted = this.#atMostAll(bytes)
    await this.#turn(wanted, signal)
    return this.#claim(wanted)
  }

  /** Runs `task` with `bytes` claimed. */
  async run<T>(
    bytes: number,
    task: (claim: Claim) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    signal?.throwIfAborted()
    const claim = this.tryClaim(bytes) ?? (await this.claim(bytes, signal))
    try {
      return await task(claim)
    } finally {
      claim.release()
    }
  }

  /** Has `reclaim` asked from now on, until the returned function is called. */
  lend(reclaim: Reclaim): () => void {
    this.#lenders.add(reclaim)
    return () => void this.#lenders.delete(reclaim)
  }

  #atMostAll(bytes: number): number {
    if (!(bytes >= 0)) throw new RangeError(`bytes: expected 0 or more, got ${bytes}`)
    return Math.min(bytes, this.maxBytes)
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes
    this.#peakBytes = Math.max(this.#peakBytes, this.#heldBytes)
  }

  #claim(bytes: number): Claim {
    return new HeldBytes(bytes, this.#holder)
  }

  #giveBack(bytes: number): void {
    this.#heldBytes -= bytes
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (this.#heldBytes + next.bytes > this.maxBytes) return
      this.#queue.shift()
      this.#hold(next.bytes)
      next.start()
    }
  }

  #turn(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        bytes,
        start() {
          signal?.removeEventListener('abort', giveUp)
          resolve()
        },
      }
      const giveUp = () => {
        this.#queue.splice(this.#queue.indexOf(waiter), 1)
        reject(signal?.reason)
        this.#giveBack(0)
      }
      this.#queue.push(waiter)
      whenAborted(signal, giveUp)
      this.#reclaim()
    })
  }

  /** As little as is enough for all that wait: what is given back early costs its holder a request. */
  #reclaim(): void {
    const wanted = this.#queue.reduce((sum, { bytes }) => sum + bytes, 0)
    let missing = this.#heldBytes + wanted - this.maxBytes
    for (const lender of [...this.#lenders]) {
      if (missing <= 0) return
      missing -= lender(missing)
    }
  }
}

interface Holder {
  /** Whether there were as many at once. */
  take(bytes: number): boolean
  giveBack(bytes: number): void
}

class HeldBytes implements Claim {
  readonly #holder: Holder
  #bytes: number

  constructor(bytes: number, holder: Holder) {
    this.#bytes = bytes
    this.#holder = holder
  }

  get bytes(): number {
    return this.#bytes
  }

  tryGrow(bytes: number): boolean {
    const more = Math.max(bytes - this.#bytes, 0)
    if (more > 0 && !this.#holder.take(more)) return false
    this.#bytes += more
    return true
  }

  shrink(bytes: number): void {
    const less = Math.max(this.#bytes - Math.max(bytes, 0), 0)
    this.#bytes -= less
    if (less > 0) this.#holder.giveBack(less)
  }

  release(): void {
    this.shrink(0)
  }
}
