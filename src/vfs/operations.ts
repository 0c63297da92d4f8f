import type { ByteRange } from '../byte-range.ts'

declare const brand: unique symbol

/** The number of an inode: a safe integer from 1 on, never used for two inodes in one mount. */
export type Ino = number & { readonly [brand]: 'Ino' }

/** The number of an open file or directory: a safe integer from 1 on. */
export type HandleId = number & { readonly [brand]: 'HandleId' }

/** The inode of the mount's root, as the kernel knows it without a lookup. */
export const rootIno: Ino = toIno(1)

/** Checks that `value` can be an inode number; throws a RangeError when it cannot. */
export function toIno(value: number): Ino {
  return checked(value, 'ino') as Ino
}

/** Checks that `value` can be a handle; throws a RangeError when it cannot. */
export function toHandleId(value: number): HandleId {
  return checked(value, 'handle') as HandleId
}

function checked(value: number, name: string): number {
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw new RangeError(`${name} must be a safe integer from 1 on, got ${value}`)
}

/** Who makes a call, and how it is cancelled. */
export interface CallContext {
  /** Aborted when the caller is to wait no longer (a signal that kills, a deadline): reject with `signal.reason`. */
  readonly signal: AbortSignal
  readonly uid: number
  readonly gid: number
  /** The caller's process; 0 when the kernel itself asks (read-ahead, write-back). */
  readonly pid: number
  /** Notes what is to be called once nobody looks at what the call gives. Absent: that is for ever. */
  readonly whenAnswered?: ((done: () => void) => void) | undefined
}

/** What stat(2) says of an inode. */
export interface Attributes {
  readonly ino: Ino
  readonly sizeBytes: number
  /** Type bits (`S_IFREG`, `S_IFDIR`, …) and permission bits. */
  readonly mode: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  readonly atimeNs: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  /** Device number of a block or character device; 0 for all else. */
  readonly rdev: number
  /** The size that read(2) and write(2) like best. */
  readonly blockBytes: number
  /** How long the kernel may answer from these attributes; milliseconds. */
  readonly attrTtlMs: number
  /**
   * Whether the inode has extended attributes that are listed; `undefined` while it changes without
   * the {@link ChangeListener} being told, as what is being written does.
   */
  readonly xattrs?: 'none' | 'some' | undefined
}

/** A name that exists. Each one given to the kernel counts one lookup, until `forget` takes it back. */
export interface InodeEntry {
  readonly kind: 'entry'
  readonly attributes: Attributes
  /** Tells two inodes apart that had the same number; 0 when numbers are never reused. */
  readonly generation: number
  /** How long the kernel may answer the name without asking; milliseconds. */
  readonly entryTtlMs: number
}

/** A name that does not exist, which the kernel may remember for `entryTtlMs` milliseconds. */
export interface AbsentEntry {
  readonly kind: 'absent'
  readonly entryTtlMs: number
}

/** What `setattr` changes; what is `undefined` stays. */
export interface AttributeChanges {
  /** The open file that ftruncate(2) and the like were called on. */
  readonly handle?: HandleId | undefined
  /** Permission bits. */
  readonly mode?: number | undefined
  readonly uid?: number | undefined
  readonly gid?: number | undefined
  readonly sizeBytes?: number | undefined
  /** Nanoseconds since the epoch. */
  readonly atimeNs?: bigint | 'now' | undefined
  readonly mtimeNs?: bigint | 'now' | undefined
  readonly ctimeNs?: bigint | undefined
  /** Takes set-user-id away, and set-group-id where the group may execute. */
  readonly dropPrivileges?: boolean | undefined
}

/** One version of a file, whole on the local disk. */
export interface LocalContent {
  /** Two contents of one inode with the same have the same bytes. */
  readonly version: string
  readonly sizeBytes: number
  /** Stretches of it, in order, each a file from its beginning on, whose bytes never change. */
  readonly pieces: readonly ContentPiece[]
}

/** A stretch of a content in a file of its own. */
export interface ContentPiece {
  readonly start: number
  readonly sizeBytes: number
  /** An open file of this process, for as long as the turn of the event loop that gave it lasts. */
  readonly descriptor: number
}

/** One version of a file, some of which lies on the local disk. */
export interface PartialContent {
  readonly version: string
  readonly sizeBytes: number
  /**
   * Tells `add` which ranges may be read from a piece from now on, until the returned function is called.
   * `isNew`: nothing that was said of a piece there is true any more.
   */
  watch(
    add: (ranges: readonly ByteRange[], piece: ContentPiece, isNew: boolean) => void,
  ): () => void
}

/** An open file. */
export interface OpenedFile {
  readonly handle: HandleId
  /** Where reads of the handle may be answered from without asking, at once or later. */
  readonly content?: LocalContent | Promise<LocalContent | undefined> | undefined
  /** The same for what is not whole. */
  readonly partial?: PartialContent | undefined
  /** What `content` has, or would have, as its version. */
  readonly version?: string | undefined
  /** The pages that the kernel holds of an earlier open are still right. */
  readonly keepCache: boolean
  /** Reads and writes go past the kernel's page cache. */
  readonly directIo: boolean
}

/** An open directory. */
export interface OpenedDirectory {
  readonly handle: HandleId
  /** How many names it has, `.` and `..` not counted, where that is known. */
  readonly nameCount?: number | undefined
  /** The kernel may keep the names that it reads, for later opens that say `keepCache`. */
  readonly cacheNames?: boolean | undefined
  /** The names that the kernel holds of an earlier open are still right, but for its own changes. */
  readonly keepCache?: boolean | undefined
}

/** A file that `create` made and opened. */
export interface CreatedFile {
  readonly entry: InodeEntry
  readonly file: OpenedFile
}

/** How `create` makes and opens a file. */
export interface CreateOptions {
  /** Permission bits; the kernel has applied the caller's umask. */
  readonly mode: number
  /** The flags of open(2): `O_RDWR`, `O_EXCL`, `O_TRUNC`, `O_APPEND`, … */
  readonly flags: number
}

/** What fallocate(2) asks for. */
export interface Allocation {
  readonly range: ByteRange
  /** `FALLOC_FL_PUNCH_HOLE` or `FALLOC_FL_ZERO_RANGE`: the range reads as zeros. */
  readonly zero: boolean
  /** `FALLOC_FL_KEEP_SIZE`: the file does not grow. */
  readonly keepSize: boolean
}

/** What setxattr(2) asks for. */
export interface XattrChange {
  readonly value: Uint8Array
  /** `XATTR_CREATE`: fail with EEXIST when there is such an attribute. */
  readonly create: boolean
  /** `XATTR_REPLACE`: fail when there is none. */
  readonly replace: boolean
}

/** Where copy_file_range(2) puts what it copies. */
export interface CopyTarget {
  readonly handle: HandleId
  readonly offsetBytes: number
}

/** What flock(2) asks for. */
export interface FlockRequest {
  /** `none` unlocks. */
  readonly kind: 'shared' | 'exclusive' | 'none'
  /** Without `LOCK_NB`: until nobody is in the way. */
  readonly waits: boolean
}

/** What `mknod` makes. */
export interface NodeOptions {
  /** Type and permission bits. */
  readonly mode: number
  readonly rdev: number
}

/** Where `rename` puts a name. */
export interface RenameTarget {
  readonly parent: Ino
  readonly name: string
  /** `RENAME_NOREPLACE`: fail with EEXIST when the target exists. */
  readonly noReplace: boolean
  /** `RENAME_EXCHANGE`: swap the two; reject with EINVAL when that is not offered. */
  readonly exchange: boolean
}

/** One name of a directory that is being read. */
export interface DirectoryEntry {
  readonly name: string
  /** What readdir(3) shows as `d_ino`. */
  readonly ino: number
  /** Only the type bits count. */
  readonly mode: number
  /**
   * Where to go on reading after this entry: a safe integer from 1 on, which stays right while the
   * directory is open, whatever happens in it.
   */
  readonly nextOffset: number
  /**
   * What `lookup` of the name would give, at no request; it counts one lookup. Called only for an
   * entry that goes to the kernel with its attributes. `undefined` for `.` and `..`, and when the
   * attributes are not known.
   */
  readonly lookup?: (() => InodeEntry) | undefined
}

/** What statfs(2) says; sizes in blocks of `blockBytes`. */
export interface FileSystemStatistics {
  readonly blockBytes: number
  readonly totalBlocks: number
  readonly freeBlocks: number
  readonly availableBlocks: number
  readonly totalFiles: number
  readonly freeFiles: number
  readonly maxNameBytes: number
}

/** Hears of what was told to the kernel and is not true any more, for another reason than its own calls. */
export interface ChangeListener {
  attributesChanged(ino: Ino): void
  /** Others have made, replaced or removed `name`: what was told of it, and of all names in `directory`, is not true any more. */
  nameChanged(directory: Ino, name: string): void
  /** It changed, by a call of the kernel or in a way that shows in no attribute that is kept: no need to tell it. */
  inodeChanged(ino: Ino): void
  /** Resolves when no reader is given what the kernel held of the content before. */
  contentChanged(ino: Ino): Promise<void>
  /** Resolves when the kernel asks for the size of `ino` before it believes one. */
  sizeChanged(ino: Ino): Promise<void>
}

/** What a directory holds, and for how long that is believed. */
export interface KnownNames {
  readonly names: readonly string[]
  readonly believedMs: number
}

/**
 * A file system as the kernel calls it: one method per system call, named after it. A method fails
 * by rejecting with a `FileSystemError`, whose code the caller gets; any other error reaches the
 * caller as EIO. A call that was interrupted rejects with `context.signal.reason`. Calls overlap
 * freely, on one inode and on one handle; the session awaits none before it makes the next.
 */
export interface FileOperations {
  /** Begins to tell `listener` of changes. Called at most once, before any other call. */
  watchChanges?(listener: ChangeListener): void
  /** Called once, after the last other call has settled: the mount is gone, and open handles get no `release`. */
  unmounted?(): Promise<void>
  /** Counts one lookup of the entry it gives. `absent` and rejecting with ENOENT differ in the TTL only. */
  lookup(parent: Ino, name: string, context: CallContext): Promise<InodeEntry | AbsentEntry>
  /** Takes back `lookupCount` lookups; at none left the kernel will not name `ino` again. Never throws. */
  forget(ino: Ino, lookupCount: number): void
  /** `handle` is the open file that fstat(2) was called on, when the kernel tells. */
  getattr(ino: Ino, handle: HandleId | undefined, context: CallContext): Promise<Attributes>
  /**
   * What `getattr` would give of a directory in which a call has just made or removed a name, at no request;
   * `undefined` where that is not known.
   */
  attributesNow?(ino: Ino): Attributes | undefined
  /**
   * All names in a directory, where they are known at no request and were not told of this listing before. Names that
   * come later come by calls.
   */
  namesNow?(ino: Ino): KnownNames | undefined
  /** Each reply is sent after it: what the reply tells is kept for who takes the mount over. */
  readonly beforeReply?: (() => void) | undefined
  /** The files that are open, with the versions that are read: when this process takes a mount over, those that were. */
  openFiles?(): Iterable<Pick<OpenedFile, 'handle' | 'version'> & { readonly ino: Ino }>
  setattr(ino: Ino, changes: AttributeChanges, context: CallContext): Promise<Attributes>
  readlink(ino: Ino, context: CallContext): Promise<string>
  symlink(parent: Ino, name: string, target: string, context: CallContext): Promise<InodeEntry>
  /** Makes a fifo, socket, device or empty file. Where it is not offered, the caller gets EPERM. */
  mknod?(parent: Ino, name: string, node: NodeOptions, context: CallContext): Promise<InodeEntry>
  mkdir(parent: Ino, name: string, mode: number, context: CallContext): Promise<InodeEntry>
  unlink(parent: Ino, name: string, context: CallContext): Promise<void>
  rmdir(parent: Ino, name: string, context: CallContext): Promise<void>
  rename(parent: Ino, name: string, target: RenameTarget, context: CallContext): Promise<void>
  /** `flags` are those of open(2), `O_TRUNC` included: truncating is up to `open`. */
  open(ino: Ino, flags: number, context: CallContext): Promise<OpenedFile>
  /** Counts one lookup. Opens the file when it exists and `O_EXCL` is not among the flags. */
  create(
    parent: Ino,
    name: string,
    options: CreateOptions,
    context: CallContext,
  ): Promise<CreatedFile>
  /** Gives the bytes of `range` in pieces; fewer only at the end of the file. The pieces must not change before the call is answered. */
  read(handle: HandleId, range: ByteRange, context: CallContext): Promise<readonly Uint8Array[]>
  /** Gives the bytes taken. `data` is the callee's only until the promise settles: copy what must stay. */
  write(
    handle: HandleId,
    offsetBytes: number,
    data: Uint8Array,
    context: CallContext,
  ): Promise<number>
  /**
   * Makes room, or zeros, in a file. Rejects with ENOTSUP for what is not offered. Where it is
   * not offered at all, the caller gets ENOTSUP.
   */
  fallocate?(handle: HandleId, allocation: Allocation, context: CallContext): Promise<void>
  /** Each close(2) of a descriptor; its error is what close(2) reports. */
  flush(handle: HandleId, context: CallContext): Promise<void>
  /** Whether the end of `handle`, which was flushed, stores nothing and frees no lock. */
  isStored?(handle: HandleId): boolean
  /** The last close. Nobody gets its error but the fault channel. */
  release(handle: HandleId, context: CallContext): Promise<void>
  /** `dataOnly` for fdatasync(2). */
  fsync(handle: HandleId, dataOnly: boolean, context: CallContext): Promise<void>
  opendir(ino: Ino, context: CallContext): Promise<OpenedDirectory>
  /**
   * Gives the entries from `offset` on (0 is the first). The session takes as many as its reply
   * holds and drops the rest unread.
   */
  readdir(handle: HandleId, offset: number, context: CallContext): Promise<Iterable<DirectoryEntry>>
  releasedir(handle: HandleId, context: CallContext): Promise<void>
  fsyncdir?(handle: HandleId, context: CallContext): Promise<void>
  statfs(ino: Ino, context: CallContext): Promise<FileSystemStatistics>
  /** What names of extended attributes begin with; others are ENOTSUP. `undefined` where none are offered. */
  readonly xattrPrefixes?: readonly string[] | undefined
  /** `undefined` when there is no such attribute. Where it is not offered, the caller gets ENOTSUP. */
  getxattr?(ino: Ino, name: string, context: CallContext): Promise<Uint8Array | undefined>
  listxattr?(ino: Ino, context: CallContext): Promise<readonly string[]>
  /** Resolves to false when the attribute that is to be replaced or removed is not there. */
  setxattr?(ino: Ino, name: string, change: XattrChange, context: CallContext): Promise<boolean>
  removexattr?(ino: Ino, name: string, context: CallContext): Promise<boolean>
  /**
   * The first byte from `offset` on that is data, or in a hole (the end of a file is one);
   * `undefined` when there is none, or `offset` is not in the file.
   */
  seek?(
    handle: HandleId,
    offset: number,
    what: 'data' | 'hole',
    context: CallContext,
  ): Promise<number | undefined>
  /**
   * flock(2): rejects with EAGAIN when somebody else holds the lock and the call does not wait. The last
   * `release` unlocks. Where it is not offered, the kernel keeps such locks for this machine.
   */
  flock?:
    | ((handle: HandleId, request: FlockRequest, context: CallContext) => Promise<void>)
    | undefined
  /** Copies bytes of one open file into another; the number of bytes, 0 at the end of the first. */
  copyRange?(
    handle: HandleId,
    range: ByteRange,
    target: CopyTarget,
    context: CallContext,
  ): Promise<number>
}
