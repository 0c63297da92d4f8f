import { MiB } from '../byte-range.ts'
import type { Clock } from '../clock.ts'
import { Limiter } from '../concurrency.ts'

/** Writes under way at once: the disk has others to serve. */
const writesAtOnce = 2
/** Longer than this nobody waits for a disk: one that hangs costs a reader so much, once. */
const maxWaitMs = 1000

/** Called when the bytes are taken; what it gives runs as soon as a writer is free, and never rejects. */
type Begin = () => () => Promise<void>

interface Waiter {
  readonly sizeBytes: number
  readonly begin: Begin
  readonly settle: (isTaken: boolean) => void
}

/**
 * What waits to be written to a disk. Who brings more than may wait is held until there is room, so that
 * nothing has to be fetched twice from a service that is faster than the disk; a disk that does not get on is not waited
 * for until it has written half of what it was given.
 */
export class DiskQueue {
  readonly #maxBytes: number
  readonly #clock: Clock
  readonly #writers = new Limiter(writesAtOnce)
  readonly #writing = new Set<Promise<void>>()
  readonly #waiting: Waiter[] = []
  #pendingBytes = 0
  #isBehind = false

  /** `maxBytes`: what is in memory to be written; default 16 MiB. What is longer alone is taken alone. */
  constructor(clock: Clock, maxBytes: number = 16 * MiB) {
    this.#clock = clock
    this.#maxBytes = maxBytes
  }

  /** Takes `sizeBytes` more, now or when there is room; resolves to false when the disk is too slow for that. */
  add(sizeBytes: number, begin: Begin): Promise<boolean> | boolean {
    if (this.#waiting.length > 0 || !this.#fits(sizeBytes)) {
      return this.#isBehind ? false : this.#turn(sizeBytes, begin)
    }
    this.#take(sizeBytes, begin)
    return true
  }

  /** Resolves when all that was added is written, or refused. */
  async settled(): Promise<void> {
    while (this.#writing.size > 0) await Promise.all(this.#writing)
  }

  #fits(sizeBytes: number): boolean {
    return this.#pendingBytes === 0 || this.#pendingBytes + sizeBytes <= this.#maxBytes
  }

  #take(sizeBytes: number, begin: Begin): void {
    this.#pendingBytes += sizeBytes
    const work = this.#writers.run(begin()).then(() => {
      this.#writing.delete(work)
      this.#pendingBytes -= sizeBytes
      if (2 * this.#pendingBytes <= this.#maxBytes) this.#isBehind = false
      this.#takeWaiting()
    })
    this.#writing.add(work)
  }

  #turn(sizeBytes: number, begin: Begin): Promise<boolean> {
    const timer = new AbortController()
    this.#clock.sleep(maxWaitMs, timer.signal).then(
      () => this.#giveUp(),
      () => undefined,
    )
    return new Promise((resolve) => {
      const settle = (isTaken: boolean) => {
        timer.abort()
        resolve(isTaken)
      }
      this.#waiting.push({ sizeBytes, begin, settle })
    })
  }

  /** In the order they came: short pieces do not pass long ones. */
  #takeWaiting(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (!this.#fits(next.sizeBytes)) return
      this.#waiting.shift()
      this.#take(next.sizeBytes, next.begin)
      next.settle(true)
    }
  }

  #giveUp(): void {
    this.#isBehind = true
    for (const { settle } of this.#waiting.splice(0)) settle(false)
  }
}
