import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { fdatasyncSync } from 'node:fs'
import { readdir, rename, rm, stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import type { PGlite, PGliteOptions } from '@electric-sql/pglite'
import { FileSystemError } from '../../errors.ts'
import { makeDirectories } from '../../make-directories.ts'
import type { Database, Queries, Row, SqlValue } from './database.ts'
import { syncPath, syncTree } from './sync-tree.ts'
import type { SyncFile } from './synced-files.ts'

/** How an embedded database is opened. */
export interface EmbeddedOptions {
  /**
   * Puts what is committed on the disk, so that it outlives the machine; fdatasync(2) when absent.
   * `false`: it is with the kernel, and outlives the process.
   */
  readonly sync?: SyncFile | false | undefined
}

/**
 * Opens PostgreSQL compiled to WebAssembly on a directory of this machine, for one process at a
 * time. The directory is made for its owner alone. Rejects with `EBUSY` when another process of
 * this machine has it open, `EIO` when it cannot be read.
 */
export async function openEmbeddedDatabase(
  directory: string,
  { sync = fdatasyncSync }: EmbeddedOptions = {},
): Promise<Database> {
  await makeDirectories(directory, 0o700)
  const lock = await takeLock(directory)
  try {
    const { PGlite } = await import('@electric-sql/pglite')
    const parsers = { [INT8]: Number }
    const data = await dataDirectory(directory, async (dataDir) => {
      await (await PGlite.create({ dataDir })).close()
      if (sync !== false) await syncTree(dataDir)
    })
    const place = sync === false ? { dataDir: data } : await synced(data, sync)
    return new EmbeddedDatabase(await PGlite.create({ ...place, parsers }), lock)
  } catch (cause) {
    lock?.close()
    throw unreadable(directory, cause)
  }
}

/** PGlite is loaded where there is a state alone. */
async function synced(data: string, sync: SyncFile): Promise<PGliteOptions> {
  const { syncedOptions } = await import('./synced-files.ts')
  return syncedOptions(data, sync)
}

/** The type id of `bigint`. */
const INT8 = 20

/** A first start that is interrupted leaves a directory that is never taken for a database. */
async function dataDirectory(
  directory: string,
  make: (data: string) => Promise<void>,
): Promise<string> {
  const data = join(directory, 'data')
  for (const name of await readdir(directory)) {
    if (name.startsWith('making-')) await rm(join(directory, name), { recursive: true })
  }
  if (!(await exists(data))) {
    const making = join(directory, `making-${process.pid}`)
    await make(making)
    await rename(making, data)
    await syncPath(directory)
  }
  return data
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}

/**
 * A socket in Linux's abstract namespace, named for the directory's device and inode: the kernel
 * frees it however the process ends. Elsewhere there is no lock.
 */
async function takeLock(directory: string): Promise<Server | undefined> {
  if (process.platform !== 'linux') return undefined
  const { dev, ino } = await stat(directory, { bigint: true })
  const name = createHash('sha256').update(`${dev}:${ino}`).digest('hex').slice(0, 32)
  const server = createServer((socket) => socket.destroy())
  server.listen(`\0abfs-state-${name}`)
  try {
    await once(server, 'listening')
  } catch (cause) {
    throw inUse(directory, cause)
  }
  return server.unref()
}

class EmbeddedDatabase implements Database {
  readonly shared = false
  readonly #database: PGlite
  readonly #lock: Server | undefined

  constructor(database: PGlite, lock: Server | undefined) {
    this.#database = database
    this.#lock = lock
  }

  query(sql: string, values: readonly SqlValue[] = []): Promise<readonly Row[]> {
    return rowsOf(this.#database, sql, values)
  }

  transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T> {
    return this.#database.transaction((transaction) =>
      work({ query: (sql, values = []) => rowsOf(transaction, sql, values) }),
    )
  }

  async close(): Promise<void> {
    if (!this.#database.closed) await this.#database.close().catch(() => undefined)
    this.#lock?.close()
  }
}

async function rowsOf(
  target: Pick<PGlite, 'query'>,
  sql: string,
  values: readonly SqlValue[],
): Promise<readonly Row[]> {
  const { rows } = await target.query<Record<string, unknown>>(sql, [...values])
  return rows
}

function inUse(path: string, cause: unknown): FileSystemError {
  return new FileSystemError('EBUSY', 'connector.state', {
    detail:
      'another process has this directory open: stop that connector, ask it with --connector-url, or name another directory; several replicas need PostgreSQL',
    path,
    cause,
  })
}

function unreadable(path: string, cause: unknown): FileSystemError {
  return new FileSystemError('EIO', 'connector.state', {
    detail: 'the embedded database cannot be opened: see the cause, or restore the directory',
    path,
    cause,
  })
}
