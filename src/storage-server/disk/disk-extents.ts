import { closeSync, fstatSync, fsyncSync, openSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Extent, ExtentStore } from '../model/extent.ts'
import { damaged, writeFailed } from './disk-error.ts'
import { DiskExtent, type Segment } from './disk-extent.ts'
import { type FileCalls, writeAll, writeAllSync } from './file-calls.ts'
import { GroupSync } from './group-sync.ts'

// Uploaded bytes go to the end of a segment, a file of many extents: a million small blobs are a
// few files, and writing is sequential. A segment whose bytes are mostly dead is condemned: what
// lives moves to the newest, each extent changing its place under all records that share it, and
// the file goes. Readers hold extents, extents hold the segment, and the last one closes it, so
// that an answer under way ends as it began.

/** How extents are kept. */
export interface DiskExtentsOptions {
  readonly files: FileCalls
  /** A segment is full at this size; an extent is never divided. */
  readonly segmentBytes: number
  /** Bytes are on the disk itself before `write` answers. */
  readonly fsync: boolean
}

/** What the segments hold. */
export interface Occupancy {
  readonly totalBytes: number
  readonly liveBytes: number
}

// Up to here a write to the page cache takes less than a turn through the thread pool.
const syncWriteBytes = 64 * 1024
const condemnedShare = 0.5
const movedPerTurnBytes = 4 * 1024 * 1024

/** Keeps extents in the files of one directory. */
export class DiskExtents implements ExtentStore {
  readonly #directory: string
  readonly #options: DiskExtentsOptions
  readonly #segments = new Map<number, Segment>()
  readonly #syncs = new WeakMap<Segment, GroupSync>()
  readonly #orphans = new FinalizationRegistry<number>((fd) => this.#closeOrphan(fd))
  readonly #orphanFds = new Set<number>()
  /** While the journals are read: extents by segment and place, so that one stays one. */
  #known: Map<number, Map<number, DiskExtent>> | undefined = new Map()
  #newest: Segment | undefined
  #highestId = 0
  #epoch = 0
  readonly #adopted = new WeakMap<Extent, DiskExtent>()
  #live = new Map<Segment, DiskExtent[]>()
  #writtenBytes = 0

  constructor(directory: string, options: DiskExtentsOptions) {
    this.#directory = directory
    this.#options = options
    for (const name of readdirSync(directory)) {
      if (/^\d+$/.test(name)) this.#open(Number(name))
    }
  }

  /** Bytes written since the last count of live ones. */
  get writtenBytes(): number {
    return this.#writtenBytes
  }

  write(data: Uint8Array): Extent | Promise<Extent> {
    if (data.byteLength > syncWriteBytes || this.#options.fsync) return this.#writeLater(data)
    return this.#writeNow(data)
  }

  /** The extent at a place that a journal names; the same one each time until `loaded`. */
  extentAt(segmentId: number, offset: number, sizeBytes: number): DiskExtent {
    const known = this.#known?.get(segmentId) ?? new Map<number, DiskExtent>()
    this.#known?.set(segmentId, known)
    const found = known.get(offset)
    if (found !== undefined) return found
    this.#highestId = Math.max(this.#highestId, segmentId)
    const segment = this.#segments.get(segmentId) ?? this.#missingSegment(segmentId)
    const extent = new DiskExtent(segment, offset, sizeBytes)
    known.set(offset, extent)
    return extent
  }

  /** Where an extent lies, to be written to a journal; it moves first when its segment is to go. */
  placeOf(extent: Extent): readonly [segmentId: number, offset: number, sizeBytes: number] {
    const own = this.#ownOf(extent) ?? this.#adopt(extent)
    if (own.segment.condemned) this.#move(own)
    return [own.segment.id, own.offset, own.sizeBytes]
  }

  /**
   * Ends loading. Throws `FileSystemError` `EIO` where bytes that are referred to are missing. Files
   * that nothing refers to go.
   */
  loaded(live: Iterable<Extent>): Occupancy {
    this.#known = undefined
    const occupancy = this.countLive(live)
    for (const [segment, extents] of this.#live) {
      const end = extents.reduce(
        (most, { offset, sizeBytes }) => Math.max(most, offset + sizeBytes),
        0,
      )
      if (segment.fd < 0 || end > segment.sizeBytes) {
        throw damaged(
          segment.path,
          segment.fd < 0
            ? 'the file is missing and blobs refer to it: put it back, or begin with another directory'
            : `the file ends before byte ${end}, to which blobs refer: put back a copy of the directory, or begin with another one`,
        )
      }
    }
    for (const segment of this.#segments.values()) {
      if (!this.#live.has(segment)) this.#remove(segment)
    }
    this.#newest = [...this.#segments.values()].sort((one, other) => one.id - other.id).at(-1)
    this.#live = new Map()
    return occupancy
  }

  /** Counts the bytes of the extents that are in use, each once. */
  countLive(live: Iterable<Extent>): Occupancy {
    this.#epoch++
    this.#writtenBytes = 0
    this.#live = new Map()
    let liveBytes = 0
    for (const used of live) {
      const extent = this.#ownOf(used)
      if (extent === undefined || extent.mark === this.#epoch) continue
      extent.mark = this.#epoch
      liveBytes += extent.sizeBytes
      const { segment } = extent
      const extents = this.#live.get(segment)
      if (extents === undefined) this.#live.set(segment, [extent])
      else extents.push(extent)
    }
    let totalBytes = 0
    for (const { sizeBytes } of this.#segments.values()) totalBytes += sizeBytes
    return { totalBytes, liveBytes }
  }

  /**
   * Condemns the segments in which, by the last count, less than half lives; in the same turn as
   * the count. Returns what moves out of them and, at last, removes them.
   */
  condemn(): Eviction {
    const condemned = [...this.#segments.values()].filter((segment) => {
      const live = (this.#live.get(segment) ?? []).reduce((sum, one) => sum + one.sizeBytes, 0)
      return segment.sizeBytes > 0 && live <= segment.sizeBytes * (1 - condemnedShare)
    })
    const moving = condemned.flatMap((segment) => [this.#live.get(segment) ?? []]).flat()
    this.#live = new Map()
    for (const segment of condemned) {
      segment.condemned = true
      if (segment === this.#newest) this.#newest = undefined
    }
    return {
      move: () => this.#moveAll(moving),
      finish: () => condemned.forEach((segment) => void this.#remove(segment)),
      cancel: () =>
        condemned.forEach((segment) => void Object.assign(segment, { condemned: false })),
    }
  }

  /** Brings everything written to the disk. */
  syncAll(): void {
    for (const { fd } of this.#segments.values()) if (fd >= 0) fsyncSync(fd)
  }

  /** Closes the files; extents cannot be read after it. */
  close(): void {
    for (const segment of this.#segments.values()) {
      if (segment.fd >= 0) closeSync(segment.fd)
      segment.fd = -1
    }
    for (const fd of this.#orphanFds) closeSync(fd)
    this.#orphanFds.clear()
    this.#segments.clear()
  }

  #writeNow(data: Uint8Array): DiskExtent {
    const extent = this.#reserve(data.byteLength)
    const { segment, offset } = extent
    try {
      writeAllSync(this.#options.files, segment.fd, { data, position: offset })
    } catch (error) {
      throw writeFailed(error)
    }
    return extent
  }

  async #writeLater(data: Uint8Array): Promise<Extent> {
    const extent = this.#reserve(data.byteLength)
    const { segment, offset } = extent
    try {
      await writeAll(this.#options.files, segment.fd, { data, position: offset })
      if (this.#options.fsync) await this.#syncOf(segment).sync()
    } catch (error) {
      throw writeFailed(error)
    }
    return extent
  }

  /** Room at the end of the newest segment. What is not written after all is dead bytes. */
  #reserve(sizeBytes: number): DiskExtent {
    let segment = this.#newest
    const full =
      segment !== undefined &&
      segment.sizeBytes > 0 &&
      segment.sizeBytes + sizeBytes > this.#options.segmentBytes
    if (segment === undefined || full) segment = this.#open(this.#highestId + 1)
    this.#newest = segment
    const extent = new DiskExtent(segment, segment.sizeBytes, sizeBytes)
    segment.sizeBytes += sizeBytes
    this.#writtenBytes += sizeBytes
    return extent
  }

  #open(id: number): Segment {
    const path = this.#pathOf(id)
    const fd = openSync(path, 'a+', 0o600)
    // Linux appends whatever the position says, so that the flag is used to make the file only.
    closeSync(fd)
    const file = openSync(path, 'r+')
    const { size } = fstatSync(file)
    const segment: Segment = { id, path, owner: this, fd: file, sizeBytes: size, condemned: false }
    this.#segments.set(id, segment)
    this.#highestId = Math.max(this.#highestId, id)
    return segment
  }

  /** Stands for a file that is gone; records that were replaced later may still name it. */
  #missingSegment(id: number): Segment {
    return { id, path: this.#pathOf(id), owner: this, fd: -1, sizeBytes: 0, condemned: false }
  }

  #pathOf(id: number): string {
    return join(this.#directory, String(id).padStart(6, '0'))
  }

  #syncOf(segment: Segment): GroupSync {
    const known = this.#syncs.get(segment) ?? new GroupSync(segment.fd)
    this.#syncs.set(segment, known)
    return known
  }

  #ownOf(extent: Extent): DiskExtent | undefined {
    const isOwn = extent instanceof DiskExtent && extent.segment.owner === this
    return isOwn ? extent : this.#adopted.get(extent)
  }

  /** Copies an extent of another account, which is kept elsewhere. */
  #adopt(extent: Extent): DiskExtent {
    const data = extent instanceof DiskExtent ? extent.readAll() : extent.read(0, extent.sizeBytes)
    if (data instanceof Promise)
      throw new TypeError('extent: expected one that can be read at once')
    const own = this.#writeNow(data)
    this.#adopted.set(extent, own)
    return own
  }

  #move(extent: DiskExtent): void {
    const { segment, offset } = this.#writeNow(extent.readAll())
    extent.segment = segment
    extent.offset = offset
  }

  async #moveAll(extents: readonly DiskExtent[]): Promise<void> {
    let moved = 0
    for (const extent of extents) {
      if (!extent.segment.condemned) continue
      this.#move(extent)
      moved += extent.sizeBytes
      if (moved < movedPerTurnBytes) continue
      moved = 0
      await nextTurn()
    }
  }

  #remove(segment: Segment): void {
    this.#segments.delete(segment.id)
    rmSync(segment.path, { force: true })
    if (segment.fd < 0) return
    this.#orphanFds.add(segment.fd)
    this.#orphans.register(segment, segment.fd)
  }

  #closeOrphan(fd: number): void {
    if (this.#orphanFds.delete(fd)) closeSync(fd)
  }
}

/** What leaves condemned segments. */
export interface Eviction {
  /** Moves what lives, some MiB at a turn. */
  move(): Promise<void>
  /** Removes the files; to be called once no journal that counts refers to them. */
  finish(): void
  /** Leaves the files where they are. */
  cancel(): void
}

/** Lets other requests have their turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
