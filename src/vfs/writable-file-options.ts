import type { Entry, PosixAttributes } from '../namespace/entry.ts'
import type { BlobPath } from '../path.ts'
import type { ChunkCache } from '../transfer/chunk-cache.ts'
import type { MemoryBudget } from '../transfer/memory-budget.ts'
import type { SpoolOptions } from '../transfer/spool.ts'
import type { CommitContext } from './file-commit.ts'
import type { InodeLock } from './lease-locks.ts'

/** What writable files of one mount share. */
export interface WritableFileContext extends CommitContext {
  readonly spool: SpoolOptions
  readonly chunkCache: ChunkCache
  readonly blockBytes?: number | undefined
  /** Counts what is on its way to Azure. */
  readonly memory?: MemoryBudget | undefined
  /** close(2) and fsync(2) write down what is to be stored, and it is stored after the last close. */
  readonly writeBack?: boolean | undefined
  /** For so long no file is closed before those that the journal has are stored; milliseconds. Default 0: at once. */
  readonly writeBackQuietMs?: number | undefined
}

export interface WritableFileOptions {
  readonly context: WritableFileContext
  /** The path as it is when it is asked for: a rename changes it. */
  readonly path: () => BlobPath
  /** The version to begin with; `undefined` for a file that does not exist yet. */
  readonly stored: Entry | undefined
  /** The lock of the file, where locks reach other machines and somebody has locked it. */
  readonly lock?: (() => InodeLock | undefined) | undefined
  /** Attributes that a file which does not exist yet begins with. */
  readonly posix?: PosixAttributes | undefined
  /** Whoever made such a file is told where somebody else was first. Default false. */
  readonly isExclusive?: boolean | undefined
  /** Called after each commit with the version before it and the one that it made. */
  readonly onCommitted: (before: Entry | undefined, after: Entry, contentChanged: boolean) => void
}
