/** What is asked of open files and directories, and of opening them. */
import { type FlockRequest, toHandleId } from '../vfs/operations.ts'
import {
  F_RDLCK,
  F_UNLCK,
  F_WRLCK,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  FUSE_FSYNC_FDATASYNC,
  FUSE_LK_FLOCK,
  SEEK_DATA,
  SEEK_HOLE,
  structs,
} from './abi.ts'
import { type FuseRequest, MalformedRequest } from './request.ts'
import type { Body } from './request-body.ts'

export function parseOpen(body: Body): FuseRequest {
  const start = body.struct(structs.openIn.sizeBytes)
  return { kind: 'open', ino: body.ino, flags: body.u32(start + structs.openIn.flags) }
}

export function parseCreate(body: Body): FuseRequest {
  const at = structs.createIn
  const start = body.struct(at.sizeBytes)
  const options = {
    mode: body.u32(start + at.mode) & 0o7777,
    flags: body.u32(start + at.flags),
  }
  return { kind: 'create', parent: body.ino, name: body.name(), options }
}

export function parseRead(body: Body): FuseRequest {
  const at = structs.readIn
  const start = body.struct(at.sizeBytes)
  const offset = body.u64(start + at.offset)
  return {
    kind: 'read',
    handle: toHandleId(body.u64(start + at.fh)),
    range: { start: offset, end: offset + body.u32(start + at.size) },
  }
}

export function parseWrite(body: Body): FuseRequest {
  const at = structs.writeIn
  const start = body.struct(at.sizeBytes)
  return {
    kind: 'write',
    handle: toHandleId(body.u64(start + at.fh)),
    offsetBytes: body.u64(start + at.offset),
    data: body.bytes(body.u32(start + at.size)),
  }
}

/** Locks of ranges are the kernel's own: it is not told that they are offered. */
export function parseFlock(body: Body, waits: boolean): FuseRequest {
  const at = structs.lkIn
  const start = body.struct(at.sizeBytes)
  if ((body.u32(start + at.lkFlags) & FUSE_LK_FLOCK) === 0) return { kind: 'unknown' }
  const kind = flockKinds.get(body.u32(start + at.type))
  if (kind === undefined) throw new MalformedRequest('a lock of no known type')
  const handle = toHandleId(body.u64(start + at.fh))
  return { kind: 'flock', ino: body.ino, handle, request: { kind, waits } }
}

const flockKinds: ReadonlyMap<number, FlockRequest['kind']> = new Map([
  [F_RDLCK, 'shared'],
  [F_WRLCK, 'exclusive'],
  [F_UNLCK, 'none'],
])

export function parseHandle(
  body: Body,
  kind: 'flush' | 'release' | 'releasedir',
  sizeBytes: number,
): FuseRequest {
  // `fh` comes first in both structs.
  return { kind, handle: toHandleId(body.u64(body.struct(sizeBytes))) }
}

export function parseFsync(body: Body, kind: 'fsync' | 'fsyncdir'): FuseRequest {
  const at = structs.fsyncIn
  const start = body.struct(at.sizeBytes)
  const dataOnly = (body.u32(start + at.flags) & FUSE_FSYNC_FDATASYNC) !== 0
  return { kind, handle: toHandleId(body.u64(start + at.fh)), dataOnly }
}

export function parseFallocate(body: Body): FuseRequest {
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

export function parseReaddir(body: Body, plus: boolean): FuseRequest {
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

export function parseLseek(body: Body): FuseRequest {
  const at = structs.lseekIn
  const start = body.struct(at.sizeBytes)
  const whence = body.u32(start + at.whence)
  const what = whence === SEEK_DATA ? 'data' : whence === SEEK_HOLE ? 'hole' : undefined
  // A negative number, or one beyond every file, is where neither data nor a hole is: `ENXIO`.
  const offset = Math.min(Number(body.bigint(start + at.offset)), Number.MAX_SAFE_INTEGER)
  return { kind: 'lseek', handle: toHandleId(body.u64(start + at.fh)), offset, what }
}

export function parseCopyRange(body: Body): FuseRequest {
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
