import type { Clock } from '../clock.ts'
import { ConnectorError } from './connector-error.ts'

/** What one check found. */
export interface CheckResult {
  readonly name: CheckName
  readonly status: 'passed' | 'failed' | 'skipped'
  readonly durationMs: number
  /** Why it failed or was skipped. No credential. */
  readonly reason?: string | undefined
}

export type CheckName =
  | 'config-well-formed'
  | 'identity-acquired'
  | 'policy-allows'
  | 'udk-issued'
  | 'credential-issued'
  | 'hns-detected'
  | 'list-root'
  | 'read-write'
  | 'cleanup'
  | 'scope-enforced-parent'
  | 'scope-enforced-sibling'
  | 'clock-skew'
  | 'acr-exchange'
  | 'acr-pull'
  | 'aks-token'
  | 'aks-reachable'

/** Why a check has nothing to look at. */
export class Skipped extends Error {}

/** Runs checks one after the other and keeps what they found. */
export class Checks {
  readonly results: CheckResult[] = []
  readonly #clock: Clock
  readonly #signal: AbortSignal | undefined
  readonly #limitMs: number | undefined

  /** A check that takes longer than `limitMs` has failed; there is no limit when it is absent. */
  constructor(clock: Clock, signal?: AbortSignal | undefined, limitMs?: number | undefined) {
    this.#clock = clock
    this.#signal = signal
    this.#limitMs = limitMs
  }

  /** Never rejects but when aborted. */
  async run(name: CheckName, look: () => Promise<void>): Promise<void> {
    const beganAtMs = this.#clock.nowMs()
    const end = (status: CheckResult['status'], reason?: string): void => {
      const durationMs = this.#clock.nowMs() - beganAtMs
      this.results.push({ name, status, durationMs, reason })
    }
    try {
      await this.#inTime(look)
      end('passed')
    } catch (error) {
      this.#signal?.throwIfAborted()
      end(error instanceof Skipped ? 'skipped' : 'failed', reasonOf(error))
    }
  }

  async #inTime(look: () => Promise<void>): Promise<void> {
    const limitMs = this.#limitMs
    if (limitMs === undefined) return look()
    const waiting = new AbortController()
    const late = this.#clock.sleep(limitMs, waiting.signal).then(() => {
      throw new Error(`there was no answer within ${limitMs / 1000} s`)
    })
    try {
      await Promise.race([look(), late])
    } finally {
      late.catch(() => undefined)
      waiting.abort()
    }
  }
}

/** A refusal with what to do about it, the missing role's command among it. */
function reasonOf(error: unknown): string {
  if (!(error instanceof ConnectorError))
    return error instanceof Error ? error.message : String(error)
  const { reason, detail, hint } = error
  return hint === undefined ? `${reason}: ${detail}` : `${reason}: ${detail}; ${hint}`
}

/** Throws for any other status than those wanted. */
export function expectStatus(what: string, status: number, wanted: readonly number[]): void {
  if (wanted.includes(status)) return
  throw new Error(`${what}: HTTP ${status}, expected ${wanted.join(' or ')}`)
}
