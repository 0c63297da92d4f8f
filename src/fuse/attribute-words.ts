import type { Attributes, DirectoryEntry, InodeEntry } from '../vfs/operations.ts'
import { structs } from './abi.ts'

// Names and attributes are most of what a listing is answered with: 35 numbers a name. They are written as words of
// 32 bits, in the machine's byte order, as Buffer's methods look at each number they write: of a name's 29 µs in
// new code that was 10.

/** The words of a message, which begins at a multiple of four bytes. */
export function wordsOf(message: Uint8Array): Uint32Array {
  return new Uint32Array(message.buffer, message.byteOffset, message.byteLength >>> 2)
}

const entryAt = structs.entryOut
const attributesAt = structs.attr
const direntAt = structs.dirent

/** Writes an entry and its attributes at byte `start`. */
export function writeEntry(words: Uint32Array, start: number, entry: InodeEntry): void {
  const { attributes } = entry
  write64(words, start + entryAt.nodeid, attributes.ino)
  write64(words, start + entryAt.generation, entry.generation)
  writeTtl(words, start + entryAt.entryValid, start + entryAt.entryValidNsec, entry.entryTtlMs)
  writeTtl(words, start + entryAt.attrValid, start + entryAt.attrValidNsec, attributes.attrTtlMs)
  writeAttributes(words, start + entryAt.attr, attributes)
}

/** Writes attributes at byte `start`. */
export function writeAttributes(words: Uint32Array, start: number, attributes: Attributes): void {
  const at = attributesAt
  write64(words, start + at.ino, attributes.ino)
  write64(words, start + at.size, attributes.sizeBytes)
  // st_blocks counts 512 bytes, whatever the block size is.
  write64(words, start + at.blocks, Math.ceil(attributes.sizeBytes / 512))
  writeTimes(words, start, attributes)
  write32(words, start + at.mode, attributes.mode)
  write32(words, start + at.nlink, attributes.nlink)
  write32(words, start + at.uid, attributes.uid)
  write32(words, start + at.gid, attributes.gid)
  write32(words, start + at.rdev, attributes.rdev)
  write32(words, start + at.blksize, attributes.blockBytes)
}

/** Writes how long the kernel may believe something: `Infinity` is as long as it can. */
export function writeTtl(
  words: Uint32Array,
  secondsAt: number,
  nanosecondsAt: number,
  ttlMs: number,
): void {
  write64(words, secondsAt, Math.min(Math.floor(ttlMs / 1000), 0xffff_ffff))
  const restMs = Number.isFinite(ttlMs) ? ttlMs % 1000 : 0
  write32(words, nanosecondsAt, Math.floor(restMs * 1_000_000))
}

/** Writes a name's place and kind at byte `start`; the name, of `nameBytes`, is the caller's to write. */
export function writeDirent(
  words: Uint32Array,
  start: number,
  entry: DirectoryEntry,
  nameBytes: number,
): void {
  write64(words, start + direntAt.ino, entry.ino)
  write64(words, start + direntAt.off, entry.nextOffset)
  write32(words, start + direntAt.namelen, nameBytes)
  // `d_type` is the type bits of the mode, shifted down.
  write32(words, start + direntAt.type, (entry.mode & 0o170000) >> 12)
}

function writeTimes(words: Uint32Array, start: number, attributes: Attributes): void {
  const at = attributesAt
  const { atimeNs, mtimeNs, ctimeNs } = attributes
  const mtime = timeOf(mtimeNs)
  // Of a file that nobody has touched here all three are one.
  const atime = atimeNs === mtimeNs ? mtime : timeOf(atimeNs)
  const ctime = ctimeNs === mtimeNs ? mtime : timeOf(ctimeNs)
  write64(words, start + at.atime, atime.seconds)
  write64(words, start + at.mtime, mtime.seconds)
  write64(words, start + at.ctime, ctime.seconds)
  write32(words, start + at.atimensec, atime.nanoseconds)
  write32(words, start + at.mtimensec, mtime.nanoseconds)
  write32(words, start + at.ctimensec, ctime.nanoseconds)
}

/** Nanoseconds are never negative, also before 1970. */
function timeOf(ns: bigint): { readonly seconds: number; readonly nanoseconds: number } {
  const seconds = Number(ns / nsPerSecond)
  const nanoseconds = Number(ns % nsPerSecond)
  if (nanoseconds >= 0) return { seconds, nanoseconds }
  return { seconds: seconds - 1, nanoseconds: nanoseconds + Number(nsPerSecond) }
}

const nsPerSecond = 1_000_000_000n

function write32(words: Uint32Array, at: number, value: number): void {
  words[at >>> 2] = value
}

/** What is stored in a word is taken modulo 2^32, negative numbers too. */
function write64(words: Uint32Array, at: number, value: number): void {
  words[at >>> 2] = value
  words[(at >>> 2) + 1] = Math.floor(value / 2 ** 32)
}
