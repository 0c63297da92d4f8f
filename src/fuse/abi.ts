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
  setlk: 32,
  setlkw: 33,
  access: 34,
  create: 35,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
  fallocate: 43,
  readdirplus: 44,
  rename2: 45,
  lseek: 46,
  copyFileRange: 47,
} as const

type Flags<Numbers> = { readonly [Name in keyof Numbers]: number }

/** The flag of each bit number. */
function flagsOf<Numbers extends Readonly<Record<string, number>>>(
  numbers: Numbers,
): Flags<Numbers> {
  const flags = Object.entries(numbers).map(([name, number]) => [name, 1 << number])
  return Object.fromEntries(flags) as Flags<Numbers>
}

const initFlagNumbers = {
  FUSE_ASYNC_READ: 0,
  FUSE_ATOMIC_O_TRUNC: 3,
  FUSE_BIG_WRITES: 5,
  FUSE_FLOCK_LOCKS: 10,
  FUSE_DO_READDIRPLUS: 13,
  FUSE_READDIRPLUS_AUTO: 14,
  FUSE_PARALLEL_DIROPS: 18,
  FUSE_MAX_PAGES: 22,
  FUSE_CACHE_SYMLINKS: 23,
  FUSE_EXPLICIT_INVAL_DATA: 25,
  FUSE_HANDLE_KILLPRIV_V2: 28,
  FUSE_INIT_EXT: 30,
} as const

/** Bits of `init.flags`; those from bit 32 on are in `flags2`, shifted down. */
export const initFlags: Flags<typeof initFlagNumbers> = flagsOf(initFlagNumbers)

const initFlag2Numbers = {
  FUSE_DIRECT_IO_ALLOW_MMAP: 4,
  FUSE_PASSTHROUGH: 5,
  FUSE_HAS_RESEND: 7,
} as const

/** Bits of `init.flags2`. */
export const initFlags2: Flags<typeof initFlag2Numbers> = flagsOf(initFlag2Numbers)

const setattrNumbers = {
  FATTR_MODE: 0,
  FATTR_UID: 1,
  FATTR_GID: 2,
  FATTR_SIZE: 3,
  FATTR_ATIME: 4,
  FATTR_MTIME: 5,
  FATTR_FH: 6,
  FATTR_ATIME_NOW: 7,
  FATTR_MTIME_NOW: 8,
  FATTR_CTIME: 10,
  FATTR_KILL_SUIDGID: 11,
} as const

/** Bits of `setattrIn.valid`. */
export const setattrBits: Flags<typeof setattrNumbers> = flagsOf(setattrNumbers)

/** Bit of `getattrIn.flags`: `fh` is an open file. */
/** Code of a notice. */
export const FUSE_NOTIFY_RESEND = 7

export const FUSE_GETATTR_FH = 1
/** Bit of `fsyncIn.flags`: fdatasync(2). */
export const FUSE_FSYNC_FDATASYNC = 1
const openNumbers = {
  FOPEN_DIRECT_IO: 0,
  FOPEN_KEEP_CACHE: 1,
  FOPEN_CACHE_DIR: 3,
  FOPEN_NOFLUSH: 5,
  FOPEN_PASSTHROUGH: 7,
} as const

/** Bits of `openOut.flags`. */
export const openBits: Flags<typeof openNumbers> = flagsOf(openNumbers)
/** `lseekIn.whence` as lseek(2) has it; other ways are the kernel's own. */
export const SEEK_DATA = 3
export const SEEK_HOLE = 4
/** Bits of `setxattrIn.flags`, as setxattr(2) has them. */
export const XATTR_CREATE = 1
export const XATTR_REPLACE = 2
/** Bits of `fallocateIn.mode`, as fallocate(2) has them. */
export const FALLOC_FL_KEEP_SIZE = 1
export const FALLOC_FL_PUNCH_HOLE = 2
export const FALLOC_FL_ZERO_RANGE = 16
/** Bit of `lkIn.lkFlags`: flock(2). */
export const FUSE_LK_FLOCK = 1
/** `lkIn.type`, as fcntl(2) has them. */
export const F_RDLCK = 0
export const F_WRLCK = 1
export const F_UNLCK = 2
const renameNumbers = { RENAME_NOREPLACE: 0, RENAME_EXCHANGE: 1 } as const

/** Bits of `rename2In.flags`, as renameat2(2) has them. */
export const renameBits: Flags<typeof renameNumbers> = flagsOf(renameNumbers)

/** The offset in bytes of each field of a struct, and its whole size. */
export type Layout<Field extends string> = { readonly [F in Field]: number } & {
  readonly sizeBytes: number
}

type Widths = Readonly<Record<string, number>>

type Layouts<Structs extends Readonly<Record<string, Widths>>> = {
  readonly [Name in keyof Structs]: Layout<Extract<keyof Structs[Name], string>>
}

/** The width in bytes of each field, in order; the kernel's structs pad by hand. */
const widths = {
  inHeader: {
    len: 4,
    opcode: 4,
    unique: 8,
    nodeid: 8,
    uid: 4,
    gid: 4,
    pid: 4,
    totalExtlen: 2,
    padding: 2,
  },
  outHeader: { len: 4, error: 4, unique: 8 },
  initIn: { major: 4, minor: 4, maxReadahead: 4, flags: 4, flags2: 4, unused: 44 },
  initOut: {
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
    maxStackDepth: 4,
    unused: 24,
  },
  attr: {
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
  },
  attrOut: { attrValid: 8, attrValidNsec: 4, dummy: 4, attr: 88 },
  entryOut: {
    nodeid: 8,
    generation: 8,
    entryValid: 8,
    attrValid: 8,
    entryValidNsec: 4,
    attrValidNsec: 4,
    attr: 88,
  },
  forgetIn: { nlookup: 8 },
  batchForgetIn: { count: 4, dummy: 4 },
  forgetOne: { nodeid: 8, nlookup: 8 },
  getattrIn: { flags: 4, dummy: 4, fh: 8 },
  setattrIn: {
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
  },
  mknodIn: { mode: 4, rdev: 4, umask: 4, padding: 4 },
  mkdirIn: { mode: 4, umask: 4 },
  renameIn: { newdir: 8 },
  rename2In: { newdir: 8, flags: 4, padding: 4 },
  openIn: { flags: 4, openFlags: 4 },
  openOut: { fh: 8, flags: 4, backingId: 4 },
  createIn: { flags: 4, mode: 4, umask: 4, openFlags: 4 },
  readIn: {
    fh: 8,
    offset: 8,
    size: 4,
    readFlags: 4,
    lockOwner: 8,
    flags: 4,
    padding: 4,
  },
  writeIn: {
    fh: 8,
    offset: 8,
    size: 4,
    writeFlags: 4,
    lockOwner: 8,
    flags: 4,
    padding: 4,
  },
  writeOut: { size: 4, padding: 4 },
  releaseIn: { fh: 8, flags: 4, releaseFlags: 4, lockOwner: 8 },
  flushIn: { fh: 8, unused: 4, padding: 4, lockOwner: 8 },
  fsyncIn: { fh: 8, flags: 4, padding: 4 },
  lkIn: { fh: 8, owner: 8, start: 8, end: 8, type: 4, pid: 4, lkFlags: 4, padding: 4 },
  fallocateIn: { fh: 8, offset: 8, length: 8, mode: 4, padding: 4 },
  statfsOut: {
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
  },
  lseekIn: { fh: 8, offset: 8, whence: 4, padding: 4 },
  lseekOut: { offset: 8 },
  copyFileRangeIn: {
    fhIn: 8,
    offIn: 8,
    nodeidOut: 8,
    fhOut: 8,
    offOut: 8,
    len: 8,
    flags: 8,
  },
  setxattrIn: { size: 4, flags: 4 },
  getxattrIn: { size: 4, padding: 4 },
  getxattrOut: { size: 4, padding: 4 },
  interruptIn: { unique: 8 },
  dirent: { ino: 8, off: 8, namelen: 4, type: 4 },
} as const

/** Each struct of the protocol that is read or written. Those of requests follow `inHeader`. */
export const structs: Layouts<typeof widths> = layOut(widths)

function layOut<Structs extends Readonly<Record<string, Widths>>>(all: Structs): Layouts<Structs> {
  const layouts = Object.entries(all).map(([name, fields]) => [name, layout(fields)])
  return Object.fromEntries(layouts) as Layouts<Structs>
}

/** Lays fields one after the other. */
function layout(fields: Widths): Layout<string> {
  let sizeBytes = 0
  const offsets: Record<string, number> = {}
  for (const [field, width] of Object.entries(fields)) {
    offsets[field] = sizeBytes
    sizeBytes += width
  }
  return { ...offsets, sizeBytes }
}
