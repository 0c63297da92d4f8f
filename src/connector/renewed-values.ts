import type { Clock } from '../clock.ts'

/** What was fetched, and until when it is good. */
export interface Fetched<T> {
  readonly value: T
  readonly expiresAtMs: number
}

interface Held<T> {
  readonly received: Promise<Fetched<T>>
  readonly askedAtMs: number
}

/** A refresh may replace a value this old: once a minute, whatever callers ask for. */
const minReplaceAgeMs = 60_000

/**
 * Values by name, in memory only. One is fetched anew when half of its life is over; those who ask
 * together share one answer, and errors are not kept.
 */
export class RenewedValues<T> {
  readonly #clock: Clock
  readonly #fetch: (name: string) => Promise<Fetched<T>>
  readonly #held = new Map<string, Held<T>>()
  readonly #dueAtMs = new WeakMap<Held<T>, number>()

  constructor(clock: Clock, fetch: (name: string) => Promise<Fetched<T>>) {
    this.#clock = clock
    this.#fetch = fetch
  }

  /** The value of `name`; `refresh` replaces one that was asked for more than a minute ago. */
  async get(name: string, refresh = false): Promise<T> {
    const held = this.#held.get(name)
    if (held !== undefined && !this.#isDue(held, refresh)) return (await held.received).value
    const next: Held<T> = { received: this.#fetch(name), askedAtMs: this.#clock.nowMs() }
    this.#held.set(name, next)
    try {
      const { value, expiresAtMs } = await next.received
      this.#dueAtMs.set(next, next.askedAtMs + (expiresAtMs - next.askedAtMs) / 2)
      return value
    } catch (error) {
      if (this.#held.get(name) === next) this.#held.delete(name)
      throw error
    }
  }

  /** Drops the value of `name`, which somebody refused. */
  forget(name: string): void {
    this.#held.delete(name)
  }

  #isDue(held: Held<T>, refresh: boolean): boolean {
    const nowMs = this.#clock.nowMs()
    if (refresh && nowMs - held.askedAtMs >= minReplaceAgeMs) return true
    return nowMs >= (this.#dueAtMs.get(held) ?? Number.POSITIVE_INFINITY)
  }
}
