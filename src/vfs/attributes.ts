import { constants } from 'node:fs'
import { KiB, MiB } from '../byte-range.ts'
import type { Entry, EntryType, PosixAttributes } from '../namespace/entry.ts'
import { hasUserNames } from './extended-attributes.ts'
import type { AttributeChanges, Attributes, Ino } from './operations.ts'

/** What an entry shows where its metadata says nothing. */
export interface AttributeDefaults {
  readonly uid: number
  readonly gid: number
  /** Permission bits of files. */
  readonly fileMode: number
  /** Permission bits of directories. */
  readonly dirMode: number
  /** Of a directory that has no time of its own; nanoseconds since the epoch. */
  readonly timeNs: bigint
  readonly attrTtlMs: number
}

/** What is shown of an inode beyond its entry. */
export interface AttributeSource {
  readonly ino: Ino
  readonly entry: Entry
  /** Names that the inode has: 0 once it is unlinked. */
  readonly nlink: number
  /** When this mount last changed it, and names in it; nanoseconds. */
  readonly changedNs?: bigint | undefined
  readonly namesChangedNs?: bigint | undefined
  /** How long all this is believed; milliseconds. */
  readonly attrTtlMs: number
  /** Whether it stays so until a call changes it: not while the file is being written. */
  readonly isSettled: boolean
}

const typeBits: Record<EntryType, number> = {
  file: constants.S_IFREG,
  directory: constants.S_IFDIR,
  symlink: constants.S_IFLNK,
  fifo: constants.S_IFIFO,
  socket: constants.S_IFSOCK,
  'block-device': constants.S_IFBLK,
  'character-device': constants.S_IFCHR,
}

/** The `S_IF…` bits of a type. */
export function typeBitsOf(type: EntryType): number {
  return typeBits[type]
}

/** The type that the `S_IF…` bits of `mode` name; no bits mean a regular file. */
export function typeOf(mode: number): EntryType | undefined {
  const bits = mode & constants.S_IFMT
  if (bits === 0) return 'file'
  const types = Object.keys(typeBits) as EntryType[]
  return types.find((type) => typeBits[type] === bits)
}

/**
 * What stat(2) says of an entry. The status change time is the service's last modification (which
 * a change of attributes moves too) or this mount's own, and the access time is the modification time.
 */
export function toAttributes(source: AttributeSource, defaults: AttributeDefaults): Attributes {
  const { entry } = source
  const { posix } = entry
  const isKnown = source.isSettled && entry.partial !== true
  const storedNs = millisecondsToNs(entry.lastModifiedMs) ?? defaults.timeNs
  const mtimeNs = latest(posix.mtimeNs ?? storedNs, source.namesChangedNs)
  return {
    ino: source.ino,
    sizeBytes: entry.sizeBytes,
    mode: typeBits[entry.type] | (posix.mode ?? defaultMode(entry.type, defaults)),
    nlink: source.nlink,
    uid: posix.uid ?? defaults.uid,
    gid: posix.gid ?? defaults.gid,
    atimeNs: mtimeNs,
    mtimeNs,
    ctimeNs: latest(storedNs, source.changedNs),
    rdev: deviceNumber(entry),
    blockBytes: entry.type === 'directory' ? directoryBlockBytes : MiB,
    attrTtlMs: source.attrTtlMs,
    xattrs: isKnown ? (hasUserNames(entry.metadata) ? 'some' : 'none') : undefined,
  }
}

/**
 * C libraries and the kernel make room for so much when a directory is read. The kernel takes 18 µs to make room
 * for 1 MiB, twice for each directory; this is room for some 780 names.
 */
const directoryBlockBytes = 128 * KiB

function latest(a: bigint, b: bigint | undefined): bigint {
  return b !== undefined && b > a ? b : a
}

/** Whole milliseconds as nanoseconds. */
export function millisecondsToNs(ms: number): bigint
export function millisecondsToNs(ms: number | undefined): bigint | undefined
export function millisecondsToNs(ms: number | undefined): bigint | undefined {
  return ms === undefined ? undefined : BigInt(Math.trunc(ms)) * 1_000_000n
}

/** `changes` without what `stored` already says, which need not be sent. */
export function withoutStored(changes: PosixAttributes, stored: PosixAttributes): PosixAttributes {
  const { mode, uid, gid, mtimeNs } = changes
  return {
    ...(mode !== undefined && mode !== stored.mode && { mode }),
    ...(uid !== undefined && uid !== stored.uid && { uid }),
    ...(gid !== undefined && gid !== stored.gid && { gid }),
    ...(mtimeNs !== undefined && mtimeNs !== stored.mtimeNs && { mtimeNs }),
  }
}

function defaultMode(type: EntryType, defaults: AttributeDefaults): number {
  if (type === 'symlink') return 0o777
  return type === 'directory' ? defaults.dirMode : defaults.fileMode
}

function deviceNumber(entry: Entry): number {
  if (entry.type !== 'block-device' && entry.type !== 'character-device') return 0
  const stored = Number(entry.metadata['posix_rdev'])
  return Number.isSafeInteger(stored) && stored >= 0 ? stored : 0
}

/** What setattr(2) changes of what is kept; `undefined` when only times are meant that are not. */
export function posixChangesOf(
  { mode, uid, gid, mtimeNs }: AttributeChanges,
  nowNs: bigint,
): PosixAttributes | undefined {
  if (mode === undefined && uid === undefined && gid === undefined && mtimeNs === undefined) {
    return undefined
  }
  return {
    mode: mode === undefined ? undefined : mode & 0o7777,
    uid,
    gid,
    mtimeNs: mtimeNs === 'now' ? nowNs : mtimeNs,
  }
}
