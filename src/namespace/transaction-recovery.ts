/** Finds the journals of transactions that were being committed in a container, and finishes those left behind. */
import type { HierarchyStore } from '../blob/hierarchy.ts'
import { ReplacingBlobStore } from '../blob/replacing-store.ts'
import { type CallOptions, listAll } from '../blob/store.ts'
import type { Clock } from '../clock.ts'
import { forEachConcurrent } from '../concurrency.ts'
import { type FileSystemError, isFileSystemError } from '../errors.ts'
import type { BlobPath } from '../path.ts'
import { parentName } from './blob-name.ts'
import { callOptions, unlessMissing } from './lookup.ts'
import type { Namespace } from './namespace.ts'
import { abandonedMs, type RecoverOptions } from './rename-recovery.ts'
import { commitStagedFile, isUntouched, type StagedFileParts } from './staged-file.ts'
import { TransactionJournal, transactionsPrefix } from './transaction-journal.ts'
import type { JournalledRemoval } from './transaction-records.ts'

/** What became of a transaction whose client died while it was committed. */
export interface RecoveredTransaction {
  /** Tells it from a rename. */
  readonly kind: 'transaction'
  /**
   * `completed`: all that it writes is there, and what it deletes is gone. `conflict`: somebody else has changed
   * `conflicts` since, which stay as they are; all other files are there, and when one of `conflicts` is a file that it
   * writes, nothing more was deleted. A file that a deleted directory hid, by having its name, stays and is told so, too. `left`: somebody works on it. `failed`: see `error`; to be tried again.
   */
  readonly outcome: 'completed' | 'conflict' | 'left' | 'failed'
  /** Files that it writes, and 0 where it was `left`. */
  readonly files: number
  /** Files and trees that it deletes, and 0 where it was `left`. */
  readonly removals: number
  readonly conflicts: readonly BlobPath[]
  readonly error?: FileSystemError | undefined
}

export interface RecoverTransactionsOptions extends RecoverOptions {
  readonly clock: Clock
}

interface Recovery {
  readonly namespace: Namespace
  readonly journal: TransactionJournal
  readonly options: RecoverTransactionsOptions
}

/** Finishes the transactions in `container` that nobody works on, one after the other. */
export async function recoverTransactions(
  namespace: Namespace,
  container: string,
  options: RecoverTransactionsOptions,
): Promise<RecoveredTransaction[]> {
  const { store } = namespace
  const results: RecoveredTransaction[] = []
  const rows = listAll(store, { container, name: transactionsPrefix }, callOptions(options))
  for await (const row of rows) {
    if (row.kind !== 'blob') continue
    const isAlive = options.clock.nowMs() - row.properties.lastModifiedMs <= abandonedMs
    const path = { container, name: row.name }
    if (isAlive && options.force !== true) results.push(leftAlone)
    else results.push(...(await recoverAt(namespace, path, options)))
  }
  return results
}

const leftAlone: RecoveredTransaction = {
  kind: 'transaction',
  outcome: 'left',
  files: 0,
  removals: 0,
  conflicts: [],
}

/** None when somebody else finished it meanwhile. */
async function recoverAt(
  namespace: Namespace,
  path: BlobPath,
  options: RecoverTransactionsOptions,
): Promise<RecoveredTransaction[]> {
  options.signal?.throwIfAborted()
  try {
    const journal = await TransactionJournal.open({ ...options, store: namespace.store }, path)
    if (journal === undefined) return []
    const { files, removals } = journal.record
    const isAcross = [...files, ...removals].some((each) => each.path.container !== path.container)
    if (isAcross && options.acrossContainers === false) return [leftAlone]
    return [await finish({ namespace, journal, options })]
  } catch (error) {
    if (!isFileSystemError(error)) throw error
    return [{ ...leftAlone, outcome: 'failed', error }]
  }
}

async function finish({ namespace, journal, options }: Recovery): Promise<RecoveredTransaction> {
  const { files, removals } = journal.record
  const counts = { kind: 'transaction', files: files.length, removals: removals.length } as const
  try {
    await journal.claim()
    const conflicts = await rollForward({ namespace, journal, options })
    await journal.remove()
    return { ...counts, outcome: conflicts.length === 0 ? 'completed' : 'conflict', conflicts }
  } catch (error) {
    if (!isFileSystemError(error)) throw error
    const outcome = error.code === 'EBUSY' && error.path?.includes(transactionsPrefix)
    return { ...counts, outcome: outcome ? 'left' : 'failed', conflicts: [], error }
  } finally {
    for (const { path } of [...files, ...removals]) {
      namespace.invalidate(path)
      namespace.invalidate({ ...path, name: parentName(path.name) }, { recursive: false })
    }
  }
}

/** Commits, then deletes; what somebody else has changed since. */
async function rollForward(recovery: Recovery): Promise<BlobPath[]> {
  const { namespace, journal, options } = recovery
  const { files, removals } = journal.record
  const parts = await partsOf(recovery)
  const call = callOptions(options)
  const lost = await eachOf(recovery, files, (file) => commitStagedFile(parts, file, call))
  if (lost.length > 0) return lost
  const { createdMs } = journal
  return eachOf(recovery, removals, (removal) => remove(namespace, removal, { ...call, createdMs }))
}

/** The paths of which `work` says no. All are tried, whatever fails. */
async function eachOf<T extends { readonly path: BlobPath }>(
  { journal, options }: Recovery,
  items: readonly T[],
  work: (item: T) => Promise<boolean>,
): Promise<BlobPath[]> {
  const conflicts: BlobPath[] = []
  const failures: FileSystemError[] = []
  await forEachConcurrent(items, options.concurrency ?? 16, async (item) => {
    options.signal?.throwIfAborted()
    await journal.beat()
    try {
      if (!(await work(item))) conflicts.push(item.path)
    } catch (error) {
      if (!isFileSystemError(error)) throw error
      failures.push(error)
    }
  })
  const [first] = failures
  if (first !== undefined) throw first
  return conflicts
}

async function partsOf({ namespace, journal, options }: Recovery): Promise<StagedFileParts> {
  const { store } = namespace
  const { path, createdMs } = journal
  const hierarchy = await hierarchyOf(namespace, path, options)
  return { store: store instanceof ReplacingBlobStore ? store.plain : store, hierarchy, createdMs }
}

async function hierarchyOf(
  namespace: Namespace,
  { container }: BlobPath,
  options: CallOptions,
): Promise<HierarchyStore | undefined> {
  if (!(await namespace.isHierarchical(container, callOptions(options)))) return undefined
  return namespace.hierarchy({ container, name: '' }, 'recover', callOptions(options))
}

/** Whether it is gone; `false` when somebody has written it since. */
async function remove(
  namespace: Namespace,
  { path, ifMatch, isTree }: JournalledRemoval,
  { createdMs, ...call }: CallOptions & { readonly createdMs: number },
): Promise<boolean> {
  try {
    if (isTree === true) return await removeTree(namespace, path, { ...call, createdMs })
    const current = await unlessMissing(namespace.store.head(path, call))
    if (current === undefined) return true
    if (ifMatch === undefined && !isUntouched(current, createdMs)) return false
    if (ifMatch !== undefined && ifMatch !== current.etag) return false
    await namespace.removeFile(path, { ...call, ifMatch: current.etag })
    return true
  } catch (error) {
    if (isFileSystemError(error, 'ENOENT')) return true
    if (isFileSystemError(error, 'ESTALE', 'EISDIR')) return false
    throw error
  }
}

/** A tree stays as it is when something in it is newer than the transaction; a file that it hid stays in any case. */
async function removeTree(
  namespace: Namespace,
  path: BlobPath,
  { createdMs, ...call }: CallOptions & { readonly createdMs: number },
): Promise<boolean> {
  const below = { ...path, name: `${path.name}/` }
  for await (const row of listAll(namespace.store, below, { ...call, metadata: false })) {
    if (row.kind === 'blob' && !isUntouched(row.properties, createdMs)) return false
  }
  return (await namespace.removeTree(path, { ...call, isDirectory: true })) === undefined
}
