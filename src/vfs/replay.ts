import type { CallOptions } from '../blob/store.ts'
import { mapConcurrent } from '../concurrency.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import type { PosixAttributes } from '../namespace/entry.ts'
import { GatheredDeletes } from '../namespace/gathered-deletes.ts'
import { unlessMissing } from '../namespace/lookup.ts'
import { readPosixAttributes } from '../namespace/posix-metadata.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { FileContent } from '../transfer/file-content.ts'
import { StagedBlocks } from '../transfer/staged-blocks.ts'
import { withoutStored } from './attributes.ts'
import { commitDirectory } from './directory-commit.ts'
import { commitVersion } from './file-commit.ts'
import type { Journal } from './journal.ts'
import type { KeptVersion } from './journal-record.ts'
import { replacedMeanwhile } from './promised-removals.ts'
import type { WritableFileContext } from './writable-file-options.ts'

/** What became of a version that a process had promised to store when it died. */
export interface Replayed {
  readonly path: BlobPath
  /**
   * It is in Azure now, or has gone from there as was promised; somebody else's is there, and the error tells where ours
   * is kept; or it stays in the journal for the next time, because of the error.
   */
  readonly outcome: 'stored' | 'removed' | 'conflict' | 'failed'
  readonly error?: FileSystemError | undefined
}

/** Stores what dead processes have promised to, each version only where the one that it replaces still is. */
export async function replay(
  context: WritableFileContext,
  options: CallOptions = {},
): Promise<Replayed[]> {
  const { journals } = context
  const outcomes: Replayed[] = []
  for (const journal of (await journals?.orphans()) ?? []) {
    const removals = await replayRemovals(context, journal, options)
    outcomes.push(...removals)
    const failed = removals.filter(({ outcome }) => outcome === 'failed')
    for (const versions of inOrder(await journal.list())) {
      options.signal?.throwIfAborted()
      const outcome = await replayPath(context, journal, { versions, failed })
      if (outcome.outcome === 'failed') failed.push(outcome)
      outcomes.push(outcome)
    }
    await journal.sweep()
  }
  await journals?.tidy()
  return outcomes
}

interface Promised {
  /** Of one path, in the order in which they were promised: the last has all that those before it had. */
  readonly versions: readonly KeptVersion[]
  /** What could not be stored before them. */
  readonly failed: readonly Replayed[]
}

/** What was promised of each path, in that order. */
function byPath(versions: readonly KeptVersion[]): KeptVersion[][] {
  const paths = new Map<string, KeptVersion[]>()
  for (const version of versions.filter(({ reason }) => reason === 'pending')) {
    const key = formatPath(version.path)
    paths.set(key, [...(paths.get(key) ?? []), version])
  }
  return [...paths.values()]
}

/** What is to be stored at each path: directories before what is in them. */
function inOrder(versions: readonly KeptVersion[]): KeptVersion[][] {
  const paths = byPath(versions)
  const depth = ({ path }: KeptVersion): number => path.name.split('/').length
  const directories = paths.filter((each) => each.at(-1)?.type === 'directory')
  const files = paths.filter((each) => each.at(-1)?.type === undefined)
  directories.sort(([a], [b]) => (a && b ? depth(a) - depth(b) : 0))
  return [...directories, ...files]
}

async function replayPath(
  context: WritableFileContext,
  journal: Journal,
  { versions, failed }: Promised,
): Promise<Replayed> {
  const version = versions.at(-1) ?? noVersion()
  const { path } = version
  const above = failed.find((each) => isAtOrBelow(path, each.path))
  if (above !== undefined) return { ...above, path }
  try {
    if (version.type === 'directory') await storeDirectory(context, version)
    else await storeKept(context, journal, version)
  } catch (cause) {
    const error = asError(cause)
    if (error.code !== 'ESTALE') return { path, outcome: 'failed', error }
    for (const each of versions) await journal.remove(each)
    return { path, outcome: 'conflict', error }
  }
  for (const each of versions) await journal.remove(each)
  return { path, outcome: 'stored' }
}

/** What was set of a file that somebody else has made, too, is set of theirs, if that is a file. */
async function setOnTheirs(
  { namespace }: WritableFileContext,
  path: BlobPath,
  attributes: PosixAttributes,
): Promise<void> {
  const theirs = await unlessMissing(namespace.stat(path, { fresh: true }))
  const different = withoutStored(attributes, theirs?.posix ?? {})
  if (theirs?.type !== 'file' || Object.keys(different).length === 0) return
  await unlessMissing(namespace.setAttributes(path, different))
}

function isAtOrBelow({ container, name }: BlobPath, other: BlobPath): boolean {
  return container === other.container && `${name}/`.startsWith(`${other.name}/`)
}

/**
 * Removes what was to go, before anything is stored in its place. Of a path only its last removal counts, as each waited for
 * the one before, and nothing that was promised earlier is stored.
 */
async function replayRemovals(
  { namespace }: WritableFileContext,
  journal: Journal,
  { signal }: CallOptions,
): Promise<Replayed[]> {
  const deletes = new GatheredDeletes(namespace.store, { signal })
  const paths = byPath(await journal.list()).flatMap((versions) => {
    const last = versions.findLastIndex(({ type }) => type === 'removal')
    return last < 0 ? [] : [versions.slice(0, last + 1)]
  })
  return mapConcurrent(paths, deletes.limit, async (versions) => {
    const { path, replaces: ifMatch } = versions.at(-1) ?? noVersion()
    const error = await failureOf(deletes.delete({ path, ifMatch }))
    signal?.throwIfAborted()
    if (error !== undefined && error.code !== 'ESTALE') return { path, outcome: 'failed', error }
    for (const each of versions) await journal.remove(each)
    if (error === undefined) return { path, outcome: 'removed' }
    return { path, outcome: 'conflict', error: replacedMeanwhile(path, error) }
  })
}

/** Why a removal is not done. What has gone already has been removed. */
async function failureOf(removal: Promise<void>): Promise<FileSystemError | undefined> {
  try {
    await removal
    return undefined
  } catch (cause) {
    return isFileSystemError(cause, 'ENOENT') ? undefined : asError(cause)
  }
}

function asError(cause: unknown): FileSystemError {
  return isFileSystemError(cause) ? cause : new FileSystemError('EIO', 'replay', { cause })
}

function noVersion(): never {
  throw new RangeError('versions: expected at least one')
}

async function storeDirectory(
  { namespace }: WritableFileContext,
  { path, description }: KeptVersion,
): Promise<void> {
  await commitDirectory(namespace, path, readPosixAttributes(description.metadata ?? {}))
}

async function storeKept(
  context: WritableFileContext,
  journal: Journal,
  version: KeptVersion,
): Promise<void> {
  const { namespace, chunkCache, spool, blockBytes } = context
  const { base, path, description, replaces } = version
  const setOnMade = version.setOnMade && readPosixAttributes(version.setOnMade)
  const { store } = namespace
  const content = new FileContent({ store, chunkCache, spool, base })
  const blocks = new StagedBlocks({ store, content, blockBytes })
  try {
    await journal.restore(version, content)
    const before = await unlessMissing(namespace.stat(path, { fresh: true }))
    const made = { path, content, blocks, description, replaces, setOnMade }
    const stored = await commitVersion(context, made, before)
    if (stored === undefined && setOnMade !== undefined) await setOnTheirs(context, path, setOnMade)
  } finally {
    await blocks.reset()
    await content.close()
  }
}
