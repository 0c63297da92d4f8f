/** Finds the journals of renames that were begun in a container, and finishes those left behind. */
import { type CallOptions, listAll } from '../blob/store.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { childPrefix } from './blob-name.ts'
import type { NamespaceParts } from './directories.ts'
import { callOptions, unlessMissing } from './lookup.ts'
import { type MoveTreeOptions, moveTree } from './move-tree.ts'
import { RenameJournal, renamesPrefix } from './rename-journal.ts'

export interface RecoverOptions extends MoveTreeOptions {
  /**
   * Takes over renames that were alive a moment ago too: their clients, if there are any, then fail
   * with `EBUSY`. Default false: those which nobody has worked on for a minute.
   */
  readonly force?: boolean | undefined
  /** Finishes moves to other containers too. Default true. */
  readonly acrossContainers?: boolean | undefined
}

/** What became of a rename that was left behind. */
export interface RecoveredRename {
  /** Tells it from a transaction. */
  readonly kind?: undefined
  readonly from: BlobPath | undefined
  readonly to: BlobPath | undefined
  /**
   * `completed`: all is at the new name. `undone`: all is at the old one. `discarded`: it had not
   * begun. `left`: somebody works on it. `failed`: see `error`, each file is at one name at least.
   */
  readonly outcome: 'completed' | 'undone' | 'discarded' | 'left' | 'failed'
  /** Blobs of the tree. */
  readonly files: number
  readonly error?: FileSystemError | undefined
}

/** A client says every ten seconds that it is alive, and may wait for a slow copy in between. */
export const abandonedMs = 60_000
/** A plan without a state may still be being written. */
const orphanedMs = 10 * 60_000

/** The blobs of one journal. */
interface FoundJournal {
  readonly id: string
  readonly names: string[]
  writtenMs: number
}

/** Finishes the renames in `container` that nobody works on, one after the other. */
export async function recoverRenames(
  parts: NamespaceParts,
  container: string,
  options: RecoverOptions,
): Promise<RecoveredRename[]> {
  const results: RecoveredRename[] = []
  for (const found of await findJournals(parts, container, options)) {
    options.signal?.throwIfAborted()
    results.push(await recoverFound(parts, { container, found }, options))
  }
  return results
}

/**
 * Finishes what is left of earlier renames of this very tree or of parts of it, at either name.
 * Whether one had the same two names. `EBUSY` while somebody works on one.
 */
export async function recoverOverlapping(
  parts: NamespaceParts,
  move: { readonly from: BlobPath; readonly to: BlobPath },
  options: MoveTreeOptions,
): Promise<{ readonly recovered: boolean; readonly finishedThis: boolean }> {
  let [recovered, finishedThis] = [false, false]
  for (const container of new Set([move.from.container, move.to.container])) {
    for (const { id } of await findJournals(parts, container, options)) {
      const journal = await RenameJournal.open(parts, container, id)
      if (journal === undefined || !overlap(journal.state, move)) continue
      if (!isAbandoned(parts, journal)) throw underWay(journal, move)
      const { outcome, error } = await recoverJournal(parts, journal, options)
      if (outcome === 'failed') throw stillLeft(journal, move, error)
      recovered = true
      const same = isSame(journal.state.from, move.from) && isSame(journal.state.to, move.to)
      finishedThis ||= same && outcome === 'completed'
    }
  }
  return { recovered, finishedThis }
}

async function findJournals(
  parts: NamespaceParts,
  container: string,
  options: CallOptions,
): Promise<FoundJournal[]> {
  const journals = new Map<string, FoundJournal>()
  const prefix = { container, name: renamesPrefix }
  for await (const row of listAll(parts.store, prefix, callOptions(options))) {
    const [id = ''] = row.name.slice(renamesPrefix.length).split('/')
    if (row.kind !== 'blob') continue
    const known = journals.get(id) ?? { id, names: [], writtenMs: 0 }
    known.names.push(row.name)
    known.writtenMs = Math.max(known.writtenMs, row.properties.lastModifiedMs)
    journals.set(id, known)
  }
  return [...journals.values()]
}

async function recoverFound(
  parts: NamespaceParts,
  place: { readonly container: string; readonly found: FoundJournal },
  options: RecoverOptions,
): Promise<RecoveredRename> {
  const { container, found } = place
  try {
    const journal = await RenameJournal.open(parts, container, found.id)
    if (journal === undefined) return await discard(parts, place, options)
    const { from, to, files } = journal.state
    const barred = options.acrossContainers === false && from.container !== to.container
    if (barred || !(options.force === true || isAbandoned(parts, journal))) {
      return { from, to, files, outcome: 'left' }
    }
    return await recoverJournal(parts, journal, options)
  } catch (error) {
    if (!isFileSystemError(error)) throw error
    return { from: undefined, to: undefined, files: 0, outcome: 'failed', error }
  }
}

async function recoverJournal(
  parts: NamespaceParts,
  journal: RenameJournal,
  options: MoveTreeOptions,
): Promise<RecoveredRename> {
  const { from, to, files } = journal.state
  try {
    await journal.claim()
    await moveTree(parts, journal, { ...options, resumed: true })
    const undone = journal.state.phase === 'undoing'
    return { from, to, files, outcome: undone ? 'undone' : 'completed' }
  } catch (error) {
    if (!isFileSystemError(error)) throw error
    const undone = journal.state.phase === 'undoing' && journal.isRemoved
    return { from, to, files, outcome: undone ? 'undone' : 'failed', error }
  } finally {
    for (const path of [from, to]) {
      parts.cache.invalidate(path, true)
      parts.cache.invalidateParents(path)
    }
  }
}

async function discard(
  parts: NamespaceParts,
  place: { readonly container: string; readonly found: FoundJournal },
  options: RecoverOptions,
): Promise<RecoveredRename> {
  const { container, found } = place
  const none = { from: undefined, to: undefined, files: 0 }
  const isOld = parts.clock.nowMs() - found.writtenMs > orphanedMs
  if (!isOld && options.force !== true) return { ...none, outcome: 'left' }
  for (const name of found.names) {
    await unlessMissing(parts.store.delete({ container, name }, callOptions(options)))
  }
  return { ...none, outcome: 'discarded' }
}

function isAbandoned(parts: NamespaceParts, journal: RenameJournal): boolean {
  return journal.state.released || parts.clock.nowMs() - journal.writtenMs > abandonedMs
}

interface Names {
  readonly from: BlobPath
  readonly to: BlobPath
}

function overlap(one: Names, other: Names): boolean {
  return [one.from, one.to].some((path) =>
    [other.from, other.to].some((each) => isWithin(path, each) || isWithin(each, path)),
  )
}

function isWithin(path: BlobPath, directory: BlobPath): boolean {
  if (isSame(path, directory)) return true
  return path.container === directory.container && path.name.startsWith(childPrefix(directory.name))
}

function isSame(a: BlobPath, b: BlobPath): boolean {
  return a.container === b.container && a.name === b.name
}

function stillLeft(
  journal: RenameJournal,
  move: Names,
  cause: FileSystemError | undefined,
): FileSystemError {
  const { from, to } = journal.state
  const why = cause === undefined ? '' : `: ${cause.message}`
  return new FileSystemError(cause?.code ?? 'EIO', 'rename', {
    path: formatPath(move.from),
    dest: formatPath(move.to),
    detail: `the rename of ${formatPath(from)} to ${formatPath(to)} is still not finished${why}`,
    cause,
  })
}

function underWay(journal: RenameJournal, move: Names): FileSystemError {
  const { from, to } = journal.state
  return new FileSystemError('EBUSY', 'rename', {
    path: formatPath(move.from),
    dest: formatPath(move.to),
    detail: `the rename of ${formatPath(from)} to ${formatPath(to)} is under way`,
  })
}
