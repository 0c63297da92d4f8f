/**
 * What a transaction is about to do, kept in a container that it writes in, from before its first file is visible
 * until after its last deletion, so that whoever comes next can finish it:
 *
 *   .abfs/transactions/ID
 *
 * The blob is written once. Who works on it marks its metadata by a conditional write, which also says that they live.
 */
import { randomUUID } from 'node:crypto'
import type { BlobStore } from '../blob/store.ts'
import type { Clock } from '../clock.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { type FaultEvent, faultChannel } from '../telemetry.ts'
import { unlessMissing } from './lookup.ts'
import {
  formatTransaction,
  parseTransaction,
  type TransactionRecord,
} from './transaction-records.ts'

/** Where the journals of a container's transactions lie. */
export const transactionsPrefix = '.abfs/transactions/'
/** How often a transaction says that it is alive; milliseconds. */
const beatMs = 10_000

/** What a journal stands on. */
export interface TransactionJournalParts {
  readonly store: BlobStore
  readonly clock: Clock
}

interface Stored {
  readonly path: BlobPath
  readonly record: TransactionRecord
  readonly etag: string
  /** When it was written first, by the service's clock; milliseconds since the epoch. */
  readonly createdMs: number
}

/** One transaction's journal, held by the one who works on it. */
export class TransactionJournal {
  readonly path: BlobPath
  readonly record: TransactionRecord
  readonly createdMs: number
  readonly #store: BlobStore
  readonly #clock: Clock
  #etag: string
  #beatMs: number

  private constructor({ store, clock }: TransactionJournalParts, stored: Stored) {
    this.#store = store
    this.#clock = clock
    this.path = stored.path
    this.record = stored.record
    this.createdMs = stored.createdMs
    this.#etag = stored.etag
    this.#beatMs = clock.nowMs()
  }

  /** Writes what is about to be done. */
  static async write(
    parts: TransactionJournalParts,
    container: string,
    record: TransactionRecord,
  ): Promise<TransactionJournal> {
    const startedMs = parts.clock.nowMs().toString(36).padStart(9, '0')
    const path = { container, name: `${transactionsPrefix}${startedMs}-${randomUUID()}` }
    const contentType = 'application/json'
    const data = formatTransaction(record)
    try {
      const { etag, lastModifiedMs } = await parts.store.put(path, data, { contentType })
      return new TransactionJournal(parts, { path, record, etag, createdMs: lastModifiedMs })
    } catch (error) {
      // It may be there all the same.
      if (isFileSystemError(error) && error.retryable) await discard(parts.store, path)
      throw error
    }
  }

  /** The journal at `path`; `undefined` when it is gone. */
  static async open(
    parts: TransactionJournalParts,
    path: BlobPath,
  ): Promise<TransactionJournal | undefined> {
    const found = await unlessMissing(parts.store.get(path))
    if (found === undefined) return undefined
    const { etag, createdMs, lastModifiedMs } = found.properties
    const record = parseTransaction(found.data, path)
    return new TransactionJournal(parts, {
      path,
      record,
      etag,
      createdMs: createdMs ?? lastModifiedMs,
    })
  }

  /** Makes this the one who works on it. `EBUSY` when somebody else was quicker. */
  claim(): Promise<void> {
    return this.#mark()
  }

  /** Says that this transaction is alive, now and then. `EBUSY` when somebody else has taken it over. */
  async beat(): Promise<void> {
    if (this.#clock.nowMs() - this.#beatMs >= beatMs) await this.#mark()
  }

  async remove(): Promise<void> {
    await unlessMissing(this.#store.delete(this.path))
  }

  /** As {@link remove}, where what it tells of is done: the next recovery finds nothing else to do. Never throws. */
  discard(): Promise<void> {
    return discard(this.#store, this.path)
  }

  async #mark(): Promise<void> {
    this.#beatMs = this.#clock.nowMs()
    const owner = randomUUID()
    const ifMatch = this.#etag
    try {
      this.#etag = (await this.#store.setMetadata(this.path, { owner }, { ifMatch })).etag
    } catch (error) {
      if (!isFileSystemError(error, 'ESTALE', 'ENOENT')) throw error
      // A write whose answer was lost, and which was sent again, fails because it went through.
      const found = await unlessMissing(this.#store.head(this.path))
      if (found?.metadata?.['owner'] !== owner) throw takenOver(this.path, error)
      this.#etag = found.etag
    }
  }
}

async function discard(store: BlobStore, path: BlobPath): Promise<void> {
  try {
    await unlessMissing(store.delete(path))
  } catch (error) {
    if (!isFileSystemError(error)) throw error
    const fault: FaultEvent = { operation: 'transaction', path: formatPath(path), error }
    faultChannel.publish(fault)
  }
}

function takenOver(path: BlobPath, cause: FileSystemError): FileSystemError {
  const detail = 'another client has taken this transaction over and goes on with it'
  return new FileSystemError('EBUSY', 'commit', { path: formatPath(path), detail, cause })
}
