import type { AuditLog, AuditRecord } from '../audit.ts'
import type { Database, SqlValue } from './database.ts'

/** What is asked of the audit log; newest first. */
export interface AuditQuestion {
  readonly caller?: string | undefined
  readonly action?: string | undefined
  readonly decision?: string | undefined
  readonly auditId?: string | undefined
  readonly sinceMs?: number | undefined
  readonly untilMs?: number | undefined
  /** Lines before this one, for the next page. */
  readonly before?: number | undefined
  readonly limit: number
}

/** A page of the log. `next` is the `before` of the next page; absent at the end. */
export interface AuditPage {
  readonly records: readonly AuditRecord[]
  readonly next?: number | undefined
}

interface Waiting {
  readonly record: AuditRecord
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Records that go into one statement; more wait for the next. */
const maxBatch = 500

/**
 * Writes decisions to a database. Those that arrive while a statement runs go together into the
 * next one: each is durable before its `write` resolves, and a busy server does not wait for each.
 */
export class AuditStore implements AuditLog {
  readonly #database: Database
  #waiting: Waiting[] = []
  #writing: Promise<void> | undefined

  constructor(database: Database) {
    this.#database = database
  }

  write(record: AuditRecord): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ record, resolve, reject })
      this.#writing ??= this.#drain()
    })
  }

  async close(): Promise<void> {
    await this.#writing
  }

  async find(question: AuditQuestion): Promise<AuditPage> {
    const conditions: [string, SqlValue | undefined][] = [
      ['caller =', question.caller],
      ['action =', question.action],
      ['decision =', question.decision],
      ['audit_id::text =', question.auditId],
      ['time_ms >=', question.sinceMs],
      ['time_ms <', question.untilMs],
      ['sequence <', question.before],
    ]
    const values: SqlValue[] = []
    const clauses = conditions.flatMap(([clause, value]) =>
      value === undefined ? [] : [`${clause} $${values.push(value)}`],
    )
    const where = clauses.length === 0 ? '' : `where ${clauses.join(' and ')}`
    const rows = await this.#database.query(
      `select sequence, record from audit ${where} order by sequence desc limit $${values.push(question.limit)}`,
      values,
    )
    const last = rows.length < question.limit ? undefined : Number(rows.at(-1)?.['sequence'])
    return { records: rows.map((row) => row['record'] as AuditRecord), next: last }
  }

  /** Forgets what is older; gives how many lines. */
  async prune(olderThanMs: number): Promise<number> {
    const [row] = await this.#database.query(
      'with gone as (delete from audit where time_ms < $1 returning 1) select count(*) as n from gone',
      [olderThanMs],
    )
    return Number(row?.['n'] ?? 0)
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, maxBatch)
      try {
        await this.#insert(batch)
        for (const { resolve } of batch) resolve()
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    this.#writing = undefined
  }

  async #insert(batch: readonly Waiting[]): Promise<void> {
    const lines = batch.map(({ record }) => ({ record, timeMs: Date.parse(record.time) }))
    await this.#database.query(
      `insert into audit (audit_id, time_ms, caller, action, decision, record)
       select (line->'record'->>'auditId')::uuid, (line->>'timeMs')::bigint,
         line->'record'->>'caller', line->'record'->>'action', line->'record'->>'decision',
         line->'record'
       from jsonb_array_elements($1::jsonb) as line`,
      [JSON.stringify(lines)],
    )
  }
}
