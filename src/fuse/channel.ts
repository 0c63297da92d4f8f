import type { ByteRange } from '../byte-range.ts'
import type { ContentPiece, HandleId } from '../vfs/operations.ts'

/** What a channel calls, on the JavaScript thread, with what the kernel sends. */
export interface FrameReceiver {
  /**
   * Takes one complete request. `frame` is valid during the call only, unless it is held
   * ({@link FuseChannel.hold}). `source` names the queue that it came from and its reply goes to.
   * Of interrupts those come that are to end a call: signals that its caller handles are none, but of
   * one who waits for a lock or cannot be seen. Must not throw.
   */
  onFrame(frame: Buffer, source: number): void
  /**
   * The channel has answered request `unique` by itself, before the session did: `ETIMEDOUT` when it
   * made no progress for too long, `EINTR` when its caller dies. What the session sends for
   * it later is refused with `-ENOENT`.
   */
  onExpired(unique: bigint, code: 'ETIMEDOUT' | 'EINTR'): void
  /** The kernel ended the connection (unmounted, aborted); with `error` when reading it failed. Called once. */
  onEnd(error?: Error): void
}

/** The bytes of a request that outlive the call that brought them. */
export interface HeldFrame {
  readonly bytes: Buffer
  /** Gives the bytes back to the channel, which overwrites them. Idempotent. */
  release(): void
}

/** An inode whose attributes, as a reply tells them, the channel may tell again while they hold. */
export interface SettledInode {
  readonly ino: number
  /** It has no extended attributes that are listed. */
  readonly plain: boolean
}

/**
 * Reads that are answered without the session: by the channel's own threads where pieces of a file lie
 * on the local disk, or by the kernel itself from a backing file.
 */
export interface ContentChannel {
  /** Begins to answer reads of `handle`, a file of `sizeBytes`, where pieces are. */
  attach(handle: HandleId, sizeBytes: number): void
  /** Adds a piece; its descriptor stays the caller's. Unless it is `complete`, nothing of it is there yet. */
  addPiece(handle: HandleId, piece: ContentPiece, complete: boolean): void
  /** The bytes of `range` are there now; granules of 64 KiB that it covers in part are not. */
  markPresent(handle: HandleId, range: ByteRange): void
  /** No read that begins later is answered here. Idempotent. */
  detach(handle: HandleId): void
  /** Registers a file that the kernel may read by itself; its number from 1 on, or a negative errno. */
  openBacking(descriptor: number): number
  closeBacking(backing: number): void
}

/** All names of a directory that was opened. */
export interface DirectoryNames {
  /** What READDIRPLUS from the beginning would be answered, with its head. Each inode in it counts one lookup. */
  readonly message: Uint8Array
  /** Where reading goes on after the last name. */
  readonly end: number
  readonly settled: readonly SettledInode[]
}

/** Directories that are read without the session. */
export interface NamesChannel {
  /**
   * Offers the names of an open directory, which the kernel asks for next. What it does not ask for soon,
   * or before an inode changes, is dropped: its lookups come back as a `forget`.
   */
  offer(handle: HandleId, names: DirectoryNames): void
  /** The kernel never heard of `handle`. */
  withdraw(handle: HandleId): void
}

/**
 * The kernel's side of a mount: frames in, frames out. The native addon is one implementation
 * (`native-channel.ts`, its only importer); tests have another that plays the kernel.
 */
export interface FuseChannel {
  /** Begins to deliver requests. Called once. */
  receive(receiver: FrameReceiver): void
  /**
   * Has the kernel send again what it has sent to a process that ended without answering. Where it cannot (Linux before 6.9), EINVAL is
   * thrown.
   */
  resend?(): void
  /** Keeps the bytes of `frame` past the `onFrame` call under way. Without a copy, as long as there is room. */
  hold(frame: Buffer): HeldFrame
  /**
   * Writes one reply to the queue `source`: `parts` are concatenated by the kernel
   * (`writev`), not copied here, and are the caller's again on return. Returns 0, or a negative
   * errno: `-ENOENT` says that the request is answered already (interrupted, expired): no fault,
   * but the kernel knows nothing of what the reply gave it. What the reply tells of `settled`
   * inodes, in its order, may be answered without the session for as long as it holds, and so may
   * what is `told` of others beside it: a `fuse_attr_out` each, whose padding is 1 where the inode
   * has no extended attributes that are listed.
   */
  send(
    source: number,
    parts: readonly Uint8Array[],
    settled?: readonly SettledInode[],
    told?: Uint8Array,
  ): number
  /**
   * The same on a thread of its own, for replies that take a while to copy. `whenSent` is called with what
   * `send` would return; until then the parts stay as they are. Absent: `send` does it.
   */
  sendLater?(source: number, parts: readonly Uint8Array[], whenSent: (result: number) => void): void
  /** What was told of `ino` is not true any more, and the kernel knows. */
  inodeChanged?(ino: number): void
  /** All names in `directory`; others that are asked for within `holdsMs`, and were not made since, are absent. */
  namesKnown?(directory: number, names: readonly string[], holdsMs: number): void
  /** What was told of the names in `directory` is not true any more. */
  namesChanged?(directory: number): void
  /** Until it is written to, nothing waits for the end of `handle`: the session may hear of it with something else. */
  handleIdle?(handle: HandleId): void
  /** Extended attributes whose names begin otherwise may be refused without the session. */
  offerXattrs?(prefixes: readonly string[]): void
  /** Says that request `unique` gets on, so that its deadline begins anew. */
  progress?(unique: bigint): void
  /**
   * Tells the kernel that attributes which it keeps of `ino` are not true any more. Returns at once;
   * `undefined` where there is no way to tell.
   */
  invalidateAttributes?(ino: number): void
  /**
   * The same of what `name` in `directory` stands for, of the names that it keeps of the directory, and of the
   * directory's attributes.
   */
  expireName?(directory: number, name: string): void
  /**
   * Has the kernel drop what it holds of `ino`'s content; resolves when it has. Absent where there is
   * no way to tell.
   */
  invalidateContent?(ino: number): Promise<void>
  /** As `invalidateAttributes`, and resolves when the kernel knows. Waits for no read that is under way. */
  invalidateSize?(ino: number): Promise<void>
  /** `undefined` where the session answers for every name. */
  readonly names?: NamesChannel
  /** `undefined` where the session answers every read. */
  readonly content?: ContentChannel
  /** Stops receiving and closes the descriptors, which ends the mount's connection. Idempotent. */
  close(): void
}
