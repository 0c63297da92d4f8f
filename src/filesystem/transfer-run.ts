import type { CallOptions } from '../blob/store.ts'
import { forEachConcurrent } from '../concurrency.ts'
import { FileSystemError } from '../errors.ts'
import type { Transfer } from './destination.ts'
import type { TreeEntry } from './tree-view.ts'

/** How far a transfer has come. */
export interface TransferProgress {
  /** The destination of the file that this is about. */
  readonly path: string
  /** Of all files together, up to here. */
  readonly bytes: number
  readonly totalBytes: number
  /** Files that are complete. */
  readonly files: number
  readonly totalFiles: number
}

/** What a transfer did. */
export interface TransferResult {
  readonly files: number
  readonly directories: number
  readonly bytes: number
  /** Sources left out because they are neither files nor directories (`preserve` takes links). */
  readonly skipped: readonly string[]
}

/** Adds up what the files of one transfer report. */
export class Tally {
  readonly #onProgress: ((progress: TransferProgress) => void) | undefined
  readonly #totalBytes: number
  readonly #totalFiles: number
  #bytes = 0
  #files = 0

  constructor(
    transfers: readonly Transfer<TreeEntry>[],
    onProgress: ((progress: TransferProgress) => void) | undefined,
  ) {
    this.#onProgress = onProgress
    this.#totalFiles = transfers.length
    this.#totalBytes = transfers.reduce((total, { from }) => total + from.size, 0)
  }

  get bytes(): number {
    return this.#bytes
  }

  get files(): number {
    return this.#files
  }

  addBytes(path: string, bytes: number): void {
    this.#bytes += bytes
    this.#report(path)
  }

  addFile(path: string): void {
    this.#files += 1
    this.#report(path)
  }

  #report(path: string): void {
    this.#onProgress?.({
      path,
      bytes: this.#bytes,
      totalBytes: this.#totalBytes,
      files: this.#files,
      totalFiles: this.#totalFiles,
    })
  }
}

/** After so many failures the cause is hardly in the files. */
const defaultMaxFailures = 20

export interface RunOptions extends CallOptions {
  readonly concurrency: number
  readonly syscall: string
  /** How many failures end it: what has not begun then never does. Default 20. */
  readonly maxFailures?: number | undefined
}

/**
 * Runs `task` for every item, going on after failures. Rejects with the only failure, or with a
 * `FileSystemError` that has the code and path of the first in order and all of them, in an `AggregateError`,
 * as its cause. An abort ends it at once.
 */
export async function runAll<T>(
  items: readonly T[],
  options: RunOptions,
  task: (item: T) => Promise<void>,
): Promise<void> {
  const { maxFailures = defaultMaxFailures } = options
  const failures = new Map<number, unknown>()
  await forEachConcurrent(items, options.concurrency, async (item, index) => {
    options.signal?.throwIfAborted()
    if (failures.size >= maxFailures) return
    try {
      await task(item)
    } catch (error) {
      options.signal?.throwIfAborted()
      failures.set(index, error)
    }
  })
  if (failures.size === 0) return
  const inOrder = [...failures].sort(([a], [b]) => a - b).map(([, error]) => error)
  throw failureOf(inOrder, options.syscall)
}

function failureOf(failures: readonly unknown[], syscall: string): unknown {
  const [first] = failures
  if (failures.length === 1 || !(first instanceof FileSystemError)) return first
  return new FileSystemError(first.code, syscall, {
    ...(first.path === undefined ? {} : { path: first.path }),
    ...(first.requestId === undefined ? {} : { requestId: first.requestId }),
    ...(first.serviceCode === undefined ? {} : { serviceCode: first.serviceCode }),
    detail: `${failures.length} files failed, the first with: ${first.message}`,
    retryable: failures.every((error) => error instanceof FileSystemError && error.retryable),
    cause: new AggregateError(failures, `${failures.length} files failed`),
  })
}
