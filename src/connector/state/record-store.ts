import { randomUUID } from 'node:crypto'
import type { z } from 'zod'
import type { Clock } from '../../clock.ts'
import { ConnectorError } from '../connector-error.ts'
import type { StoredRecord } from '../model/record.ts'
import type { Database, Queries, Row } from './database.ts'
import { type KeyRing, seal, sealingKeyOf, unseal } from './seal.ts'

type Named = { readonly name: string }
type SecretTexts = Readonly<Record<string, string | undefined>>

/** How a {@link RecordStore} keeps its records. */
export interface RecordStoreOptions<T extends Named> {
  readonly database: Database
  readonly table: 'connectors' | 'policies' | 'api_keys'
  /** What a record is, in messages. */
  readonly kind: string
  readonly schema: z.ZodType<T>
  readonly ring: KeyRing
  readonly clock: Clock
}

/** A change of one record. */
export interface RecordChange<T> {
  readonly body: T
  /** Replaces all secrets; those there are stay when absent. */
  readonly secrets?: SecretTexts | undefined
}

/**
 * Named objects with a revision, and sealed secrets beside them. Each change also counts up the
 * generation, by which other replicas notice. What was acknowledged survives the process.
 */
export class RecordStore<T extends Named> {
  readonly #options: RecordStoreOptions<T>

  constructor(options: RecordStoreOptions<T>) {
    this.#options = options
  }

  /** All of them, by name. */
  async list(): Promise<readonly StoredRecord<T>[]> {
    const { database, table } = this.#options
    const rows = await database.query(`select * from ${table} order by name`)
    return rows.map((row) => this.#record(row))
  }

  /** By id or name; `undefined` when there is none. */
  async get(idOrName: string): Promise<StoredRecord<T> | undefined> {
    const row = await this.#row(this.#options.database, idOrName)
    return row === undefined ? undefined : this.#record(row)
  }

  /** Rejects with `already_exists` when the name is taken. */
  async add(body: T, secrets: SecretTexts = {}): Promise<StoredRecord<T>> {
    const { database, table, kind, clock } = this.#options
    const id = randomUUID()
    const nowMs = clock.nowMs()
    return database.transaction(async (queries) => {
      const [row] = await queries.query(
        `insert into ${table} (id, name, revision, body, secrets, created_ms, updated_ms)
         values ($1, $2, 1, $3, $4, $5, $5) on conflict (name) do nothing returning *`,
        [id, body.name, JSON.stringify(body), this.#sealAll(id, secrets), nowMs],
      )
      if (row === undefined) throw exists(kind, body.name)
      await countUp(queries)
      return this.#record(row)
    })
  }

  /**
   * Replaces the body, if the record still has the revision named. Rejects with `not_found`, or
   * `revision_mismatch` when it was changed meanwhile.
   */
  async change(
    idOrName: string,
    revision: number | undefined,
    edit: (old: T) => RecordChange<T>,
  ): Promise<StoredRecord<T>> {
    const { database, table } = this.#options
    return database.transaction(async (queries) => {
      const old = this.#record(await this.#expected(queries, idOrName, revision))
      const { body, secrets } = edit(old.body)
      const sealed = secrets === undefined ? null : this.#sealAll(old.id, secrets)
      const [row] = await queries.query(
        `update ${table} set body = $2, secrets = coalesce($3::jsonb, secrets),
           revision = revision + 1, updated_ms = $4 where id = $1 returning *`,
        [old.id, JSON.stringify(body), sealed, this.#options.clock.nowMs()],
      )
      await countUp(queries)
      return this.#record(row ?? {})
    })
  }

  /** Rejects as {@link change} does. */
  async remove(idOrName: string, revision: number | undefined): Promise<StoredRecord<T>> {
    const { database, table } = this.#options
    return database.transaction(async (queries) => {
      const old = this.#record(await this.#expected(queries, idOrName, revision))
      await queries.query(`delete from ${table} where id = $1`, [old.id])
      await countUp(queries)
      return old
    })
  }

  /** The secrets of a record, opened. Rejects with `EACCES` when the ring lacks the key. */
  async secrets(id: string): Promise<Readonly<Record<string, string>>> {
    const row = await this.#row(this.#options.database, id)
    return Object.fromEntries(
      Object.entries(sealedOf(row)).map(([field, sealed]) => [
        field,
        this.#open(id, field, sealed),
      ]),
    )
  }

  /** Seals anew what another than the first key of the ring has sealed; gives how many records. */
  async reseal(): Promise<number> {
    const { database, table, ring } = this.#options
    return database.transaction(async (queries) => {
      const rows = await queries.query(`select * from ${table} for update`)
      const old = rows.filter((row) =>
        Object.values(sealedOf(row)).some((sealed) => sealingKeyOf(sealed) !== ring.current),
      )
      for (const row of old) {
        const id = String(row['id'])
        const opened = Object.entries(sealedOf(row)).map(([field, sealed]) => [
          field,
          this.#open(id, field, sealed),
        ])
        const sealed = this.#sealAll(id, Object.fromEntries(opened))
        await queries.query(`update ${table} set secrets = $2 where id = $1`, [id, sealed])
      }
      return old.length
    })
  }

  async #expected(queries: Queries, idOrName: string, revision?: number): Promise<Row> {
    const { kind } = this.#options
    const row = await this.#row(queries, idOrName, 'for update')
    if (row === undefined) throw notFound(kind, idOrName)
    if (revision !== undefined && row['revision'] !== revision) throw mismatch(kind, idOrName)
    return row
  }

  async #row(queries: Queries, idOrName: string, lock = ''): Promise<Row | undefined> {
    const [row] = await queries.query(
      `select * from ${this.#options.table} where id::text = $1 or name = $1 ${lock}`,
      [idOrName],
    )
    return row
  }

  #record(row: Row): StoredRecord<T> {
    return {
      id: String(row['id']),
      revision: Number(row['revision']),
      createdAtMs: Number(row['created_ms']),
      updatedAtMs: Number(row['updated_ms']),
      body: this.#options.schema.parse(row['body']),
      declared: false,
    }
  }

  #sealAll(id: string, secrets: SecretTexts): string {
    const { ring, table } = this.#options
    const sealed = Object.entries(secrets).flatMap(([field, text]) =>
      text === undefined ? [] : [[field, seal(ring, { row: `${table}/${id}`, field }, text)]],
    )
    return JSON.stringify(Object.fromEntries(sealed))
  }

  #open(id: string, field: string, sealed: string): string {
    return unseal(this.#options.ring, { row: `${this.#options.table}/${id}`, field }, sealed)
  }
}

function sealedOf(row: Row | undefined): Readonly<Record<string, string>> {
  return Object(row?.['secrets'] ?? {})
}

async function countUp(queries: Queries): Promise<void> {
  await queries.query('update generation set n = n + 1')
}

/** Says that an object with this name is there already. */
export function exists(kind: string, name: string): ConnectorError {
  return new ConnectorError('invalid_request', 'conflict', {
    status: 409,
    detail: `there is a ${kind} named '${name}'`,
    hint: 'choose another name, or change the one there is',
  })
}

/** Says that no object has this id or name. */
export function notFound(kind: string, idOrName: string): ConnectorError {
  // What is longer than an id may be a whole key, and details are kept in the audit log.
  const named = kind === 'key' && idOrName.length > 36 ? '' : ` '${idOrName.slice(0, 64)}'`
  return new ConnectorError('invalid_request', 'not_found', {
    status: 404,
    detail: `there is no ${kind}${named}`,
    hint: `list them, and use an id or a name`,
  })
}

function mismatch(kind: string, idOrName: string): ConnectorError {
  return new ConnectorError('invalid_request', 'conflict', {
    status: 412,
    detail: `the ${kind} '${idOrName}' was changed meanwhile`,
    hint: 'read it again, and send its new etag in If-Match',
  })
}
