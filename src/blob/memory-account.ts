import { randomUUID } from 'node:crypto'
import { type Clock, systemClock } from '../clock.ts'
import type { MemoryContainer } from './memory-container.ts'

const ticksPerMs = 10_000n

/** What an account keeps of what was written over or deleted. */
export interface KeptStates {
  /** Whether each write leaves the version before. Default false. */
  readonly versioning?: boolean | undefined
  /** For how long what was deleted can be brought back. Default: not at all. */
  readonly softDeleteDays?: number | undefined
}

/** What all faces of one account in memory share: its containers, its clock and its versions. */
export class MemoryAccount {
  /** Another account with each object. */
  readonly endpoint: string = `memory:${randomUUID()}`
  readonly containers: Map<string, MemoryContainer> = new Map()
  readonly kept: KeptStates
  readonly hierarchical: boolean
  readonly #clock: Clock
  #changes = 0x8dc0000000000
  #lastTicks = 0n

  /** Throws `RangeError` for versions on a hierarchical account, which Azure does not keep. */
  constructor(clock: Clock = systemClock, kept: KeptStates = {}, hierarchical = false) {
    if (hierarchical && kept.versioning === true) {
      throw new RangeError(
        'kept.versioning: expected false, as hierarchical accounts keep no versions; softDeleteDays keeps what is deleted',
      )
    }
    this.#clock = clock
    this.kept = kept
    this.hierarchical = hierarchical
  }

  /** Another version with each call, quoted. */
  nextEtag(): string {
    return `"0x${(++this.#changes).toString(16).toUpperCase()}"`
  }

  /** What a version or snapshot is called: a time in units of 100 ns, another with each call. */
  nextStateId(): string {
    const ticks = BigInt(Math.floor(this.#clock.nowMs())) * ticksPerMs
    this.#lastTicks = ticks > this.#lastTicks ? ticks : this.#lastTicks + 1n
    const time = new Date(Number(this.#lastTicks / ticksPerMs)).toISOString()
    return time.replace('Z', `${String(this.#lastTicks % ticksPerMs).padStart(4, '0')}Z`)
  }

  /** Whole seconds, as Azure has them; milliseconds since the epoch. */
  nowMs(): number {
    return Math.floor(this.#clock.nowMs() / 1000) * 1000
  }
}
