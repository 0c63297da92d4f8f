import { isUtf8 } from 'node:buffer'
import type { ByteRange } from '../byte-range.ts'
import {
  type Allocation,
  type AttributeChanges,
  type CopyTarget,
  type CreateOptions,
  type HandleId,
  type Ino,
  type NodeOptions,
  type RenameTarget,
  toHandleId,
  toIno,
  type XattrChange,
} from '../vfs/operations.ts'
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  FUSE_FSYNC_FDATASYNC,
  FUSE_GETATTR_FH,
  initFlags,
  opcodes,
  renameBits,
  SEEK_DATA,
  SEEK_HOLE,
  setattrBits,
  structs,
  XATTR_CREATE,
  XATTR_REPLACE,
} from './abi.ts'

/** The head of every request. */
export interface RequestHeader {
  readonly opcode: number
  /** The kernel's number for the request, which the reply repeats. */
  readonly unique: bigint
  /** The inode concerned, as sent: 0 where the operation has none. */
  readonly nodeid: number
  readonly uid: number
  readonly gid: number
  readonly pid: number
}

/** What one request asks for. Numbers and names are copies; `write.data` lies in the frame. */
export type FuseRequest =
  | {
      readonly kind: 'init'
      readonly major: number
      readonly minor: number
      readonly maxReadahead: number
      readonly flags: number
      readonly flags2: number
    }
  | { readonly kind: 'lookup'; readonly parent: Ino; readonly name: string }
  | { readonly kind: 'forget'; readonly forgets: readonly Forget[] }
  | { readonly kind: 'getattr'; readonly ino: Ino; readonly handle: HandleId | undefined }
  | { readonly kind: 'setattr'; readonly ino: Ino; readonly changes: AttributeChanges }
  | { readonly kind: 'readlink'; readonly ino: Ino }
  | {
      readonly kind: 'symlink'
      readonly parent: Ino
      readonly name: string
      readonly target: string
    }
  | {
      readonly kind: 'mknod'
      readonly parent: Ino
      readonly name: string
      readonly node: NodeOptions
    }
  | { readonly kind: 'mkdir'; readonly parent: Ino; readonly name: string; readonly mode: number }
  | { readonly kind: 'unlink' | 'rmdir'; readonly parent: Ino; readonly name: string }
  | {
      readonly kind: 'rename'
      readonly parent: Ino
      readonly name: string
      readonly target: RenameTarget
    }
  | { readonly kind: 'link' }
  | { readonly kind: 'open'; readonly ino: Ino; readonly flags: number }
  | {
      readonly kind: 'create'
      readonly parent: Ino
      readonly name: string
      readonly options: CreateOptions
    }
  | { readonly kind: 'read'; readonly handle: HandleId; readonly range: ByteRange }
  | {
      readonly kind: 'write'
      readonly handle: HandleId
      readonly offsetBytes: number
      readonly data: Uint8Array
    }
  | { readonly kind: 'flush' | 'release' | 'releasedir'; readonly handle: HandleId }
  | { readonly kind: 'fsync' | 'fsyncdir'; readonly handle: HandleId; readonly dataOnly: boolean }
  | {
      readonly kind: 'fallocate'
      readonly handle: HandleId
      /** `undefined` for a mode that is not offered. */
      readonly allocation: Allocation | undefined
    }
  | { readonly kind: 'opendir'; readonly ino: Ino }
  | {
      readonly kind: 'readdir'
      readonly handle: HandleId
      readonly offset: number
      readonly maxBytes: number
      /** READDIRPLUS: with the attributes. */
      readonly plus: boolean
    }
  | { readonly kind: 'statfs'; readonly ino: Ino }
  | {
      readonly kind: 'getxattr'
      readonly ino: Ino
      readonly name: string
      /** 0 asks for the size only. */
      readonly maxBytes: number
    }
  | {
      readonly kind: 'setxattr'
      readonly ino: Ino
      readonly name: string
      readonly change: XattrChange
    }
  | { readonly kind: 'removexattr'; readonly ino: Ino; readonly name: string }
  | {
      readonly kind: 'lseek'
      readonly handle: HandleId
      readonly offset: number
      /** `undefined` for a way that is not offered. */
      readonly what: 'data' | 'hole' | undefined
    }
  | {
      readonly kind: 'copyRange'
      readonly handle: HandleId
      readonly range: ByteRange
      readonly target: CopyTarget
    }
  | { readonly kind: 'listxattr'; readonly ino: Ino; readonly maxBytes: number }
  | { readonly kind: 'interrupt'; readonly unique: bigint }
  | { readonly kind: 'destroy' }
  /** An operation that is not offered. */
  | { readonly kind: 'unknown' }

/** Lookups that the kernel gives back. */
export interface Forget {
  readonly ino: Ino
  readonly lookupCount: number
}

/** A frame that does not have the shape its opcode asks for. */
export class MalformedRequest extends RangeError {
  override readonly name = 'MalformedRequest'
  /** What the caller is told. */
  readonly code: 'EFBIG' | 'EINVAL'

  constructor(
    message: string,
    options: ErrorOptions & { readonly code?: 'EFBIG' | 'EINVAL' } = {},
  ) {
    super(message, options)
    this.code = options.code ?? 'EINVAL'
  }
}

/** Reads the head of `frame`; `undefined` when the frame is too short to have one. */
export function parseHeader(frame: Buffer): RequestHeader | undefined {
  const at = structs.inHeader
  if (frame.length < at.sizeBytes) return undefined
  return {
    opcode: frame.readUInt32LE(at.opcode),
    unique: frame.readBigUInt64LE(at.unique),
    nodeid: frame.readUInt32LE(at.nodeid + 4) * 2 ** 32 + frame.readUInt32LE(at.nodeid),
    uid: frame.readUInt32LE(at.uid),
    gid: frame.readUInt32LE(at.gid),
    pid: frame.readUInt32LE(at.pid),
  }
}

/** The kernel's name for an opcode, for reports. */
export function opcodeName(opcode: number): string {
  return opcodeNames.get(opcode) ?? `opcode ${opcode}`
}

/**
 * Reads the operation that `frame` asks for, whose head is `header`. Throws
 * {@link MalformedRequest} when lengths, numbers or names are not what the opcode asks for.
 */
export function parseRequest(header: RequestHeader, frame: Buffer): FuseRequest {
  const parse = parsers.get(header.opcode)
  if (parse === undefined) return { kind: 'unknown' }
  const body = new Body(header, frame)
  try {
    return parse(body)
  } catch (error) {
    // `toIno`, `toHandleId` and Buffer's reads throw a RangeError for what does not fit.
    if (error instanceof MalformedRequest || !(error instanceof RangeError)) throw error
    throw new MalformedRequest(error.message, { cause: error })
  }
}

/** Reads the struct, then the names and bytes, that follow the head of one request. */
class Body {
  readonly #frame: Buffer
  readonly #header: RequestHeader
  readonly #end: number
  #tail: number

  constructor(header: RequestHeader, frame: Buffer) {
    this.#header = header
    this.#frame = frame
    const length = frame.readUInt32LE(structs.inHeader.len)
    const extensions = frame.readUInt16LE(structs.inHeader.totalExtlen) * 8
    if (length !== frame.length) {
      throw new MalformedRequest(`frame of ${frame.length} bytes says ${length}`)
    }
    this.#end = length - extensions
    this.#tail = structs.inHeader.sizeBytes
  }

  get ino(): Ino {
    return toIno(this.#header.nodeid)
  }

  /** Passes a struct of `sizeBytes`; the offset at which it begins. */
  struct(sizeBytes: number): number {
    const start = this.#tail
    if (start + sizeBytes > this.#end) throw new MalformedRequest('request is too short')
    this.#tail = start + sizeBytes
    return start
  }

  u32(at: number): number {
    return this.#frame.readUInt32LE(at)
  }

  u64(at: number): number {
    const value = this.u32(at + 4) * 2 ** 32 + this.u32(at)
    if (value > Number.MAX_SAFE_INTEGER) {
      // Offsets are the numbers that callers choose.
      throw new MalformedRequest(`number ${value} is too large`, { code: 'EFBIG' })
    }
    return value
  }

  bigint(at: number): bigint {
    return this.#frame.readBigUInt64LE(at)
  }

  timeNs(seconds: number, nanoseconds: number): bigint {
    return this.#frame.readBigInt64LE(seconds) * 1_000_000_000n + BigInt(this.u32(nanoseconds))
  }

  /**
   * A string that ends with a zero byte. One that is not UTF-8 is refused: Azure could not store it,
   * and decoding it would make two names one.
   */
  text(): string {
    const end = this.#frame.indexOf(0, this.#tail)
    if (end < 0 || end >= this.#end) throw new MalformedRequest('string has no end')
    const bytes = this.#frame.subarray(this.#tail, end)
    if (!isUtf8(bytes)) throw new MalformedRequest('string is not UTF-8')
    this.#tail = end + 1
    return bytes.toString('utf8')
  }

  /** One name of a directory. */
  name(): string {
    const name = this.text()
    if (name === '' || name.includes('/'))
      throw new MalformedRequest('name is empty or has a slash')
    return name
  }

  bytes(length: number): Uint8Array {
    const start = this.struct(length)
    return this.#frame.subarray(start, start + length)
  }
}

const opcodeNames = new Map<number, string>(
  Object.entries(opcodes).map(([name, opcode]) => [opcode, name]),
)

const parsers: ReadonlyMap<number, (body: Body) => FuseRequest> = new Map<
  number,
  (body: Body) => FuseRequest
>([
  [opcodes.init, parseInit],
  [opcodes.lookup, (body) => ({ kind: 'lookup', parent: body.ino, name: body.name() })],
  [opcodes.forget, parseForget],
  [opcodes.batchForget, parseBatchForget],
  [opcodes.getattr, parseGetattr],
  [opcodes.setattr, parseSetattr],
  [opcodes.readlink, (body) => ({ kind: 'readlink', ino: body.ino })],
  [opcodes.symlink, parseSymlink],
  [opcodes.mknod, parseMknod],
  [opcodes.mkdir, parseMkdir],
  [opcodes.unlink, (body) => ({ kind: 'unlink', parent: body.ino, name: body.name() })],
  [opcodes.rmdir, (body) => ({ kind: 'rmdir', parent: body.ino, name: body.name() })],
  [opcodes.rename, (body) => parseRename(body, structs.renameIn.sizeBytes)],
  [opcodes.rename2, (body) => parseRename(body, structs.rename2In.sizeBytes)],
  [opcodes.link, () => ({ kind: 'link' })],
  [opcodes.open, parseOpen],
  [opcodes.create, parseCreate],
  [opcodes.read, parseRead],
  [opcodes.write, parseWrite],
  [opcodes.fallocate, parseFallocate],
  [opcodes.flush, (body) => parseHandle(body, 'flush', structs.flushIn.sizeBytes)],
  [opcodes.release, (body) => parseHandle(body, 'release', structs.releaseIn.sizeBytes)],
  [opcodes.releasedir, (body) => parseHandle(body, 'releasedir', structs.releaseIn.sizeBytes)],
  [opcodes.fsync, (body) => parseFsync(body, 'fsync')],
  [opcodes.fsyncdir, (body) => parseFsync(body, 'fsyncdir')],
  [opcodes.opendir, (body) => ({ kind: 'opendir', ino: body.ino })],
  [opcodes.readdir, (body) => parseReaddir(body, false)],
  [opcodes.readdirplus, (body) => parseReaddir(body, true)],
  [opcodes.statfs, (body) => ({ kind: 'statfs', ino: body.ino })],
  [opcodes.getxattr, parseGetxattr],
  [opcodes.listxattr, parseListxattr],
  [opcodes.setxattr, parseSetxattr],
  [opcodes.removexattr, (body) => ({ kind: 'removexattr', ino: body.ino, name: body.text() })],
  [opcodes.lseek, parseLseek],
  [opcodes.copyFileRange, parseCopyRange],
  [opcodes.interrupt, parseInterrupt],
  [opcodes.destroy, () => ({ kind: 'destroy' })],
])

function parseInit(body: Body): FuseRequest {
  const at = structs.initIn
  const start = body.struct(at.flags2)
  const flags = body.u32(start + at.flags)
  // Kernels before 7.36 end here.
  const flags2 = flags & initFlags.FUSE_INIT_EXT ? body.u32(body.struct(4)) : 0
  return {
    kind: 'init',
    major: body.u32(start + at.major),
    minor: body.u32(start + at.minor),
    maxReadahead: body.u32(start + at.maxReadahead),
    flags,
    flags2,
  }
}

function parseForget(body: Body): FuseRequest {
  const start = body.struct(structs.forgetIn.sizeBytes)
  return { kind: 'forget', forgets: [{ ino: body.ino, lookupCount: body.u64(start) }] }
}

function parseBatchForget(body: Body): FuseRequest {
  const at = structs.forgetOne
  const count = body.u32(body.struct(structs.batchForgetIn.sizeBytes))
  const first = body.struct(count * at.sizeBytes)
  const forgets: Forget[] = []
  for (let start = first; forgets.length < count; start += at.sizeBytes) {
    forgets.push({
      ino: toIno(body.u64(start + at.nodeid)),
      lookupCount: body.u64(start + at.nlookup),
    })
  }
  return { kind: 'forget', forgets }
}

function parseGetattr(body: Body): FuseRequest {
  const at = structs.getattrIn
  const start = body.struct(at.sizeBytes)
  const byHandle = (body.u32(start + at.flags) & FUSE_GETATTR_FH) !== 0
  const handle = byHandle ? toHandleId(body.u64(start + at.fh)) : undefined
  return { kind: 'getattr', ino: body.ino, handle }
}

function parseSetattr(body: Body): FuseRequest {
  const at = structs.setattrIn
  const start = body.struct(at.sizeBytes)
  const valid = body.u32(start + at.valid)
  const has = (bit: number): boolean => (valid & bit) !== 0
  const bits = setattrBits
  const changes: AttributeChanges = {
    handle: has(bits.FATTR_FH) ? toHandleId(body.u64(start + at.fh)) : undefined,
    mode: has(bits.FATTR_MODE) ? body.u32(start + at.mode) & 0o7777 : undefined,
    uid: has(bits.FATTR_UID) ? body.u32(start + at.uid) : undefined,
    gid: has(bits.FATTR_GID) ? body.u32(start + at.gid) : undefined,
    sizeBytes: has(bits.FATTR_SIZE) ? body.u64(start + at.size) : undefined,
    // chown(2) to nobody in particular changes nothing, and takes the bits away all the same.
    dropPrivileges: valid === 0 || has(bits.FATTR_KILL_SUIDGID) ? true : undefined,
    atimeNs: timeOf(has(bits.FATTR_ATIME), has(bits.FATTR_ATIME_NOW), () =>
      body.timeNs(start + at.atime, start + at.atimensec),
    ),
    mtimeNs: timeOf(has(bits.FATTR_MTIME), has(bits.FATTR_MTIME_NOW), () =>
      body.timeNs(start + at.mtime, start + at.mtimensec),
    ),
    ctimeNs: has(bits.FATTR_CTIME)
      ? body.timeNs(start + at.ctime, start + at.ctimensec)
      : undefined,
  }
  return { kind: 'setattr', ino: body.ino, changes }
}

function timeOf(changed: boolean, now: boolean, read: () => bigint): bigint | 'now' | undefined {
  if (now) return 'now'
  return changed ? read() : undefined
}

function parseSymlink(body: Body): FuseRequest {
  return { kind: 'symlink', parent: body.ino, name: body.name(), target: body.text() }
}

function parseMknod(body: Body): FuseRequest {
  const at = structs.mknodIn
  const start = body.struct(at.sizeBytes)
  const node = { mode: body.u32(start + at.mode), rdev: body.u32(start + at.rdev) }
  return { kind: 'mknod', parent: body.ino, name: body.name(), node }
}

function parseMkdir(body: Body): FuseRequest {
  const start = body.struct(structs.mkdirIn.sizeBytes)
  const mode = body.u32(start + structs.mkdirIn.mode) & 0o7777
  return { kind: 'mkdir', parent: body.ino, name: body.name(), mode }
}

function parseRename(body: Body, sizeBytes: number): FuseRequest {
  const at = structs.rename2In
  const start = body.struct(sizeBytes)
  const flags = sizeBytes === at.sizeBytes ? body.u32(start + at.flags) : 0
  if ((flags & ~(renameBits.RENAME_NOREPLACE | renameBits.RENAME_EXCHANGE)) !== 0) {
    throw new MalformedRequest(`rename with flags ${flags}`)
  }
  const name = body.name()
  const target: RenameTarget = {
    parent: toIno(body.u64(start + at.newdir)),
    name: body.name(),
    noReplace: (flags & renameBits.RENAME_NOREPLACE) !== 0,
    exchange: (flags & renameBits.RENAME_EXCHANGE) !== 0,
  }
  return { kind: 'rename', parent: body.ino, name, target }
}

function parseOpen(body: Body): FuseRequest {
  const start = body.struct(structs.openIn.sizeBytes)
  return { kind: 'open', ino: body.ino, flags: body.u32(start + structs.openIn.flags) }
}

function parseCreate(body: Body): FuseRequest {
  const at = structs.createIn
  const start = body.struct(at.sizeBytes)
  const options = {
    mode: body.u32(start + at.mode) & 0o7777,
    flags: body.u32(start + at.flags),
  }
  return { kind: 'create', parent: body.ino, name: body.name(), options }
}

function parseRead(body: Body): FuseRequest {
  const at = structs.readIn
  const start = body.struct(at.sizeBytes)
  const offset = body.u64(start + at.offset)
  return {
    kind: 'read',
    handle: toHandleId(body.u64(start + at.fh)),
    range: { start: offset, end: offset + body.u32(start + at.size) },
  }
}

function parseWrite(body: Body): FuseRequest {
  const at = structs.writeIn
  const start = body.struct(at.sizeBytes)
  return {
    kind: 'write',
    handle: toHandleId(body.u64(start + at.fh)),
    offsetBytes: body.u64(start + at.offset),
    data: body.bytes(body.u32(start + at.size)),
  }
}

function parseHandle(
  body: Body,
  kind: 'flush' | 'release' | 'releasedir',
  sizeBytes: number,
): FuseRequest {
  // `fh` comes first in both structs.
  return { kind, handle: toHandleId(body.u64(body.struct(sizeBytes))) }
}

function parseFsync(body: Body, kind: 'fsync' | 'fsyncdir'): FuseRequest {
  const at = structs.fsyncIn
  const start = body.struct(at.sizeBytes)
  const dataOnly = (body.u32(start + at.flags) & FUSE_FSYNC_FDATASYNC) !== 0
  return { kind, handle: toHandleId(body.u64(start + at.fh)), dataOnly }
}

function parseFallocate(body: Body): FuseRequest {
  const at = structs.fallocateIn
  const start = body.struct(at.sizeBytes)
  const handle = toHandleId(body.u64(start + at.fh))
  const mode = body.u32(start + at.mode)
  const zeroing = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE
  if ((mode & ~(zeroing | FALLOC_FL_KEEP_SIZE)) !== 0) {
    return { kind: 'fallocate', handle, allocation: undefined }
  }
  const offset = body.u64(start + at.offset)
  const allocation = {
    range: { start: offset, end: offset + body.u64(start + at.length) },
    zero: (mode & zeroing) !== 0,
    keepSize: (mode & FALLOC_FL_KEEP_SIZE) !== 0,
  }
  return { kind: 'fallocate', handle, allocation }
}

function parseReaddir(body: Body, plus: boolean): FuseRequest {
  const at = structs.readIn
  const start = body.struct(at.sizeBytes)
  return {
    kind: 'readdir',
    handle: toHandleId(body.u64(start + at.fh)),
    offset: body.u64(start + at.offset),
    maxBytes: body.u32(start + at.size),
    plus,
  }
}

function parseGetxattr(body: Body): FuseRequest {
  const maxBytes = body.u32(body.struct(structs.getxattrIn.sizeBytes))
  return { kind: 'getxattr', ino: body.ino, name: body.text(), maxBytes }
}

function parseListxattr(body: Body): FuseRequest {
  const maxBytes = body.u32(body.struct(structs.getxattrIn.sizeBytes))
  return { kind: 'listxattr', ino: body.ino, maxBytes }
}

function parseSetxattr(body: Body): FuseRequest {
  const at = structs.setxattrIn
  const start = body.struct(at.sizeBytes)
  const flags = body.u32(start + at.flags)
  const name = body.text()
  // The frame is the kernel's again when the request was parsed.
  const value = Buffer.from(body.bytes(body.u32(start + at.size)))
  const change = {
    value,
    create: (flags & XATTR_CREATE) !== 0,
    replace: (flags & XATTR_REPLACE) !== 0,
  }
  return { kind: 'setxattr', ino: body.ino, name, change }
}

function parseLseek(body: Body): FuseRequest {
  const at = structs.lseekIn
  const start = body.struct(at.sizeBytes)
  const whence = body.u32(start + at.whence)
  const what = whence === SEEK_DATA ? 'data' : whence === SEEK_HOLE ? 'hole' : undefined
  const offset = body.u64(start + at.offset)
  return { kind: 'lseek', handle: toHandleId(body.u64(start + at.fh)), offset, what }
}

function parseCopyRange(body: Body): FuseRequest {
  const at = structs.copyFileRangeIn
  const start = body.struct(at.sizeBytes)
  const from = body.u64(start + at.offIn)
  return {
    kind: 'copyRange',
    handle: toHandleId(body.u64(start + at.fhIn)),
    range: { start: from, end: from + body.u64(start + at.len) },
    target: {
      handle: toHandleId(body.u64(start + at.fhOut)),
      offsetBytes: body.u64(start + at.offOut),
    },
  }
}

function parseInterrupt(body: Body): FuseRequest {
  return { kind: 'interrupt', unique: body.bigint(body.struct(structs.interruptIn.sizeBytes)) }
}
