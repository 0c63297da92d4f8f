import type { RemovingBlobStore } from '../blob/removing-store.ts'
import type { Leases } from '../blob/renewed-lease.ts'
import type { Clock } from '../clock.ts'
import type { Namespace } from '../namespace/namespace.ts'
import type { BlobPath } from '../path.ts'
import type { ChunkCache } from '../transfer/chunk-cache.ts'
import type { MemoryBudget } from '../transfer/memory-budget.ts'
import type { SpoolFile, SpoolOptions } from '../transfer/spool.ts'
import { type AttributeDefaults, millisecondsToNs } from './attributes.ts'
import type { AzureAttributes } from './extended-attributes.ts'
import type { ConflictPolicy } from './file-commit.ts'
import type { ForeignChanges } from './foreign-changes.ts'
import type { HandedOver } from './handed-over.ts'
import type { Journals } from './journals.ts'
import type { PosixUse } from './posix-use.ts'
import type { IsShown } from './shown-names.ts'

export interface VfsOptions {
  readonly namespace: Namespace
  /** What the mount shows: a container, or a directory in one. Nothing above it can be reached. */
  readonly root: BlobPath
  /** Owner of what has none in its metadata. */
  readonly uid: number
  readonly gid: number
  /** Permission bits of files that have none in their metadata. Default `0o644`. */
  readonly fileMode?: number | undefined
  /** The same of directories. Default `0o755`. */
  readonly dirMode?: number | undefined
  /** What becomes of metadata of modes, owners and times. Default `write`. */
  readonly posixAttrs?: PosixUse | undefined
  /** Every change is refused with `EROFS`. Default false. */
  readonly readOnly?: boolean | undefined
  /** Which files are shown; others are as though they were not there. For mounts that change nothing. Absent: all. */
  readonly isShown?: IsShown | undefined
  /** How long the kernel may answer from names and attributes; milliseconds. Default 1,000. */
  readonly attrTtlMs?: number | undefined
  /** Where writes are buffered that memory does not hold. */
  readonly spoolDirectory: string
  /** How much of each file that is being written stays in memory; bytes. Default 4 MiB. */
  readonly spoolMemoryBytes?: number | undefined
  /** How much more of it when that directory is full, or fails; bytes. Default 64 MiB. */
  readonly spoolOverflowBytes?: number | undefined
  /** Opens a file in the spool directory that has no name. Default: a real one. */
  readonly openSpoolFile?: ((directory: string) => Promise<SpoolFile>) | undefined
  /**
   * Where versions of files are kept that could not be stored, and with `writeBack` those that are to
   * be; shared by all mounts of the container. Absent: they are lost, and nothing is written back.
   */
  readonly journalDirectory?: string | undefined
  /** The journals themselves, instead of a directory. */
  readonly journals?: Journals | undefined
  /**
   * close(2) and fsync(2) return when the journal has what was written; it is stored after the last
   * close, or by the next mount. Default false: they return when Azure has it.
   */
  readonly writeBack?: boolean | undefined
  /**
   * With `writeBack`: small files are stored when none was closed for so long, and after ten times as long at the
   * latest; milliseconds. What is renamed, removed or given other times before costs no request. Default 0: at once.
   */
  readonly writeBackQuietMs?: number | undefined
  /**
   * With `writeBackQuietMs`: what the namespace is of, where removals of files wait in the same way; on a flat account. Absent:
   * each is a request.
   */
  readonly removing?: RemovingBlobStore | undefined
  /** Has flock(2) lock files for other machines too, by leases. Absent: for this machine alone. */
  readonly leases?: Leases | undefined
  /** What becomes of a version in whose place somebody else's is. Default `error`. */
  readonly onConflict?: ConflictPolicy | undefined
  /**
   * Whether there are extended attributes. Default true.
   */
  readonly xattrs?: boolean | undefined
  /** Size of the blocks that large files are uploaded in; bytes. Default 8 MiB. */
  readonly blockBytes?: number | undefined
  /**
   * Reads index tags, so that a file's next version keeps them, and is behind the attributes
   * `azure.tags` and `azure.tier`. Absent: tags are not kept.
   */
  readonly administration?: AzureAttributes['administration']
  readonly chunkCache?: ChunkCache | undefined
  /** Counts what is on its way to Azure; shared with `chunkCache`, and by all mounts of the process. */
  readonly memory?: MemoryBudget | undefined
  /** Counts what of written files is in memory, which nobody waits for; shared by all mounts of the process. */
  readonly spoolMemory?: MemoryBudget | undefined
  /** Whether a request that nobody waits for may be sent to the account now. Absent: some at once may. */
  readonly hasRoomAhead?: (() => boolean) | undefined
  /** Whether small files beside those that are read are fetched before they are opened. Default true. */
  readonly prefetchFiles?: boolean | undefined
  /** Keeps in a file what a process must know that takes the mount over. Absent: nobody does. */
  readonly handover?: HandoverOptions | undefined
  readonly clock?: Clock | undefined
  /** Tells what others change. Absent: that shows when listings and attributes have expired. */
  readonly foreignChanges?: ForeignChanges | undefined
}

/** How a mount outlives this process. */
export interface HandoverOptions {
  readonly file: string
  /** What the process before this one has left. */
  readonly left?: HandedOver | undefined
}

/** What a mount that began at `nowMs` shows where nothing is said. */
export function attributeDefaults(options: VfsOptions, nowMs: number): AttributeDefaults {
  const { uid, gid, fileMode = 0o644, dirMode = 0o755, attrTtlMs = 1000 } = options
  return { uid, gid, fileMode, dirMode, attrTtlMs, timeNs: millisecondsToNs(nowMs) }
}

/** Where the writes of a mount are buffered. */
export function spoolOptions(options: VfsOptions): SpoolOptions {
  return {
    directory: options.spoolDirectory,
    memory: options.spoolMemory,
    memoryBytes: options.spoolMemoryBytes,
    overflowBytes: options.spoolOverflowBytes,
    openFile: options.openSpoolFile,
  }
}
