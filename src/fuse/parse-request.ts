import { type AttributeChanges, type RenameTarget, toHandleId, toIno } from '../vfs/operations.ts'
import {
  FUSE_GETATTR_FH,
  initFlags,
  opcodes,
  renameBits,
  setattrBits,
  structs,
  XATTR_CREATE,
  XATTR_REPLACE,
} from './abi.ts'
import {
  parseCopyRange,
  parseCreate,
  parseFallocate,
  parseFlock,
  parseFsync,
  parseHandle,
  parseLseek,
  parseOpen,
  parseRead,
  parseReaddir,
  parseWrite,
} from './parse-file-request.ts'
import { type Forget, type FuseRequest, MalformedRequest, type RequestHeader } from './request.ts'
import { Body } from './request-body.ts'

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
  [opcodes.setlk, (body) => parseFlock(body, false)],
  [opcodes.setlkw, (body) => parseFlock(body, true)],
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

function parseInterrupt(body: Body): FuseRequest {
  return { kind: 'interrupt', unique: body.bigint(body.struct(structs.interruptIn.sizeBytes)) }
}
