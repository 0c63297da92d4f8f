import { Bulk, BulkError, type BulkOptions, type BulkPhase, type BulkResult } from '../bulk.ts'
import { isFileSystemError } from '../errors.ts'
import type { PlanOptions, Transfer, TransferRequest } from './destination.ts'
import type { ExpandOptions } from './expand-path.ts'
import type { Progress, ProgressOptions } from './progress.ts'
import type { Remote } from './remote.ts'
import { type TransferIdentity, TransferJournal } from './transfer-journal.ts'
import type { TreeEntry, TreeView } from './tree-view.ts'

export interface TransferOptions extends ExpandOptions, ProgressOptions {
  /** Files under way at once. Default: the file system's. */
  readonly concurrency?: number | undefined
  /**
   * Keeps mode, owner, modification time and symbolic links, in metadata under AzCopy's keys.
   * Without it a local link to a file is taken for the file, and other links are skipped.
   */
  readonly preserve?: boolean | undefined
  /**
   * What a failure does. `raise` (the default) goes on until some have failed, then rejects with a
   * `BulkError`. `return` tries everything and tells in `failed`. `ignore`: a source that is gone when its
   * turn comes is told in `skipped`; all else is as with `raise`. One that was never there is `ENOENT`
   * all the same.
   */
  readonly onError?: 'raise' | 'ignore' | 'return' | undefined
  /**
   * A file of this machine that keeps how far a `put` or `get` is, so that the same call goes on where one
   * before it ended, however that was: files that are done and have not changed since are left out, blocks
   * that are staged are not sent again, ranges that are on the disk not read again. Deleted when all is done.
   * Two processes must not share one. `EINVAL` when it belongs to another transfer.
   */
  readonly resume?: string | undefined
}

/** What a transfer did: `ok` and `failed` name destinations. */
export interface TransferResult extends BulkResult {
  readonly files: number
  readonly directories: number
  readonly bytes: number
  /** Sources left out because they are neither files nor directories (`preserve` takes links). */
  readonly skipped: readonly string[]
  /** Of `bytes`, what an earlier run had moved; see `resume`. */
  readonly resumedBytes: number
  retry(): Promise<TransferResult>
}

/** Adds up what the files of one phase report. */
export class Tally {
  readonly #onProgress: ((progress: Progress) => void) | undefined
  readonly #totalBytes: number
  readonly #totalFiles: number
  readonly #phase: Progress['phase']
  #bytes = 0
  #files = 0
  #resumedBytes = 0

  /** `sizes` of the files that are to be moved, bytes. */
  constructor(
    sizes: readonly number[],
    onProgress: ((progress: Progress) => void) | undefined,
    phase: Progress['phase'] = 'transferring',
  ) {
    this.#onProgress = onProgress
    this.#phase = phase
    this.#totalFiles = sizes.length
    this.#totalBytes = sizes.reduce((total, size) => total + size, 0)
  }

  get bytes(): number {
    return this.#bytes
  }

  get files(): number {
    return this.#files
  }

  get resumedBytes(): number {
    return this.#resumedBytes
  }

  addResumed(bytes: number): void {
    this.#resumedBytes += bytes
  }

  /** Counts the bytes that `move` reports and then the file; what it moved of a file that fails counts for nothing. */
  async count<T>(path: string, move: (onBytes: (bytes: number) => void) => Promise<T>): Promise<T> {
    let moved = 0
    let result: T
    try {
      result = await move((bytes) => {
        moved += bytes
        this.#add(path, bytes)
      })
    } catch (error) {
      this.#add(path, -moved)
      throw error
    }
    this.#files += 1
    this.#add(path, 0)
    return result
  }

  #add(path: string, bytes: number): void {
    this.#bytes += bytes
    this.#onProgress?.({
      phase: this.#phase,
      path,
      bytes: this.#bytes,
      totalBytes: this.#totalBytes,
      files: this.#files,
      totalFiles: this.#totalFiles,
    })
  }
}

/** A plan, by what is to be done with each entry. */
export interface Work<E extends TreeEntry> {
  readonly files: readonly Transfer<E>[]
  readonly directories: readonly Transfer<E>[]
  readonly others: readonly Transfer<E>[]
  readonly tally: Tally
  /** Files that were gone when their turn came. */
  readonly vanished: string[]
}

/** Sorts a plan by what is to be done. */
export function workOf<E extends TreeEntry>(
  plan: readonly Transfer<E>[],
  options: TransferOptions,
): Work<E> {
  const ofType = (type: TreeEntry['type']) => plan.filter(({ from }) => from.type === type)
  const files = ofType('file')
  const tally = new Tally(
    files.map(({ from }) => from.size),
    options.onProgress,
  )
  return { files, directories: ofType('directory'), others: ofType('other'), tally, vanished: [] }
}

/** `task` for the destination `to`, noting in `work` that its source vanished where that is no error. */
export function unlessVanished<E extends TreeEntry>(
  work: Work<E>,
  source: TreeView<E>,
  options: TransferOptions,
): (transfer: Transfer<E>, task: () => Promise<void>) => Promise<void> {
  return async ({ from }, task) => {
    try {
      await task()
    } catch (error) {
      if (options.onError !== 'ignore' || !isFileSystemError(error, 'ENOENT')) throw error
      const { signal } = options
      if ((await source.stat(from.name, { signal, fresh: true })) !== undefined) throw error
      work.vanished.push(from.name)
    }
  }
}

/** What a run over files of a tree needs to know. */
export function bulkOptions(
  remote: Remote,
  options: TransferOptions,
  syscall: string,
): BulkOptions {
  const concurrency = options.concurrency ?? remote.concurrency
  const onError = options.onError === 'return' ? ('return' as const) : undefined
  return { signal: options.signal, concurrency, syscall, onError }
}

/** Runs the phases of a transfer, and tells what became of it. */
export async function runTransfer(
  work: Work<TreeEntry>,
  phases: readonly BulkPhase[],
  run: BulkOptions & {
    readonly skipped: readonly Transfer<TreeEntry>[]
    readonly journal?: TransferJournal | undefined
  },
): Promise<TransferResult> {
  const bulk = new Bulk(phases, run)
  const attempt = async (): Promise<TransferResult> => {
    const { ok, failed, waiting } = await bulk.run().catch(retriedBy(attempt))
    if (failed.length === 0) await run.journal?.remove()
    return {
      files: work.tally.files,
      directories: work.directories.length,
      bytes: work.tally.bytes,
      resumedBytes: work.tally.resumedBytes,
      skipped: [...run.skipped.map(({ from }) => from.name), ...work.vanished.sort()],
      ok,
      failed,
      waiting,
      retry: attempt,
    }
  }
  return attempt()
}

/** The journal that a transfer keeps; `undefined` when it is not to. */
export async function journalOf(
  remote: Remote,
  request: TransferRequest,
  options: TransferOptions & { readonly operation: TransferIdentity['operation'] },
): Promise<TransferJournal | undefined> {
  const { resume, operation } = options
  if (resume === undefined) return undefined
  return TransferJournal.open(resume, { operation, account: remote.store.account, ...request })
}

/** Plans as the first run of a journal did. */
export function remembering(journal: TransferJournal | undefined): PlanOptions {
  return journal === undefined ? {} : { remember: (decide) => journal.remember(decide) }
}

/** Counts a file that needs not be moved. */
export function countResumed(
  bytes: number,
  onBytes: (bytes: number) => void,
  onResumed: (bytes: number) => void,
): void {
  onBytes(bytes)
  onResumed(bytes)
}

/** The error whose `retry` tells as much as the transfer itself does. */
function retriedBy(retry: () => Promise<TransferResult>): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof BulkError)) throw error
    const { syscall, ok, failed, waiting } = error
    throw new BulkError(syscall, { ok, failed, waiting, retry })
  }
}
