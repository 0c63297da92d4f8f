import { FileSystemError } from '../../errors.ts'
import type { Database, Queries } from './database.ts'

/** Every change of the schema, in order. One that was released is never edited. */
const migrations: readonly (readonly string[])[] = [
  [
    ...['connectors', 'policies', 'api_keys'].map(
      (table) => `create table ${table} (
        id uuid primary key,
        name text not null unique,
        revision bigint not null,
        body jsonb not null,
        secrets jsonb not null,
        created_ms bigint not null,
        updated_ms bigint not null)`,
    ),
    `create table sessions (
      id uuid primary key,
      body jsonb not null,
      refresh_hash text not null,
      revision bigint not null,
      expires_ms bigint not null)`,
    'create index sessions_expiry on sessions (expires_ms)',
    `create table proofs (
      id text primary key,
      expires_ms bigint not null)`,
    'create index proofs_expiry on proofs (expires_ms)',
    `create table audit (
      sequence bigint generated always as identity primary key,
      audit_id uuid not null,
      time_ms bigint not null,
      caller text,
      action text not null,
      decision text not null,
      record jsonb not null)`,
    'create index audit_time on audit (time_ms)',
    'create index audit_caller on audit (caller, time_ms)',
    'create table generation (n bigint not null)',
    'insert into generation values (1)',
    'create table seal_check (id integer primary key, sealed text not null)',
  ],
]

/** Any number; the same in every replica. */
const lockId = 838_471

/**
 * Brings the schema to this version, once, however many replicas start together. Rejects with
 * `ENOTSUP` when a later version of abfs has changed it.
 */
export async function migrate(database: Database): Promise<void> {
  await database.transaction(async (queries) => {
    await queries.query('select pg_advisory_xact_lock($1)', [lockId])
    await queries.query(
      'create table if not exists schema_version (version integer not null, at_ms bigint not null)',
    )
    const version = await versionOf(queries)
    if (version > migrations.length) throw tooNew(version)
    for (const [index, statements] of migrations.entries()) {
      if (index < version) continue
      for (const statement of statements) await queries.query(statement)
      await queries.query(
        'insert into schema_version values ($1, (extract(epoch from now()) * 1000)::bigint)',
        [index + 1],
      )
    }
  })
}

async function versionOf(queries: Queries): Promise<number> {
  const [row] = await queries.query(
    'select coalesce(max(version), 0) as version from schema_version',
  )
  return Number(row?.['version'] ?? 0)
}

function tooNew(version: number): FileSystemError {
  return new FileSystemError('ENOTSUP', 'connector.state', {
    detail: `the database has schema ${version}, this abfs knows ${migrations.length}: use the version of abfs that the other replicas have`,
  })
}
