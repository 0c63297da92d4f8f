import type { z } from 'zod'
import type { Database, Row } from './database.ts'

/** A session as it is kept. `refreshHash` tells the refresh token that is good now. */
export interface StoredSession<T> {
  readonly id: string
  readonly body: T
  readonly refreshHash: string
  readonly revision: number
  readonly expiresAtMs: number
}

/** Where sessions are kept. */
export interface SessionStore<T> {
  add(session: StoredSession<T>): Promise<void>
  get(id: string): Promise<StoredSession<T> | undefined>
  /** Replaces it if it still has the revision before; whether it had. */
  replace(session: StoredSession<T>): Promise<boolean>
  /** Whether there was one. */
  remove(id: string): Promise<boolean>
  /** Forgets those that ended before; gives how many. */
  sweep(nowMs: number): Promise<number>
  count(): Promise<number>
}

/** Sessions in a database, where a restart and other replicas find them. */
export class DatabaseSessionStore<T> implements SessionStore<T> {
  readonly #database: Database
  readonly #schema: z.ZodType<T>

  constructor(database: Database, schema: z.ZodType<T>) {
    this.#database = database
    this.#schema = schema
  }

  async add({ id, body, refreshHash, revision, expiresAtMs }: StoredSession<T>): Promise<void> {
    await this.#database.query(
      'insert into sessions (id, body, refresh_hash, revision, expires_ms) values ($1, $2, $3, $4, $5)',
      [id, JSON.stringify(body), refreshHash, revision, expiresAtMs],
    )
  }

  async get(id: string): Promise<StoredSession<T> | undefined> {
    const [row] = await this.#database.query('select * from sessions where id = $1', [id])
    return row === undefined ? undefined : this.#session(row)
  }

  async replace(session: StoredSession<T>): Promise<boolean> {
    const { id, body, refreshHash, revision, expiresAtMs } = session
    const rows = await this.#database.query(
      `update sessions set body = $2, refresh_hash = $3, revision = $4, expires_ms = $5
       where id = $1 and revision = $4 - 1 returning id`,
      [id, JSON.stringify(body), refreshHash, revision, expiresAtMs],
    )
    return rows.length === 1
  }

  async remove(id: string): Promise<boolean> {
    const rows = await this.#database.query('delete from sessions where id = $1 returning id', [id])
    return rows.length === 1
  }

  async sweep(nowMs: number): Promise<number> {
    const rows = await this.#database.query(
      'with gone as (delete from sessions where expires_ms <= $1 returning 1) select count(*) as n from gone',
      [nowMs],
    )
    return Number(rows[0]?.['n'] ?? 0)
  }

  async count(): Promise<number> {
    const [row] = await this.#database.query('select count(*) as n from sessions')
    return Number(row?.['n'] ?? 0)
  }

  #session(row: Row): StoredSession<T> {
    return {
      id: String(row['id']),
      body: this.#schema.parse(row['body']),
      refreshHash: String(row['refresh_hash']),
      revision: Number(row['revision']),
      expiresAtMs: Number(row['expires_ms']),
    }
  }
}

/** Sessions of a connector without a database: they end with its process. */
export class MemorySessionStore<T> implements SessionStore<T> {
  readonly #sessions = new Map<string, StoredSession<T>>()

  async add(session: StoredSession<T>): Promise<void> {
    this.#sessions.set(session.id, session)
  }

  async get(id: string): Promise<StoredSession<T> | undefined> {
    return this.#sessions.get(id)
  }

  async replace(session: StoredSession<T>): Promise<boolean> {
    if (this.#sessions.get(session.id)?.revision !== session.revision - 1) return false
    this.#sessions.set(session.id, session)
    return true
  }

  async remove(id: string): Promise<boolean> {
    return this.#sessions.delete(id)
  }

  async sweep(nowMs: number): Promise<number> {
    const before = this.#sessions.size
    for (const { id, expiresAtMs } of this.#sessions.values()) {
      if (expiresAtMs <= nowMs) this.#sessions.delete(id)
    }
    return before - this.#sessions.size
  }

  async count(): Promise<number> {
    return this.#sessions.size
  }
}
