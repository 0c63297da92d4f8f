import { ReplacingBlobStore } from '../blob/replacing-store.ts'
import type { CallOptions, Conditions } from '../blob/store.ts'
import { BulkError, runAll } from '../bulk.ts'
import { forEachConcurrent } from '../concurrency.ts'
import { isFileSystemError } from '../errors.ts'
import { TransactionJournal } from '../namespace/transaction-journal.ts'
import type { JournalledFile } from '../namespace/transaction-records.ts'
import type { BlobPath } from '../path.ts'
import type { BlobFileWriter } from './blob-file-writer.ts'
import { type FileInfo, fullName } from './file-info.ts'
import type { Remote } from './remote.ts'
import { hiddenFile, removeFile } from './remove.ts'
import type { TransactionWriter } from './transaction-writer.ts'

/** A file that a transaction writes. */
export interface Pending {
  readonly path: BlobPath
  readonly writer: BlobFileWriter
  readonly handle: TransactionWriter
}

/** What a transaction deletes when all of its files are there. */
export interface Removal extends Pick<Conditions, 'ifMatch'> {
  readonly path: BlobPath
  /** With all that is below when it is deleted. */
  readonly isTree?: boolean | undefined
}

interface Changes {
  readonly pending: readonly Pending[]
  readonly removals: readonly Removal[]
}

/**
 * Makes all files visible and deletes last. Before the first of several changes a journal says what they are: when this
 * process dies in between, whoever comes next goes on from there.
 */
export async function commitChanges(
  remote: Remote,
  changes: Changes,
  options: CallOptions,
): Promise<readonly FileInfo[]> {
  const journal = await begin(remote, changes, options)
  try {
    const written = await writeAll(remote, changes, journal)
    await removeAll(remote, changes, { ...options, journal })
    await journal?.discard()
    return written
  } catch (error) {
    if (failuresOf(error).every(isFinal)) await journal?.discard()
    throw error
  }
}

/** Nothing is visible when this fails. */
async function begin(
  remote: Remote,
  changes: Changes,
  options: CallOptions,
): Promise<TransactionJournal | undefined> {
  const { pending, removals } = changes
  if (pending.length + removals.length < 2) return undefined
  try {
    return await journalOf(remote, changes, options)
  } catch (error) {
    await forEachConcurrent(pending, remote.concurrency, ({ writer }) => writer.abort())
    throw error
  }
}

/** `undefined` where the caller may not write one, or it would be larger than a blob that is put can be. */
async function journalOf(
  remote: Remote,
  { pending, removals }: Changes,
  { signal }: CallOptions,
): Promise<TransactionJournal | undefined> {
  const { store, namespace, clock, concurrency } = remote
  const [first] = [...pending, ...removals]
  if (first === undefined) return undefined
  const { container } = first.path
  const isHierarchical = await namespace.isHierarchical(container, { signal })
  if (isHierarchical && !canStageAll(store, pending)) return undefined
  const files: JournalledFile[] = []
  await forEachConcurrent([...pending.entries()], concurrency, async ([index, { writer }]) => {
    const staged = await writer.prepare()
    if (staged === undefined) return
    files[index] = isHierarchical ? await placed(store, staged) : staged
  })
  signal?.throwIfAborted()
  try {
    return await TransactionJournal.write({ store, clock }, container, { files, removals })
  } catch (error) {
    if (isFileSystemError(error, 'EACCES', 'EPERM', 'EFBIG')) return undefined
    throw error
  }
}

/** Files under way whose temporary names a hierarchical store keeps for sure. */
const maxPlaced = 5000

/** What is staged in a hierarchy for a file that exists lies under a temporary name, where no lock of the file reaches. */
function canStageAll(store: Remote['store'], pending: readonly Pending[]): boolean {
  const isPlaced = store instanceof ReplacingBlobStore && pending.length <= maxPlaced
  return isPlaced && !pending.some(({ writer }) => writer.isLeased)
}

/** What is staged under its own name in a hierarchy was a new file then. */
async function placed(store: Remote['store'], staged: JournalledFile): Promise<JournalledFile> {
  const at = store instanceof ReplacingBlobStore ? await store.stagedAt(staged.path) : undefined
  if (at !== undefined) return { ...staged, stagedAt: at.name }
  return staged.blockIds.length === 0 ? staged : { ...staged, ifNoneMatch: '*' }
}

/** Half of a transaction helps nobody: however many fail, the others are still tried. */
const run = { syscall: 'commit', maxFailures: Number.POSITIVE_INFINITY }

async function writeAll(
  { concurrency }: Remote,
  { pending }: Changes,
  journal: TransactionJournal | undefined,
): Promise<readonly FileInfo[]> {
  const written: FileInfo[] = []
  const pathOf = ([, { path }]: readonly [number, Pending]) => fullName(path)
  const many = { ...run, concurrency, pathOf }
  await runAll([...pending.entries()], many, async ([index, { writer }]) => {
    await journal?.beat()
    written[index] = await writer.close()
  })
  return written
}

async function removeAll(
  remote: Remote,
  { removals }: Changes,
  { journal, ...options }: CallOptions & { readonly journal: TransactionJournal | undefined },
): Promise<void> {
  const pathOf = ({ path }: Removal) => fullName(path)
  const { concurrency } = remote
  await runAll(removals, { ...run, concurrency, pathOf }, async (removal) => {
    await journal?.beat()
    await removeOne(remote, removal, options)
  })
}

async function removeOne(
  remote: Remote,
  { path, isTree, ifMatch }: Removal,
  options: CallOptions,
): Promise<void> {
  const { namespace, concurrency } = remote
  if (isTree) {
    const file = await namespace.removeTree(path, { ...options, concurrency, isDirectory: true })
    if (file !== undefined) throw hiddenFile(path)
  } else if (ifMatch !== undefined) await namespace.removeFile(path, { ...options, ifMatch })
  else await removeFile(remote, path, options)
}

function failuresOf(error: unknown): readonly unknown[] {
  return error instanceof BulkError ? error.failed.map((failure) => failure.error) : [error]
}

/** Whether trying again would fail again, whoever does it. */
function isFinal(error: unknown): boolean {
  return isFileSystemError(error, 'ESTALE', 'EEXIST', 'ENOENT', 'EISDIR', 'ENOTDIR', 'ENOTEMPTY')
}
