/**
 * Credentials held by the client. In the order things happen:
 *
 * 1. The first call for a scope asks the provider; calls that come meanwhile wait for the same
 *    answer.
 * 2. Until the credential is due for renewal, calls get it from memory. It is due at half its life
 *    or `refreshAheadMs` before its end, whichever is earlier, and by chance up to a tenth of that
 *    time before: clients that began together do not renew together. Never in its first quarter.
 * 3. From then on calls still get the old one, and one of them starts the renewal behind them.
 * 4. What a service wished of the next credential is asked for once, whatever was asked for or failed
 *    just before without that wish.
 * 5. A renewal that fails is tried again after a pause that doubles. The old credential serves
 *    until it ends; only then do calls fail, with the error of the last attempt.
 */
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import { whenAborted } from '../concurrency.ts'
import { faultChannel } from '../telemetry.ts'
import type { TokenChallenge } from './challenge.ts'
import {
  type Credential,
  type CredentialOptions,
  type CredentialProvider,
  type Scope,
  scopeKey,
} from './credential.ts'

/** How a {@link CachedCredentialProvider} keeps credentials. */
export interface CachedCredentialOptions {
  readonly clock: Clock
  /** Milliseconds before its end at which a credential is renewed at the latest. Default 5 minutes. */
  readonly refreshAheadMs?: number
  /**
   * Below this much life a call waits for the renewal instead of getting the old credential, which
   * might end on its way to Azure. Default 10 seconds, and never more than a quarter of its life.
   */
  readonly minLifeMs?: number
  /** The pause after a first failure, milliseconds; it doubles with each. Default 500. */
  readonly minBackoffMs?: number
  /** The longest pause after failures, milliseconds. Default 15 seconds. */
  readonly maxBackoffMs?: number
  /** Gives numbers from 0 up to 1, one per credential: how much of the tenth is used. */
  readonly random?: () => number
  /** The most scopes remembered; the least recently used is dropped. Default 1000. */
  readonly maxScopes?: number
}

interface Held {
  readonly credential: Credential
  /** The same, made once for all who wait for what is there already. */
  readonly answer: Promise<Credential>
  readonly receivedAtMs: number
  /** From when on it is renewed behind the calls. */
  readonly dueAtMs: number
  /** From when on calls wait for the renewal. */
  readonly endingAtMs: number
  /** Whether it came by a forced refresh. */
  readonly forced: boolean
  readonly wish: Wish
  /** Its request's place in the order of requests for the scope. */
  readonly sequence: number
}

/** What a refused credential's successor had to be like; equal challenges are equal texts. `undefined`: nothing. */
type Wish = string | undefined

interface Failure {
  readonly error: unknown
  readonly wish: Wish
  readonly count: number
  readonly retryAtMs: number
}

interface Flight {
  readonly forced: boolean
  readonly wish: Wish
  readonly credential: Promise<Credential>
}

/** All that is known of one scope. */
interface Slot {
  readonly scope: Scope
  readonly key: string
  /** False when it had to make room for others. */
  isKept: boolean
  held: Held | undefined
  failure: Failure | undefined
  flight: Flight | undefined
  /** Requests begun so far. */
  sequence: number
}

/** A refresh asked for within this time after another one that wished the same gets the other one's credential. */
const forcedRefreshIntervalMs = 1000

/**
 * A provider that remembers the credentials of another one, renews them ahead of their end and
 * asks for each scope once at a time. It never remembers an error beyond a short pause.
 */
export class CachedCredentialProvider implements CredentialProvider {
  readonly #provider: CredentialProvider
  readonly #clock: Clock
  readonly #refreshAheadMs: number
  readonly #minLifeMs: number
  readonly #minBackoffMs: number
  readonly #maxBackoffMs: number
  readonly #random: () => number
  readonly #slots: LRUCache<string, Slot>
  /** By the object, so that who asks with the same one again pays for no key. */
  readonly #slotOf = new WeakMap<Scope, Slot>()

  constructor(provider: CredentialProvider, options: CachedCredentialOptions) {
    this.#provider = provider
    this.#clock = options.clock
    this.#refreshAheadMs = options.refreshAheadMs ?? 5 * 60_000
    this.#minLifeMs = options.minLifeMs ?? 10_000
    this.#minBackoffMs = options.minBackoffMs ?? 500
    this.#maxBackoffMs = options.maxBackoffMs ?? 15_000
    this.#random = options.random ?? Math.random
    this.#slots = new LRUCache({
      max: options.maxScopes ?? 1000,
      dispose: (slot) => {
        slot.isKept = false
      },
    })
  }

  /**
   * The credential in memory, at once, or `undefined` where {@link getCredential} would wait. Begins
   * the renewal of one that is due. Cheapest with the scope object of the last call.
   */
  peek(scope: Scope): Credential | undefined {
    return this.#fromMemory(this.#slot(scope))?.credential
  }

  /**
   * Gives the credential in memory, or waits for one. With `refresh` it waits for one that was
   * asked for after the call or less than a second before it, with the same challenge or without one. Aborting ends the wait, not the
   * request that others share.
   */
  getCredential(scope: Scope, options: CredentialOptions = {}): Promise<Credential> {
    const { signal, refresh, challenge } = options
    if (signal?.aborted === true) return Promise.reject(signal.reason)
    const slot = this.#slot(scope)
    const held = refresh === true ? undefined : this.#fromMemory(slot)
    if (held !== undefined) return held.answer
    return abortable(refresh === true ? this.#refreshed(slot, challenge) : this.#live(slot), signal)
  }

  /** The longest life left of any credential in memory, milliseconds; 0 when there is none. */
  longestLifeMs(): number {
    const lives = [...this.#slots.values()].map((slot) => this.#lifeMs(slot))
    return Math.max(0, ...lives)
  }

  #slot(scope: Scope): Slot {
    const seen = this.#slotOf.get(scope)
    if (seen?.isKept === true) return seen
    const slot = this.#slotByKey(scope, seen)
    this.#slotOf.set(scope, slot)
    return slot
  }

  #slotByKey(scope: Scope, seen: Slot | undefined): Slot {
    const key = seen?.key ?? scopeKey(scope)
    const known = this.#slots.get(key)
    if (known !== undefined) return known
    const slot = seen ?? newSlot(scope, key)
    slot.isKept = true
    this.#slots.set(key, slot)
    return slot
  }

  #fromMemory(slot: Slot): Held | undefined {
    const { held } = slot
    if (held === undefined) return undefined
    const nowMs = this.#clock.nowMs()
    if (nowMs >= held.endingAtMs) return undefined
    if (nowMs >= held.dueAtMs && slot.flight === undefined && !this.#isPausing(slot)) {
      this.#refreshBehind(slot)
    }
    return held
  }

  /** Waits for a credential when the one in memory is missing or about to end. */
  async #live(slot: Slot): Promise<Credential> {
    try {
      return await this.#attempt(slot, false)
    } catch (error) {
      if (slot.held !== undefined && this.#lifeMs(slot) > 0) return slot.held.credential
      throw error
    }
  }

  #refreshed(slot: Slot, challenge: TokenChallenge | undefined): Promise<Credential> {
    const { held } = slot
    const recent =
      held?.forced === true &&
      serves(held.wish, wishOf(challenge)) &&
      this.#clock.nowMs() - held.receivedAtMs < forcedRefreshIntervalMs
    return recent ? held.answer : this.#attempt(slot, true, challenge)
  }

  /** Joins the request under way, fails as the last one did while pausing, or starts one. */
  #attempt(slot: Slot, forced: boolean, challenge?: TokenChallenge): Promise<Credential> {
    const { flight, failure } = slot
    const wish = wishOf(challenge)
    const isEnough = flight !== undefined && serves(flight.wish, wish) && (flight.forced || !forced)
    if (isEnough) return flight.credential
    const isPausing = failure !== undefined && serves(failure.wish, wish) && this.#isPausing(slot)
    if (isPausing) return Promise.reject(failure.error)
    return this.#fetch(slot, forced, challenge)
  }

  #refreshBehind(slot: Slot): void {
    this.#fetch(slot, false).catch((error: unknown) => {
      const reported =
        error instanceof Error ? error : new Error('renewal failed', { cause: error })
      const path = `abfs://${slot.scope.container ?? ''}`
      faultChannel.publish({ operation: 'credential.refresh', path, error: reported })
    })
  }

  #fetch(slot: Slot, forced: boolean, challenge?: TokenChallenge): Promise<Credential> {
    const credential = this.#receive(slot, forced, challenge)
    const flight: Flight = { forced, wish: wishOf(challenge), credential }
    slot.flight = flight
    const land = (): void => {
      if (slot.flight === flight) slot.flight = undefined
    }
    flight.credential.then(land, land)
    return flight.credential
  }

  async #receive(
    slot: Slot,
    forced: boolean,
    challenge: TokenChallenge | undefined,
  ): Promise<Credential> {
    slot.sequence += 1
    const { sequence } = slot
    const wish = wishOf(challenge)
    try {
      const credential = await this.#provider.getCredential(slot.scope, {
        refresh: forced,
        ...(challenge === undefined ? {} : { challenge }),
      })
      // A forced refresh overtakes an ordinary request: the later asked for is the one kept.
      if (sequence > (slot.held?.sequence ?? 0)) {
        slot.held = { ...this.#held(credential), forced, wish, sequence }
      }
      if (sequence === slot.sequence) slot.failure = undefined
      return credential
    } catch (error) {
      // Of two requests under way only the later one tells how the connector is.
      if (sequence === slot.sequence) slot.failure = this.#failureAfter(slot.failure, error, wish)
      throw error
    }
  }

  #failureAfter(last: Failure | undefined, error: unknown, wish: Wish): Failure {
    const count = (last?.count ?? 0) + 1
    const pauseMs = Math.min(this.#minBackoffMs * 2 ** (count - 1), this.#maxBackoffMs)
    return { error, wish, count, retryAtMs: this.#clock.nowMs() + pauseMs }
  }

  #isPausing(slot: Slot): boolean {
    return slot.failure !== undefined && this.#clock.nowMs() < slot.failure.retryAtMs
  }

  #held(credential: Credential): Omit<Held, 'forced' | 'wish' | 'sequence'> {
    const { expiresAtMs } = credential
    const receivedAtMs = this.#clock.nowMs()
    const lifeMs = expiresAtMs - receivedAtMs
    const waitMs = Math.min(lifeMs / 2, lifeMs - this.#refreshAheadMs) * (1 - this.#random() / 10)
    return {
      credential,
      answer: Promise.resolve(credential),
      receivedAtMs,
      dueAtMs: receivedAtMs + Math.max(lifeMs / 4, waitMs),
      endingAtMs: expiresAtMs - Math.min(this.#minLifeMs, lifeMs / 4),
    }
  }

  #lifeMs(slot: Slot): number {
    return slot.held === undefined ? 0 : slot.held.credential.expiresAtMs - this.#clock.nowMs()
  }
}

function wishOf(challenge: TokenChallenge | undefined): Wish {
  if (challenge === undefined) return undefined
  return JSON.stringify([challenge.claims, challenge.tenantId])
}

/** Whether what was asked for with the wish `given` is what `wanted` asks for. */
function serves(given: Wish, wanted: Wish): boolean {
  return wanted === undefined || given === wanted
}

function newSlot(scope: Scope, key: string): Slot {
  return {
    scope,
    key,
    isKept: true,
    held: undefined,
    failure: undefined,
    flight: undefined,
    sequence: 0,
  }
}

async function abortable<T>(value: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return value
  let onAbort = (): void => undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason)
    whenAborted(signal, onAbort)
  })
  try {
    return await Promise.race([value, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
