import { constants } from 'node:os'
import type {
  Attributes,
  CreatedFile,
  DirectoryEntry,
  FileSystemStatistics,
  InodeEntry,
  OpenedDirectory,
  OpenedFile,
} from '../vfs/operations.ts'
import { initFlags2, openBits, structs } from './abi.ts'
import { wordsOf, writeAttributes, writeDirent, writeEntry, writeTtl } from './attribute-words.ts'

/** One message to the kernel, in pieces that are sent as one. */
export type Message = readonly Uint8Array[]

/** What the kernel is told of the session when it asks to begin. */
export interface SessionLimits {
  readonly minor: number
  readonly maxReadahead: number
  readonly flags: number
  readonly flags2: number
  readonly maxBackground: number
  readonly maxWriteBytes: number
  readonly maxPages: number
}

/** What OPEN, OPENDIR and CREATE give. */
type Opened = Pick<OpenedFile, 'handle'> &
  Partial<Pick<OpenedFile, 'directIo'>> &
  OpenedDirectory & {
    /** close(2) has nothing to say: the kernel need not ask. */
    readonly noFlush?: boolean
    /** The number of the file that the kernel reads by itself. */
    readonly backing?: number | undefined
  }

/** A reply of the head alone; `errno` is 0 for success, else positive. */
export function statusReply(unique: bigint, errno = 0): Message {
  const message = begin(unique, 0)
  message.writeInt32LE(-errno, structs.outHeader.error)
  return [message]
}

/** Answers INIT. */
export function initReply(unique: bigint, major: number, limits: SessionLimits): Message {
  const at = structs.initOut
  const message = begin(unique, at.sizeBytes)
  const body = bodyOf(message)
  body.writeUInt32LE(major, at.major)
  body.writeUInt32LE(limits.minor, at.minor)
  body.writeUInt32LE(limits.maxReadahead, at.maxReadahead)
  body.writeUInt32LE(limits.flags >>> 0, at.flags)
  body.writeUInt32LE(limits.flags2 >>> 0, at.flags2)
  body.writeUInt16LE(limits.maxBackground, at.maxBackground)
  body.writeUInt16LE(Math.floor((limits.maxBackground * 3) / 4), at.congestionThreshold)
  body.writeUInt32LE(limits.maxWriteBytes, at.maxWrite)
  body.writeUInt32LE(1, at.timeGran)
  body.writeUInt16LE(limits.maxPages, at.maxPages)
  // Backing files may lie on a disk, not on what is stacked upon others.
  body.writeUInt32LE(limits.flags2 & initFlags2.FUSE_PASSTHROUGH ? 1 : 0, at.maxStackDepth)
  return [message]
}

/** Answers LOOKUP and what makes a name. */
export function entryReply(unique: bigint, entry: InodeEntry): Message {
  const message = begin(unique, structs.entryOut.sizeBytes)
  writeEntry(wordsOf(message), headBytes, entry)
  return [message]
}

/** Answers LOOKUP of a name that is absent, which the kernel may remember. */
export function absentReply(unique: bigint, entryTtlMs: number): Message {
  const at = structs.entryOut
  const message = begin(unique, at.sizeBytes)
  const words = wordsOf(message)
  writeTtl(words, headBytes + at.entryValid, headBytes + at.entryValidNsec, entryTtlMs)
  return [message]
}

/** Answers GETATTR and SETATTR. */
export function attributesReply(unique: bigint, attributes: Attributes): Message {
  const at = structs.attrOut
  const message = begin(unique, at.sizeBytes)
  const words = wordsOf(message)
  writeTtl(words, headBytes + at.attrValid, headBytes + at.attrValidNsec, attributes.attrTtlMs)
  writeAttributes(words, headBytes + at.attr, attributes)
  return [message]
}

/** What GETATTR would be answered of some inodes; the padding of each is 1 where it has no extended attributes. */
export function toldAttributes(told: readonly Attributes[]): Uint8Array {
  const { sizeBytes, attrValid, attrValidNsec, dummy, attr } = structs.attrOut
  const message = Buffer.alloc(told.length * sizeBytes)
  const words = wordsOf(message)
  told.forEach((attributes, index) => {
    const start = index * sizeBytes
    writeTtl(words, start + attrValid, start + attrValidNsec, attributes.attrTtlMs)
    message.writeUInt32LE(attributes.xattrs === 'none' ? 1 : 0, start + dummy)
    writeAttributes(words, start + attr, attributes)
  })
  return message
}

/** Answers OPEN and OPENDIR. */
export function openReply(unique: bigint, opened: Opened): Message {
  const message = begin(unique, structs.openOut.sizeBytes)
  writeOpened(message, headBytes, opened)
  return [message]
}

/** Answers CREATE. */
export function createReply(unique: bigint, created: CreatedFile): Message {
  const entryBytes = structs.entryOut.sizeBytes
  const message = begin(unique, entryBytes + structs.openOut.sizeBytes)
  writeEntry(wordsOf(message), headBytes, created.entry)
  writeOpened(message, headBytes + entryBytes, created.file)
  return [message]
}

/** Answers WRITE with the bytes taken. */
export function writeReply(unique: bigint, sizeBytes: number): Message {
  const message = begin(unique, structs.writeOut.sizeBytes)
  message.writeUInt32LE(sizeBytes, headBytes)
  return [message]
}

/** Answers with bytes as they are: READ, READLINK. */
export function dataReply(unique: bigint, parts: readonly Uint8Array[]): Message {
  const head = begin(unique, 0)
  const sizeBytes = parts.reduce((sum, part) => sum + part.length, headBytes)
  head.writeUInt32LE(sizeBytes, structs.outHeader.len)
  return [head, ...parts]
}

/** Answers STATFS. */
export function statfsReply(unique: bigint, statistics: FileSystemStatistics): Message {
  const at = structs.statfsOut
  const message = begin(unique, at.sizeBytes)
  const body = bodyOf(message)
  writeU64(body, at.blocks, statistics.totalBlocks)
  writeU64(body, at.bfree, statistics.freeBlocks)
  writeU64(body, at.bavail, statistics.availableBlocks)
  writeU64(body, at.files, statistics.totalFiles)
  writeU64(body, at.ffree, statistics.freeFiles)
  body.writeUInt32LE(statistics.blockBytes, at.bsize)
  body.writeUInt32LE(statistics.maxNameBytes, at.namelen)
  body.writeUInt32LE(statistics.blockBytes, at.frsize)
  return [message]
}

/** Answers LSEEK. */
export function lseekReply(unique: bigint, offset: number): Message {
  const message = begin(unique, structs.lseekOut.sizeBytes)
  message.writeBigUInt64LE(BigInt(offset), headBytes)
  return [message]
}

/**
 * Answers GETXATTR and LISTXATTR: the size when `maxBytes` is 0, ERANGE when the value does not
 * fit, else the value.
 */
export function xattrReply(unique: bigint, value: Uint8Array, maxBytes: number): Message {
  if (maxBytes > 0) {
    const fits = value.length <= maxBytes
    return fits ? dataReply(unique, [value]) : statusReply(unique, constants.errno.ERANGE)
  }
  const message = begin(unique, structs.getxattrOut.sizeBytes)
  message.writeUInt32LE(value.length, headBytes)
  return [message]
}

/**
 * Answers READDIR or, when `plus`, READDIRPLUS: takes as many of `entries` as fit `maxBytes`. An
 * entry's `lookup` is called only when it goes into the reply.
 */
export function directoryReply(
  unique: bigint,
  entries: Iterable<DirectoryEntry>,
  options: {
    readonly maxBytes: number
    readonly plus: boolean
    readonly onLookup?: ((entry: InodeEntry) => void) | undefined
  },
): Message {
  // Not from Node's pool, where a message may begin anywhere.
  const message = Buffer.allocUnsafeSlow(headBytes + options.maxBytes)
  const words = wordsOf(message)
  const prefixBytes = options.plus ? structs.entryOut.sizeBytes : 0
  let end = headBytes
  for (const entry of entries) {
    const nameBytes = Buffer.byteLength(entry.name)
    const sizeBytes = alignTo8(prefixBytes + structs.dirent.sizeBytes + nameBytes)
    if (end + sizeBytes > message.length) break
    words.fill(0, end / 4, (end + sizeBytes) / 4)
    const inode = options.plus ? entry.lookup?.() : undefined
    if (inode !== undefined) {
      writeEntry(words, end, inode)
      options.onLookup?.(inode)
    }
    writeDirent(words, end + prefixBytes, entry, nameBytes)
    message.write(entry.name, end + prefixBytes + structs.dirent.sizeBytes)
    end += sizeBytes
  }
  writeHead(message, unique, end)
  return [message.subarray(0, end)]
}

const headBytes = structs.outHeader.sizeBytes

/** A zeroed message with its head, for `bodyBytes` of body. */
function begin(unique: bigint, bodyBytes: number): Buffer {
  const message = Buffer.alloc(headBytes + bodyBytes)
  writeHead(message, unique, message.length)
  return message
}

function bodyOf(message: Buffer): Buffer {
  return message.subarray(headBytes)
}

function writeHead(message: Buffer, unique: bigint, sizeBytes: number): void {
  const at = structs.outHeader
  message.writeUInt32LE(sizeBytes, at.len)
  message.writeInt32LE(0, at.error)
  message.writeBigUInt64LE(unique, at.unique)
}

function writeOpened(message: Buffer, start: number, opened: Opened): void {
  const keepCache = opened.keepCache === true ? openBits.FOPEN_KEEP_CACHE : 0
  const directIo = opened.directIo === true ? openBits.FOPEN_DIRECT_IO : 0
  const cacheNames = opened.cacheNames === true ? openBits.FOPEN_CACHE_DIR : 0
  const noFlush = opened.noFlush === true ? openBits.FOPEN_NOFLUSH : 0
  writeU64(message, start + structs.openOut.fh, opened.handle)
  const passthrough = opened.backing === undefined ? 0 : openBits.FOPEN_PASSTHROUGH
  const flags = keepCache | directIo | cacheNames | noFlush | passthrough
  message.writeInt32LE(opened.backing ?? 0, start + structs.openOut.backingId)
  message.writeUInt32LE(flags, start + structs.openOut.flags)
}

function writeU64(message: Buffer, at: number, value: number): void {
  message.writeUInt32LE(value % 2 ** 32, at)
  message.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4)
}

function alignTo8(sizeBytes: number): number {
  return Math.ceil(sizeBytes / 8) * 8
}
