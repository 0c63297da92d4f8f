import { statfs } from 'node:fs/promises'
import type { Clock } from '../clock.ts'

// Handing a call to another thread costs some 30 microseconds of processor time, and a small file takes five to
// seven calls; the kernel answers most of them from memory in one or two. So small files of disks in this machine
// are dealt with on the spot. Whatever may be far away, or served by this very process, is not.

/** Linux's numbers of file systems that lie in this machine: statfs(2). */
const nearTypes: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // Btrfs
  0x01021994, // tmpfs
  0x794c7630, // overlayfs
  0x2fc12fc1, // ZFS
  0xf2f52010, // F2FS
])

/** Work that took this long has kept everything else waiting, by the disk's doing or a busy machine's. */
const slowMs = 20
/** After so many among a hundred times as many quick ones it is the disk's. */
const maxSlow = 3

/** Tells where calls of the local disk may be made synchronously, and makes them. */
export class NearDisk {
  readonly #clock: Clock
  readonly #near = new Map<string, Promise<boolean> | boolean>()
  #slow = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether `directory` lies in this machine, on a disk that has been quick so far. */
  isNear(directory: string): Promise<boolean> | boolean {
    if (this.#slow >= maxSlow) return false
    const known = this.#near.get(directory)
    if (known !== undefined) return known
    const asked = this.#ask(directory)
    this.#near.set(directory, asked)
    return asked
  }

  /** Makes short synchronous calls. */
  run<T>(work: () => T): T {
    const startedMs = this.#clock.nowMs()
    try {
      return work()
    } finally {
      const isSlow = this.#clock.nowMs() - startedMs > slowMs
      this.#slow = isSlow ? this.#slow + 1 : Math.max(this.#slow - 0.01, 0)
    }
  }

  async #ask(directory: string): Promise<boolean> {
    const isNear = await statfs(directory).then(
      ({ type }) => nearTypes.has(type),
      () => false,
    )
    this.#near.set(directory, isNear)
    return isNear
  }
}
