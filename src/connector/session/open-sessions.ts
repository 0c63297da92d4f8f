import { randomBytes } from 'node:crypto'
import { type Clock, repeat } from '../../clock.ts'
import { DatabaseSessionStore, MemorySessionStore } from '../state/session-store.ts'
import type { State } from '../state/state.ts'
import { ProofCheck } from './dpop.ts'
import { DatabaseReplayStore, MemoryReplayStore } from './replay-store.ts'
import { type SessionBody, sessionBody } from './session.ts'
import { Sessions } from './sessions.ts'

/** Sessions, and the check of proofs that belongs to them. */
export interface OpenSessions {
  readonly sessions: Sessions
  readonly proofs: ProofCheck
  /** Stops forgetting what has ended. */
  close(): void
}

const sweepEveryMs = 60_000

/**
 * Keeps sessions in the state, or in memory without one. What was shown once is remembered where
 * all replicas see it, when there are several.
 */
export function openSessions(state: State | undefined, clock: Clock): OpenSessions {
  const store =
    state === undefined
      ? new MemorySessionStore<SessionBody>()
      : new DatabaseSessionStore(state.database, sessionBody)
  const replays =
    state?.database.shared === true
      ? new DatabaseReplayStore(state.database)
      : new MemoryReplayStore(clock)
  const nonceKey = state?.derivedKey('dpop nonce') ?? randomBytes(32)
  const sessions = new Sessions({ store, clock })
  const stop = repeat(sweepEveryMs, () => {
    // What cannot be swept now is swept a minute later; it has ended all the same.
    sessions.sweep().catch(() => undefined)
    replays.sweep(clock.nowMs()).catch(() => undefined)
  })
  return { sessions, proofs: new ProofCheck({ clock, replays, nonceKey }), close: stop }
}
