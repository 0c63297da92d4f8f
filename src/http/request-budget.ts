import { type Clock, systemClock } from '../clock.ts'
import { whenAborted } from '../concurrency.ts'
import type { BodyReceiver, HttpResponse } from './handler.ts'
import { retryAfterMs } from './retry-after.ts'

// How many requests to one account are under way at once:
// - at first as many as are allowed; a 429 or 503 halves that, once for all that were sent before;
// - answers that begin much later than they used to take a tenth off it;
// - each good answer gives back the n-th part of one, so that a round of n answers gives back one.
// A pause that an answer asks for holds for every request to the account, also for those that wait.

export interface RequestBudgetOptions {
  /** Requests under way at once at most. Default 16. */
  readonly maxRequests?: number | undefined
  readonly clock?: Clock | undefined
  /** In [0, 1); spreads those that waited for the same pause. */
  readonly random?: (() => number) | undefined
}

/** What a {@link RequestBudget} is doing. */
export interface RequestBudgetState {
  /** Requests under way. */
  readonly active: number
  /** Requests that wait for their turn. */
  readonly waiting: number
  /** How many are allowed at the moment. */
  readonly limit: number
  /** How long nothing is sent, because the service asked for that; milliseconds. */
  readonly pauseMs: number
}

interface Waiter {
  readonly start: () => void
}

/** Those that waited for one pause come back over this long: all at once would be refused again. */
const spreadMs = 500
/** Answers begin this much later than at their best, and they are waiting in a queue over there. */
const slowFactor = 4
const slowExtraMs = 250

/** The requests of one account: first come, first served, fewer while the service is busy. */
export class RequestBudget {
  readonly maxRequests: number
  readonly #clock: Clock
  readonly #random: () => number
  readonly #queue: Waiter[] = []
  #active = 0
  #limit: number
  #pausedUntilMs = 0
  #lastCutMs = Number.NEGATIVE_INFINITY
  #bestMs = Number.POSITIVE_INFINITY
  #smoothMs = 0
  #sinceCut = 0

  constructor(options: RequestBudgetOptions = {}) {
    this.maxRequests = options.maxRequests ?? 16
    if (!Number.isInteger(this.maxRequests) || this.maxRequests < 1) {
      throw new RangeError(
        `maxRequests: expected an integer of at least 1, got ${this.maxRequests}`,
      )
    }
    this.#limit = this.maxRequests
    this.#clock = options.clock ?? systemClock
    this.#random = options.random ?? Math.random
  }

  get state(): RequestBudgetState {
    const pauseMs = Math.max(this.#pausedUntilMs - this.#clock.nowMs(), 0)
    return { active: this.#active, waiting: this.#queue.length, limit: this.#limit, pauseMs }
  }

  /** Whether what nobody waits for may be sent: who comes next finds a quarter of the places free. */
  get hasRoomAhead(): boolean {
    const isFree = this.#queue.length === 0 && this.#active < (this.#limit * 3) / 4
    return isFree && this.#pausedUntilMs <= this.#clock.nowMs()
  }

  /** Takes a place when one is free at once; to be given back with {@link leave}. */
  tryEnter(): boolean {
    const isFree = this.#queue.length === 0 && this.#active < Math.max(Math.floor(this.#limit), 1)
    if (!isFree || this.#pausedUntilMs > this.#clock.nowMs()) return false
    this.#active += 1
    return true
  }

  /**
   * Waits for a place. Resolves to false when the account's pause lasts beyond `latestMs`: then there
   * is none to give back. Rejects with `signal.reason`.
   */
  async enter(signal: AbortSignal | undefined, latestMs: number): Promise<boolean> {
    for (;;) {
      signal?.throwIfAborted()
      const pauseMs = this.#pausedUntilMs - this.#clock.nowMs()
      if (this.#pausedUntilMs > latestMs) return false
      if (pauseMs > 0) {
        await this.#clock.sleep(pauseMs + this.#random() * spreadMs, signal)
        continue
      }
      if (this.tryEnter()) return true
      await this.#turn(signal)
      // The place is taken already; a pause may have begun meanwhile.
      if (this.#pausedUntilMs <= this.#clock.nowMs()) return true
      this.leave()
    }
  }

  /** Gives a place back. */
  leave(): void {
    this.#active -= 1
    this.#admit()
  }

  /** Takes note of an answer to what was sent at `sentMs`. */
  note(response: HttpResponse, sentMs: number): void {
    const nowMs = this.#clock.nowMs()
    if (response.status === 429 || response.status >= 500) {
      const askedMs = retryAfterMs(response, nowMs)
      if (askedMs > 0) this.#pausedUntilMs = Math.max(this.#pausedUntilMs, nowMs + askedMs)
      if (response.status === 429 || response.status === 503) this.#cut(0.5, sentMs)
      return
    }
    const { firstByteMs } = response
    if (firstByteMs !== undefined && this.#isSlow(firstByteMs)) {
      if (this.#sinceCut >= this.#limit) this.#cut(0.9, sentMs)
      return
    }
    this.#limit = Math.min(this.#limit + 1 / this.#limit, this.maxRequests)
    this.#admit()
  }

  /** Requests that were sent before the last cut say nothing of what it did. */
  #cut(factor: number, sentMs: number): void {
    if (sentMs < this.#lastCutMs) return
    this.#lastCutMs = this.#clock.nowMs()
    this.#limit = Math.max(this.#limit * factor, 1)
    this.#sinceCut = 0
  }

  #isSlow(firstByteMs: number): boolean {
    this.#bestMs = Math.min(firstByteMs, this.#bestMs * 1.02 + 0.05)
    this.#smoothMs += (firstByteMs - this.#smoothMs) / 8
    this.#sinceCut += 1
    return this.#smoothMs > slowFactor * this.#bestMs + slowExtraMs
  }

  #admit(): void {
    while (this.#queue.length > 0 && this.#active < Math.max(Math.floor(this.#limit), 1)) {
      this.#active += 1
      this.#queue.shift()?.start()
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        start() {
          signal?.removeEventListener('abort', giveUp)
          resolve()
        },
      }
      const giveUp = () => {
        this.#queue.splice(this.#queue.indexOf(waiter), 1)
        reject(signal?.reason)
      }
      this.#queue.push(waiter)
      whenAborted(signal, giveUp)
    })
  }
}

/**
 * `receiver`, telling with `onPause` that it stopped taking bytes for the first time: whoever reads may
 * be waiting for another request of the same account, which must not wait for this one.
 */
export function tellingOfPause(receiver: BodyReceiver, onPause: () => void): BodyReceiver {
  return new TellingReceiver(receiver, onPause)
}

class TellingReceiver implements BodyReceiver {
  readonly #receiver: BodyReceiver
  readonly #onPause: () => void

  constructor(receiver: BodyReceiver, onPause: () => void) {
    this.#receiver = receiver
    this.#onPause = onPause
  }

  get receivedBytes(): number {
    return this.#receiver.receivedBytes
  }

  begin(status: number, headers: Readonly<Record<string, string>>): void {
    this.#receiver.begin(status, headers)
  }

  next(resume: () => void): Uint8Array | undefined {
    const room = this.#receiver.next(resume)
    if (room === undefined) this.#onPause()
    return room
  }

  filled(count: number): void {
    this.#receiver.filled(count)
  }
}
