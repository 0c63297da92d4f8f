import type { CallOptions } from '../blob/store.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import type { PosixAttributes } from '../namespace/entry.ts'
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
import type { WritableFileContext } from './writable-file-options.ts'

/** What became of a version that a process had promised to store when it died. */
export interface Replayed {
  readonly path: BlobPath
  /**
   * It is in Azure now; somebody else's is, and the error tells where ours is kept; or it stays in
   * the journal for the next time, because of the error.
   */
  readonly outcome: 'stored' | 'conflict' | 'failed'
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
    const failed: Replayed[] = []
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

/** The versions of each path: directories before what is in them. */
function inOrder(versions: readonly KeptVersion[]): KeptVersion[][] {
  const byPath = new Map<string, KeptVersion[]>()
  for (const version of versions.filter(({ reason }) => reason === 'pending')) {
    const key = formatPath(version.path)
    byPath.set(key, [...(byPath.get(key) ?? []), version])
  }
  const depth = ({ path }: KeptVersion): number => path.name.split('/').length
  const directories = [...byPath.values()].filter((each) => each.at(-1)?.type === 'directory')
  const files = [...byPath.values()].filter((each) => each.at(-1)?.type !== 'directory')
  directories.sort(([a], [b]) => (a && b ? depth(a) - depth(b) : 0))
  return [...directories, ...files]
}

async function replayPath(
  context: WritableFileContext,
  journal: Journal,
  { versions, failed }: Promised,
): Promise<Replayed> {
  const version = versions.at(-1)
  if (version === undefined) throw new RangeError('versions: expected at least one')
  const { path } = version
  const above = failed.find((each) => isBelow(path, each.path))
  if (above !== undefined) return { ...above, path }
  try {
    if (version.type === 'directory') await storeDirectory(context, version)
    else await storeKept(context, journal, version)
  } catch (cause) {
    const error = isFileSystemError(cause) ? cause : new FileSystemError('EIO', 'replay', { cause })
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

function isBelow(path: BlobPath, directory: BlobPath): boolean {
  return path.container === directory.container && path.name.startsWith(`${directory.name}/`)
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
