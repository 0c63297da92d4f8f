import type { Clock } from '../clock.ts'

/** What one check found. */
export interface CheckResult {
  readonly name: CheckName
  readonly status: 'passed' | 'failed' | 'skipped'
  readonly durationMs: number
  /** Why it failed or was skipped. No credential. */
  readonly reason?: string | undefined
}

export type CheckName =
  | 'identity-acquired'
  | 'policy-allows'
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

  constructor(clock: Clock, signal: AbortSignal | undefined) {
    this.#clock = clock
    this.#signal = signal
  }

  /** Never rejects but when aborted. */
  async run(name: CheckName, look: () => Promise<void>): Promise<void> {
    const beganAtMs = this.#clock.nowMs()
    const end = (status: CheckResult['status'], reason?: string): void => {
      const durationMs = this.#clock.nowMs() - beganAtMs
      this.results.push({ name, status, durationMs, reason })
    }
    try {
      await look()
      end('passed')
    } catch (error) {
      this.#signal?.throwIfAborted()
      const reason = error instanceof Error ? error.message : String(error)
      end(error instanceof Skipped ? 'skipped' : 'failed', reason)
    }
  }
}

/** Throws for any other status than those wanted. */
export function expectStatus(what: string, status: number, wanted: readonly number[]): void {
  if (wanted.includes(status)) return
  throw new Error(`${what}: HTTP ${status}, expected ${wanted.join(' or ')}`)
}
