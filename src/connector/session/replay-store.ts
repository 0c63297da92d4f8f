import type { Clock } from '../../clock.ts'
import { ConnectorError } from '../connector-error.ts'
import type { Database } from '../state/database.ts'

/** Remembers what may be used once. */
export interface ReplayStore {
  /** Whether it was not there; remembers it until then. */
  add(id: string, untilMs: number): Promise<boolean>
  /** Forgets what need not be remembered any more. */
  sweep(nowMs: number): Promise<void>
}

/** In the memory of one process. When it is full it refuses rather than forgets. */
export class MemoryReplayStore implements ReplayStore {
  readonly #seen = new Map<string, number>()
  readonly #clock: Clock
  readonly #max: number

  constructor(clock: Clock, max: number = 500_000) {
    this.#clock = clock
    this.#max = max
  }

  async add(id: string, untilMs: number): Promise<boolean> {
    const nowMs = this.#clock.nowMs()
    const known = this.#seen.get(id)
    if (known !== undefined && known > nowMs) return false
    if (this.#seen.size >= this.#max) await this.sweep(nowMs)
    if (this.#seen.size >= this.#max) throw full()
    this.#seen.set(id, untilMs)
    return true
  }

  async sweep(nowMs: number): Promise<void> {
    for (const [id, untilMs] of this.#seen) if (untilMs <= nowMs) this.#seen.delete(id)
  }
}

/** In the database that replicas share: a proof shown to one is used for all. */
export class DatabaseReplayStore implements ReplayStore {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async add(id: string, untilMs: number): Promise<boolean> {
    const rows = await this.#database.query(
      'insert into proofs (id, expires_ms) values ($1, $2) on conflict do nothing returning id',
      [id, untilMs],
    )
    return rows.length === 1
  }

  async sweep(nowMs: number): Promise<void> {
    await this.#database.query('delete from proofs where expires_ms <= $1', [nowMs])
  }
}

function full(): ConnectorError {
  return new ConnectorError('temporarily_unavailable', 'throttled', {
    status: 429,
    detail: 'more proofs of possession arrive than the connector remembers',
    hint: 'slow down',
    retryable: true,
  })
}
