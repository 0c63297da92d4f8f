import { MiB } from '../byte-range.ts'
import { initFlags, initFlags2, maxKernelMinor } from './abi.ts'
import type { SessionLimits } from './reply.ts'

/** The most bytes that one request reads or writes: 256 pages, the kernel's default limit. */
export const maxRequestBytes: number = 1 * MiB

/** What the kernel offers when it asks to begin. */
export interface KernelOffer {
  readonly minor: number
  readonly flags: number
  readonly flags2: number
}

/** What is settled with a kernel that offers `offer`. */
export function limitsFor(
  offer: KernelOffer,
  options: {
    readonly maxReadAheadBytes: number
    readonly passthrough: boolean
    /** Has the kernel ask for the locks of flock(2), which it keeps by itself otherwise. */
    readonly flocks?: boolean
  },
): SessionLimits {
  const passthrough = options.passthrough ? initFlags2.FUSE_PASSTHROUGH : 0
  const flags2 = offer.flags2 & (initFlags2.FUSE_DIRECT_IO_ALLOW_MMAP | passthrough)
  return {
    minor: Math.min(offer.minor, maxKernelMinor),
    // Not held to the kernel's own figure, which is that of a disk.
    maxReadahead: options.maxReadAheadBytes,
    flags:
      offer.flags &
      (options.flocks === true ? wantedFlags | initFlags.FUSE_FLOCK_LOCKS : wantedFlags),
    flags2,
    maxBackground,
    maxWriteBytes: maxRequestBytes,
    maxPages: maxRequestBytes / 4096,
  }
}

/**
 * What is asked of the kernel when it offers it. Left out on purpose: WRITEBACK_CACHE, which makes
 * the kernel the authority on sizes and times; ASYNC_DIO, which halves random direct reads;
 * READDIRPLUS_AUTO, which has names after the first that fit looked up one by one, for programs that read all
 * names first; AUTO_INVAL_DATA, which costs a GETATTR per read of cached data; EXPLICIT_INVAL_DATA, with which pages
 * that were filled by a shorter size show zeros behind it when the size grows. HANDLE_KILLPRIV_V2 leaves it to us to
 * take setuid bits away: without it the kernel asks for `security.capability` before each write.
 */
const wantedFlags: number = [
  initFlags.FUSE_ASYNC_READ,
  initFlags.FUSE_ATOMIC_O_TRUNC,
  initFlags.FUSE_BIG_WRITES,
  initFlags.FUSE_DO_READDIRPLUS,
  initFlags.FUSE_PARALLEL_DIROPS,
  initFlags.FUSE_MAX_PAGES,
  initFlags.FUSE_CACHE_SYMLINKS,
  initFlags.FUSE_HANDLE_KILLPRIV_V2,
  initFlags.FUSE_INIT_EXT,
].reduce((all, flag) => all | flag, 0)

/** What tells a kernel of a later major version to ask once more. */
export const noLimits: SessionLimits = {
  minor: maxKernelMinor,
  maxReadahead: 0,
  flags: 0,
  flags2: 0,
  maxBackground: 0,
  maxWriteBytes: 0,
  maxPages: 0,
}

/** Read-ahead requests at once; the kernel's default of 12 would starve a 1 MiB window over a network. */
const maxBackground = 64
