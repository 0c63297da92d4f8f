import type { BlobStore } from '../blob/store.ts'
import { MiB } from '../byte-range.ts'
import type { Clock } from '../clock.ts'

/** How much more several requests must bring than one connection did, to be worth what was broken off for them. */
const leastGain = 0.5
/** What is looked at before that is known: more than new connections need to come up to speed. */
const trialBytes = 64 * MiB
/** How long the answer holds for other streams; milliseconds. */
const believedMs = 60_000

/** A stream, as others see it. */
interface Reading {
  /** Whether bytes came lately. */
  readonly isMoving: boolean
}

interface Moment {
  readonly ms: number
  readonly bytes: number
}

/**
 * What the readers of one service know together: how many streams share it, and whether several requests at once bring
 * more than one connection. A stream that is slow is given up on trial, one at a time: where several bring no more,
 * the machine or its network is what limits, and all others keep theirs.
 */
export class ServiceReads {
  readonly #store: Pick<BlobStore, 'receivedBytes'>
  readonly #streams = new Set<Reading>()
  #trial: { readonly since: Moment; readonly leastBytesPerMs: number } | undefined
  #answer: { readonly doHelp: boolean; readonly untilMs: number } | undefined

  constructor(store: Pick<BlobStore, 'receivedBytes'>) {
    this.#store = store
  }

  /** Counts a stream until the returned function is called. */
  add(stream: Reading): () => void {
    this.#streams.add(stream)
    return () => void this.#streams.delete(stream)
  }

  /** How many streams share the service at the moment; at least 1. */
  get streamCount(): number {
    let count = 0
    for (const { isMoving } of this.#streams) if (isMoving) count += 1
    return Math.max(count, 1)
  }

  /** Whether a stream is to be given up for several requests, now that all together bring `bytesPerMs`. */
  mayGiveUp(bytesPerMs: number, clock: Clock): boolean {
    if (this.#store.receivedBytes === undefined) return true
    this.#judge(clock)
    if (this.#trial !== undefined) return false
    const since = this.#now(clock)
    if (this.#answer !== undefined && since.ms < this.#answer.untilMs) return this.#answer.doHelp
    this.#answer = undefined
    this.#trial = { since, leastBytesPerMs: bytesPerMs * (1 + leastGain / this.streamCount) }
    return true
  }

  /** Whether several requests at once were found to bring no more than one connection. */
  isRefuted(clock: Clock): boolean {
    this.#judge(clock)
    return this.#answer?.doHelp === false
  }

  #judge(clock: Clock): void {
    if (this.#trial === undefined) return
    const { since, leastBytesPerMs } = this.#trial
    const bytes = (this.#store.receivedBytes ?? 0) - since.bytes
    if (bytes < trialBytes) return
    const now = this.#now(clock)
    const doHelp = bytes >= (now.ms - since.ms) * leastBytesPerMs
    this.#trial = undefined
    this.#answer = { doHelp, untilMs: now.ms + believedMs }
  }

  /** Without the time in which we waited for a processor. */
  #now(clock: Clock): Moment {
    const ms = clock.nowMs() - (clock.queuedMs?.() ?? 0)
    return { ms, bytes: this.#store.receivedBytes ?? 0 }
  }
}

const readsByStore = new WeakMap<object, ServiceReads>()

/** What is known of the service of `store`, as long as that is used. */
export function readsOf(store: Pick<BlobStore, 'receivedBytes'>): ServiceReads {
  const known = readsByStore.get(store) ?? new ServiceReads(store)
  readsByStore.set(store, known)
  return known
}
