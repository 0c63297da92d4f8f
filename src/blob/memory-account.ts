import { randomUUID } from 'node:crypto'
import { type Clock, systemClock } from '../clock.ts'
import type { MemoryContainer } from './memory-container.ts'

/** What all faces of one account in memory share: its containers, its clock and its versions. */
export class MemoryAccount {
  /** Another account with each object. */
  readonly endpoint: string = `memory:${randomUUID()}`
  readonly containers: Map<string, MemoryContainer> = new Map()
  readonly #clock: Clock
  #changes = 0x8dc0000000000

  constructor(clock: Clock = systemClock) {
    this.#clock = clock
  }

  /** Another version with each call, quoted. */
  nextEtag(): string {
    return `"0x${(++this.#changes).toString(16).toUpperCase()}"`
  }

  /** Whole seconds, as Azure has them; milliseconds since the epoch. */
  nowMs(): number {
    return Math.floor(this.#clock.nowMs() / 1000) * 1000
  }
}
