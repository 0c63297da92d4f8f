import { createReadStream } from 'node:fs'
import type { CallOptions, Metadata } from '../blob/store.ts'
import { runAll } from '../bulk.ts'
import { forEachConcurrent } from '../concurrency.ts'
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { BlobFileWriter } from './blob-file-writer.ts'
import { type FileInfo, fullName } from './file-info.ts'
import type { FileData } from './given-bytes.ts'
import { onLocalDisk } from './local-error.ts'
import { localName } from './local-view.ts'
import { locateFile, type PathInput } from './location.ts'
import type { WriteOptions } from './pipe.ts'
import type { Remote } from './remote.ts'
import { removeFile } from './remove.ts'

// Every file of a transaction is a writer of its own that has uploaded its blocks but not named them.
// Committing first looks that all are complete, then names the blocks of all files side by side, and
// deletes last. Each file appears whole; the service has no step that makes several appear at once.

/** What became of a transaction. */
export interface TransactionResult {
  readonly written: readonly FileInfo[]
  /** Names of files that were deleted. */
  readonly removed: readonly string[]
}

/** A file being written in a transaction: `close()` completes it, and the transaction makes it visible. */
export class TransactionWriter {
  readonly #writer: BlobFileWriter
  #complete = false

  constructor(writer: BlobFileWriter) {
    this.#writer = writer
  }

  /** Bytes written up to here. */
  get size(): number {
    return this.#writer.size
  }

  /** Appends a copy of `data` (text as UTF-8); `EBADF` after {@link close}. */
  async write(data: FileData): Promise<void> {
    if (this.#complete) {
      throw new FileSystemError('EBADF', 'write', { detail: 'the writer is closed' })
    }
    await this.#writer.write(data)
  }

  /** Says that nothing follows. The file appears when the transaction is committed. */
  async close(): Promise<void> {
    this.#complete = true
  }

  /** Whether {@link close} was called. */
  get isComplete(): boolean {
    return this.#complete
  }

  /** Leaves what was not closed to the transaction, which then cannot be committed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#complete) await this.#writer.abort()
  }
}

interface Pending {
  readonly path: BlobPath
  readonly writer: BlobFileWriter
  readonly handle: TransactionWriter
}

/**
 * Changes of many files that become visible together or not at all. Nobody sees anything before
 * `commit()`; reading in between gives what was there before. A transaction that is discarded,
 * disposed of or left leaves no trace. When the commit of one file fails (`ESTALE`, `EEXIST`, the
 * network), the others are committed all the same, no file is deleted, and the error names the one.
 */
export class Transaction {
  readonly #remote: Remote
  readonly #writes = new Map<string, Pending>()
  readonly #removals = new Map<string, BlobPath>()
  #state: 'open' | 'committed' | 'discarded' = 'open'

  constructor(remote: Remote) {
    this.#remote = remote
  }

  /** Opens a file to be written anew; `x` demands that none exists, at open and at commit. */
  async open(
    path: PathInput,
    mode: 'w' | 'x' = 'w',
    options: WriteOptions = {},
  ): Promise<TransactionWriter> {
    this.#demandOpen('open')
    const place = locateFile(this.#remote.store.account, path, 'open')
    const name = fullName(place)
    this.#demandUnused(name, place)
    const exclusive = mode === 'x'
    const writer = await BlobFileWriter.open(this.#remote, place, { ...options, exclusive })
    const handle = new TransactionWriter(writer)
    this.#writes.set(name, { path: place, writer, handle })
    return handle
  }

  /** Makes `data` the file when the transaction is committed. */
  async pipeFile(
    path: PathInput,
    data: FileData,
    options: WriteOptions & { readonly mode?: 'overwrite' | 'create' | undefined } = {},
  ): Promise<void> {
    const handle = await this.open(path, options.mode === 'create' ? 'x' : 'w', options)
    await handle.write(data)
    await handle.close()
  }

  /** Makes `text` in UTF-8 the file when the transaction is committed. */
  writeText(path: PathInput, text: string, options?: WriteOptions): Promise<void> {
    return this.pipeFile(path, text, options)
  }

  /** Uploads a local file, which appears when the transaction is committed. */
  async putFile(
    localPath: string | URL,
    remotePath: PathInput,
    options: WriteOptions & { readonly metadata?: Metadata } = {},
  ): Promise<void> {
    const local = localName(localPath)
    const handle = await this.open(remotePath, 'w', options)
    await onLocalDisk(local, async () => {
      const stream = createReadStream(local, { signal: options.signal })
      for await (const chunk of stream) await handle.write(chunk)
    })
    await handle.close()
  }

  /** Deletes one file when the transaction is committed, after all files were written. */
  async rmFile(path: PathInput, options: CallOptions = {}): Promise<void> {
    this.#demandOpen('rmFile')
    const place = locateFile(this.#remote.store.account, path, 'rmFile')
    const name = fullName(place)
    this.#demandUnused(name, place)
    await this.#remote.namespace.stat(place, { signal: options.signal })
    this.#removals.set(name, place)
  }

  /** Makes all of it visible. `EBUSY`, and nothing is, while a writer is not closed. */
  async commit(options: CallOptions = {}): Promise<TransactionResult> {
    this.#demandOpen('commit')
    const pending = [...this.#writes.values()]
    const incomplete = pending.find(({ handle }) => !handle.isComplete)
    if (incomplete !== undefined) {
      await this.discard()
      throw unfinished(incomplete.path)
    }
    options.signal?.throwIfAborted()
    this.#state = 'committed'
    const { concurrency } = this.#remote
    // Half of a transaction helps nobody: however many fail, the others are still tried.
    const maxFailures = Number.POSITIVE_INFINITY
    const run = { concurrency, syscall: 'commit', maxFailures }
    const pathOf = ([, { path }]: readonly [number, { readonly path: BlobPath }]) => fullName(path)
    const written: FileInfo[] = []
    await runAll([...pending.entries()], { ...run, pathOf }, async ([index, { writer }]) => {
      written[index] = await writer.close()
    })
    await runAll([...this.#removals.values()], { ...run, pathOf: fullName }, (path) =>
      removeFile(this.#remote, path, options),
    )
    return { written, removed: [...this.#removals.keys()] }
  }

  /** Gives up all of it. Never throws; without effect after `commit()`. */
  async discard(): Promise<void> {
    if (this.#state !== 'open') return
    this.#state = 'discarded'
    const pending = [...this.#writes.values()]
    await forEachConcurrent(pending, this.#remote.concurrency, ({ writer }) => writer.abort())
  }

  /** Gives up what was not committed: leaving a block by an error changes nothing. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.discard()
  }

  #demandUnused(name: string, path: BlobPath): void {
    if (!this.#writes.has(name) && !this.#removals.has(name)) return
    const detail = 'the transaction changes this file already'
    throw new FileSystemError('EBUSY', 'open', { path: formatPath(path), detail })
  }

  #demandOpen(syscall: string): void {
    if (this.#state === 'open') return
    const detail = `the transaction is ${this.#state}; start another`
    throw new FileSystemError('EBADF', syscall, { detail })
  }
}

/** Commits what `work` did when it ends well, and gives it up when it throws. */
export async function runTransaction<T>(
  transaction: Transaction,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  try {
    const result = await work(transaction)
    await transaction.commit()
    return result
  } finally {
    await transaction.discard()
  }
}

function unfinished(path: BlobPath): FileSystemError {
  const detail = 'a writer of the transaction was not closed; all of it was given up'
  return new FileSystemError('EBUSY', 'commit', { path: formatPath(path), detail })
}
