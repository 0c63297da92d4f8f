import type { CallOptions } from '../blob/store.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { unlessMissing } from '../namespace/lookup.ts'
import type { BlobPath } from '../path.ts'
import { FileContent } from '../transfer/file-content.ts'
import { StagedBlocks } from '../transfer/staged-blocks.ts'
import { commitVersion } from './file-commit.ts'
import type { Journal, KeptVersion } from './journal.ts'
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
    for (const versions of latestLast(await journal.list())) {
      options.signal?.throwIfAborted()
      outcomes.push(await replayFile(context, journal, versions))
    }
    await journal.sweep()
  }
  await journals?.tidy()
  return outcomes
}

/** The versions of each file in the order in which they were promised. */
function latestLast(versions: readonly KeptVersion[]): KeptVersion[][] {
  const byPath = new Map<string, KeptVersion[]>()
  for (const version of versions.filter(({ reason }) => reason === 'pending')) {
    const key = `${version.path.container}/${version.path.name}`
    byPath.set(key, [...(byPath.get(key) ?? []), version])
  }
  return [...byPath.values()]
}

/** The last version has all that those before it had. */
async function replayFile(
  context: WritableFileContext,
  journal: Journal,
  versions: readonly KeptVersion[],
): Promise<Replayed> {
  const version = versions.at(-1)
  if (version === undefined) throw new RangeError('versions: expected at least one')
  const { path } = version
  try {
    await storeKept(context, journal, version)
  } catch (cause) {
    const error = isFileSystemError(cause) ? cause : new FileSystemError('EIO', 'replay', { cause })
    if (error.code !== 'ESTALE') return { path, outcome: 'failed', error }
    for (const each of versions) await journal.remove(each)
    return { path, outcome: 'conflict', error }
  }
  for (const each of versions) await journal.remove(each)
  return { path, outcome: 'stored' }
}

async function storeKept(
  context: WritableFileContext,
  journal: Journal,
  version: KeptVersion,
): Promise<void> {
  const { namespace, chunkCache, spool, blockBytes } = context
  const { path, description, replaces } = version
  const { base } = version
  const { store } = namespace
  const content = new FileContent({ store, chunkCache, spool, base })
  const blocks = new StagedBlocks({ store, content, blockBytes })
  try {
    await journal.restore(version, content)
    const before = await unlessMissing(namespace.stat(path, { fresh: true }))
    await commitVersion(context, { path, content, blocks, description, replaces }, before)
  } finally {
    await blocks.reset()
    await content.close()
  }
}
