import type { Clock } from '../../clock.ts'
import type { ChallengeRules } from '../access/challenge.ts'
import { DelegationKeys } from '../access/delegation-key.ts'
import { Revocations } from '../access/revocations.ts'
import { Roles } from '../access/roles.ts'
import type { StorageRequest } from '../wire/request.ts'
import { type BodyFilter, corruptAt, cutAfter, joined, paced, pauseAfter } from './body-filters.ts'
import { faultAnswer } from './fault-answer.ts'
import { type ActiveFault, type FaultEffect, type FaultRule, Faults } from './fault-rule.ts'
import type { Exchange, Interference, Outcome, ServerHooks } from './hooks.ts'
import { Ledger, ledgerPath } from './ledger.ts'
import { SkewedClock } from './skewed-clock.ts'

/*
 * All that can be turned while a server runs, and all that it remembers. The caller gives `clock`
 * to accounts and server, `roles`, `revocations` and `delegationKeys` to the access control, and the
 * whole to the server as its hooks.
 */

/** Delay and speed of every request. */
export interface Link {
  /** Before the verb runs, milliseconds. */
  readonly latencyMs?: number | undefined
  /** Of each request on its own, both ways; unlimited when absent. */
  readonly bytesPerSecond?: number | undefined
}

/** What a control is made of. */
export interface ServerControlOptions {
  readonly clock: Clock
  readonly ledger?: Ledger | undefined
  readonly roles?: Roles | undefined
  /** For 401 with a claims challenge. */
  readonly challenge?: ChallengeRules | undefined
}

const nowhere: ChallengeRules = { authorizationUri: 'https://login.microsoftonline.com/common' }

/** Watches and disturbs the requests of a server. */
export class ServerControl implements ServerHooks {
  readonly ledger: Ledger
  readonly faults: Faults = new Faults()
  readonly clock: SkewedClock
  readonly roles: Roles
  readonly revocations: Revocations = new Revocations()
  readonly delegationKeys: DelegationKeys = new DelegationKeys()
  link: Link = {}
  readonly #timer: Clock
  readonly #challenge: ChallengeRules
  #stalls = new AbortController()
  readonly #end = new AbortController()

  constructor(options: ServerControlOptions) {
    this.#timer = options.clock
    this.clock = new SkewedClock(options.clock)
    this.ledger = options.ledger ?? new Ledger()
    this.roles = options.roles ?? new Roles()
    this.#challenge = options.challenge ?? nowhere
  }

  /** Puts these faults in the place of all, and lets go what was stalled. */
  replaceFaults(rules: readonly FaultRule[]): readonly ActiveFault[] {
    const active = this.faults.replace(rules)
    this.#stalls.abort()
    this.#stalls = new AbortController()
    return active
  }

  begin(request: StorageRequest, verb: string): Exchange | Promise<Exchange> {
    const fault = this.faults.next(request, verb)
    const startMs = this.#timer.nowMs()
    const end = (outcome: Outcome): void => this.#write({ request, verb, fault, startMs }, outcome)
    const { latencyMs, bytesPerSecond } = this.link
    if (fault === undefined && latencyMs === undefined && bytesPerSecond === undefined) {
      return { end }
    }
    return this.#disturbed(request, fault, end)
  }

  /** Ends all that waits: stalled requests are cut, slow bodies too. Never throws. */
  close(): void {
    this.#end.abort()
    this.#stalls.abort()
  }

  async #disturbed(
    request: StorageRequest,
    fault: ActiveFault | undefined,
    end: (outcome: Outcome) => void,
  ): Promise<Exchange> {
    const effect = fault?.rule.effect
    const runsVerb = fault?.rule.runsVerb
    const isCut = !(await this.#wait(request, effect))
    const instead = isCut ? ({ kind: 'reset' } as const) : this.#instead(effect)
    const body = joined([...this.#effectFilters(effect), ...this.#linkFilters()])
    return { instead, runsVerb, body, end }
  }

  /** Latency, the time the request's body takes on the link, a stall; false when the server ends. */
  async #wait(request: StorageRequest, effect: FaultEffect | undefined): Promise<boolean> {
    const { latencyMs = 0, bytesPerSecond } = this.link
    const bytes = Number(request.headers['content-length'] ?? 0)
    const transferMs = bytesPerSecond === undefined ? 0 : (bytes / bytesPerSecond) * 1000
    const linkMs = latencyMs + transferMs
    if (linkMs > 0 && !(await this.#sleeps(linkMs))) return false
    if (effect?.kind === 'stall') await this.#stall(effect.ms)
    return !this.#end.signal.aborted
  }

  #instead(effect: FaultEffect | undefined): Interference | undefined {
    if (effect?.kind === 'reset') return { kind: 'reset' }
    if (effect?.kind !== 'status') return undefined
    return { kind: 'error', error: faultAnswer(effect, this.#challenge) }
  }

  #effectFilters(effect: FaultEffect | undefined): readonly BodyFilter[] {
    switch (effect?.kind) {
      case 'resetInBody':
        return [cutAfter(effect.afterBytes, 'throw')]
      case 'truncate':
        return [cutAfter(effect.afterBytes, 'end')]
      case 'corrupt':
        return [corruptAt(effect.at ?? 0)]
      case 'stallInBody':
        return [pauseAfter(effect.afterBytes, () => this.#stall(effect.ms))]
      case 'slowBody':
        return [this.#paced(effect.bytesPerSecond)]
      default:
        return []
    }
  }

  #linkFilters(): readonly BodyFilter[] {
    const { bytesPerSecond } = this.link
    return bytesPerSecond === undefined ? [] : [this.#paced(bytesPerSecond)]
  }

  #paced(bytesPerSecond: number): BodyFilter {
    return paced(bytesPerSecond, this.#timer, (ms) => this.#timer.sleep(ms, this.#end.signal))
  }

  /** Waits until the time is over, the faults are replaced or the server ends. */
  async #stall(ms: number | undefined): Promise<void> {
    const { signal } = this.#stalls
    const released = new Promise<void>((resolve) => {
      if (signal.aborted) resolve()
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
    if (ms === undefined) await released
    else await Promise.race([released, this.#sleeps(ms)])
  }

  async #sleeps(ms: number): Promise<boolean> {
    return this.#timer.sleep(ms, this.#end.signal).then(
      () => true,
      () => false,
    )
  }

  #write(call: Call, outcome: Outcome): void {
    const { request, verb, fault, startMs } = call
    this.ledger.write({
      time: new Date(startMs).toISOString(),
      verb,
      face: request.face,
      method: request.method,
      account: request.account,
      path: ledgerPath(request),
      ms: this.#timer.nowMs() - startMs,
      requestId: request.requestId,
      clientRequestId: request.headers['x-ms-client-request-id'],
      fault: fault?.id,
      status: outcome.status,
      errorCode: outcome.errorCode,
      bytesIn: outcome.bytesIn,
      bytesOut: outcome.bytesOut,
    })
  }
}

interface Call {
  readonly request: StorageRequest
  readonly verb: string
  readonly fault: ActiveFault | undefined
  readonly startMs: number
}
