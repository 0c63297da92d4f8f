import type { Pool, PoolClient } from 'pg'
import { FileSystemError } from '../../errors.ts'
import type { Database, Queries, Row, SqlValue } from './database.ts'

/** Connections of one replica. */
const maxConnections = 8

/**
 * Opens a PostgreSQL server (14 or later) by its URL, `postgres://…`, for as many processes as
 * there are. Rejects with `EIO` when it does not answer, without repeating the URL.
 */
export async function openPostgresDatabase(url: string): Promise<Database> {
  const { default: pg } = await import('pg')
  const pool = new pg.Pool({
    connectionString: url,
    max: maxConnections,
    connectionTimeoutMillis: 10_000,
    statement_timeout: 20_000,
    types: {
      getTypeParser: (type, format) =>
        type === pg.types.builtins.INT8
          ? Number
          : pg.types.getTypeParser(type, format === 'binary' ? 'text' : format),
    },
  })
  // A connection that breaks while nobody uses it is replaced; who uses one is told by its query.
  pool.on('error', () => undefined)
  const database = new PostgresDatabase(pool)
  try {
    await database.query('select 1')
  } catch (cause) {
    await database.close()
    throw unreachable(cause)
  }
  return database
}

class PostgresDatabase implements Database {
  readonly shared = true
  readonly #pool: Pool
  #ended = false

  constructor(pool: Pool) {
    this.#pool = pool
  }

  query(sql: string, values: readonly SqlValue[] = []): Promise<readonly Row[]> {
    return rowsOf(this.#pool, sql, values)
  }

  async transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect()
    try {
      await client.query('begin')
      const result = await work({ query: (sql, values = []) => rowsOf(client, sql, values) })
      await client.query('commit')
      client.release()
      return result
    } catch (error) {
      await rollBack(client)
      throw error
    }
  }

  async close(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    await this.#pool.end().catch(() => undefined)
  }
}

/** A connection on which nothing can be rolled back is thrown away. */
async function rollBack(client: PoolClient): Promise<void> {
  try {
    await client.query('rollback')
    client.release()
  } catch {
    client.release(true)
  }
}

async function rowsOf(
  target: Pick<Pool | PoolClient, 'query'>,
  sql: string,
  values: readonly SqlValue[],
): Promise<readonly Row[]> {
  const { rows } = await target.query<Record<string, unknown>>(sql, [...values])
  return rows
}

function unreachable(cause: unknown): FileSystemError {
  return new FileSystemError('EIO', 'connector.state', {
    detail:
      'PostgreSQL does not answer, or refuses: check the URL that state.urlFile or state.urlEnv names',
    retryable: true,
    cause,
  })
}
