/**
 * The numbers and shapes of the kernel's FUSE protocol, version 7: `include/uapi/linux/fuse.h`
 * (GPL-2.0 WITH Linux-syscall-note OR BSD-2-Clause). Integers are in the machine's byte order,
 * little-endian on every platform that is built for.
 */

/** The major version of the protocol that is spoken. */
export const FUSE_KERNEL_VERSION = 7
/** The oldest minor version that the layouts below fit: Linux 5.4 and later. */
export const minKernelMinor = 31
/** The minor version that is announced; later ones add what is not used here. */
export const maxKernelMinor = 41

/** The operation that a request asks for. */
export const opcodes = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  setxattr: 21,
  getxattr: 22,
  listxattr: 23,
  removexattr: 24,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  access: 34,
  create: 35,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
  readdirplus: 44,
  rename2: 45,
} as const

/** Bits of `init.flags`; those from bit 32 on are in `flags2`, shifted down. */
export const initFlags = {
  FUSE_ASYNC_READ: 1 << 0,
  FUSE_ATOMIC_O_TRUNC: 1 << 3,
  FUSE_BIG_WRITES: 1 << 5,
  FUSE_DO_READDIRPLUS: 1 << 13,
  FUSE_READDIRPLUS_AUTO: 1 << 14,
  FUSE_PARALLEL_DIROPS: 1 << 18,
  FUSE_MAX_PAGES: 1 << 22,
  FUSE_CACHE_SYMLINKS: 1 << 23,
  FUSE_EXPLICIT_INVAL_DATA: 1 << 25,
  FUSE_INIT_EXT: 1 << 30,
} as const

/** Bits of `init.flags2`. */
export const initFlags2 = { FUSE_DIRECT_IO_ALLOW_MMAP: 1 << 4 } as const

/** Bits of `setattrIn.valid`. */
export const setattrBits = {
  FATTR_MODE: 1 << 0,
  FATTR_UID: 1 << 1,
  FATTR_GID: 1 << 2,
  FATTR_SIZE: 1 << 3,
  FATTR_ATIME: 1 << 4,
  FATTR_MTIME: 1 << 5,
  FATTR_FH: 1 << 6,
  FATTR_ATIME_NOW: 1 << 7,
  FATTR_MTIME_NOW: 1 << 8,
  FATTR_CTIME: 1 << 10,
} as const

/** Bit of `getattrIn.flags`: `fh` is an open file. */
export const FUSE_GETATTR_FH = 1
/** Bit of `fsyncIn.flags`: fdatasync(2). */
export const FUSE_FSYNC_FDATASYNC = 1
/** Bits of `openOut.flags`. */
export const openBits = { FOPEN_DIRECT_IO: 1 << 0, FOPEN_KEEP_CACHE: 1 << 1 } as const
/** Bits of `rename2In.flags`, as renameat2(2) has them. */
export const renameBits = { RENAME_NOREPLACE: 1 << 0, RENAME_EXCHANGE: 1 << 1 } as const

/** The offset in bytes of each field of a struct, and its whole size. */
export type Layout<Field extends string> = { readonly [F in Field]: number } & {
  readonly sizeBytes: number
}

/** Lays fields of the given widths in bytes one after the other; the kernel's structs pad by hand. */
function layout<const Widths extends Record<string, number>>(
  widths: Widths,
): Layout<Extract<keyof Widths, string>> {
  let sizeBytes = 0
  const offsets: Record<string, number> = {}
  for (const [field, width] of Object.entries(widths)) {
    offsets[field] = sizeBytes
    sizeBytes += width
  }
  return { ...offsets, sizeBytes } as Layout<Extract<keyof Widths, string>>
}

const attributes = {
  ino: 8,
  size: 8,
  blocks: 8,
  atime: 8,
  mtime: 8,
  ctime: 8,
  atimensec: 4,
  mtimensec: 4,
  ctimensec: 4,
  mode: 4,
  nlink: 4,
  uid: 4,
  gid: 4,
  rdev: 4,
  blksize: 4,
  attrFlags: 4,
} as const

/** Each struct of the protocol that is read or written. Those of requests follow `inHeader`. */
export const structs = {
  inHeader: layout({
    len: 4,
    opcode: 4,
    unique: 8,
    nodeid: 8,
    uid: 4,
    gid: 4,
    pid: 4,
    totalExtlen: 2,
    padding: 2,
  }),
  outHeader: layout({ len: 4, error: 4, unique: 8 }),
  initIn: layout({ major: 4, minor: 4, maxReadahead: 4, flags: 4, flags2: 4, unused: 44 }),
  initOut: layout({
    major: 4,
    minor: 4,
    maxReadahead: 4,
    flags: 4,
    maxBackground: 2,
    congestionThreshold: 2,
    maxWrite: 4,
    timeGran: 4,
    maxPages: 2,
    mapAlignment: 2,
    flags2: 4,
    unused: 28,
  }),
  attr: layout(attributes),
  attrOut: layout({ attrValid: 8, attrValidNsec: 4, dummy: 4, attr: 88 }),
  entryOut: layout({
    nodeid: 8,
    generation: 8,
    entryValid: 8,
    attrValid: 8,
    entryValidNsec: 4,
    attrValidNsec: 4,
    attr: 88,
  }),
  forgetIn: layout({ nlookup: 8 }),
  batchForgetIn: layout({ count: 4, dummy: 4 }),
  forgetOne: layout({ nodeid: 8, nlookup: 8 }),
  getattrIn: layout({ flags: 4, dummy: 4, fh: 8 }),
  setattrIn: layout({
    valid: 4,
    padding: 4,
    fh: 8,
    size: 8,
    lockOwner: 8,
    atime: 8,
    mtime: 8,
    ctime: 8,
    atimensec: 4,
    mtimensec: 4,
    ctimensec: 4,
    mode: 4,
    unused4: 4,
    uid: 4,
    gid: 4,
    unused5: 4,
  }),
  mknodIn: layout({ mode: 4, rdev: 4, umask: 4, padding: 4 }),
  mkdirIn: layout({ mode: 4, umask: 4 }),
  renameIn: layout({ newdir: 8 }),
  rename2In: layout({ newdir: 8, flags: 4, padding: 4 }),
  openIn: layout({ flags: 4, openFlags: 4 }),
  openOut: layout({ fh: 8, flags: 4, backingId: 4 }),
  createIn: layout({ flags: 4, mode: 4, umask: 4, openFlags: 4 }),
  readIn: layout({
    fh: 8,
    offset: 8,
    size: 4,
    readFlags: 4,
    lockOwner: 8,
    flags: 4,
    padding: 4,
  }),
  writeIn: layout({
    fh: 8,
    offset: 8,
    size: 4,
    writeFlags: 4,
    lockOwner: 8,
    flags: 4,
    padding: 4,
  }),
  writeOut: layout({ size: 4, padding: 4 }),
  releaseIn: layout({ fh: 8, flags: 4, releaseFlags: 4, lockOwner: 8 }),
  flushIn: layout({ fh: 8, unused: 4, padding: 4, lockOwner: 8 }),
  fsyncIn: layout({ fh: 8, flags: 4, padding: 4 }),
  statfsOut: layout({
    blocks: 8,
    bfree: 8,
    bavail: 8,
    files: 8,
    ffree: 8,
    bsize: 4,
    namelen: 4,
    frsize: 4,
    padding: 4,
    spare: 24,
  }),
  getxattrIn: layout({ size: 4, padding: 4 }),
  getxattrOut: layout({ size: 4, padding: 4 }),
  interruptIn: layout({ unique: 8 }),
  dirent: layout({ ino: 8, off: 8, namelen: 4, type: 4 }),
} as const
