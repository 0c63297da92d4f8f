import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { type ByteRange, MiB } from '../byte-range.ts'
import type { DiskCache } from './disk-cache.ts'
import type { DiskFiles } from './disk-files.ts'
import { type Compared, DiskSegment } from './disk-segment.ts'
import { DiskSmall, maxSmallBytes, smallPlaceOf } from './disk-small.ts'
import { alignUp, granuleBytes } from './granule.ts'

/** What goes at once to make room, of a version that has more than one file. */
const segmentBytes = 64 * MiB

export interface DiskVersionOptions {
  readonly directory: string
  readonly sizeBytes: number
  /** In one file, which the kernel can read by itself; else in segments of 64 MiB. */
  readonly inOneFile: boolean
  readonly files: DiskFiles
  readonly cache: DiskCache
}

/** What may be read from the file of a stretch of a version that begins at `start`. */
export interface ComparedPiece {
  readonly start: number
  readonly sizeBytes: number
  /** As `Compared`. */
  readonly descriptor: number
  readonly file: string
  /** Ranges of the version. */
  readonly added: readonly ByteRange[]
  readonly all: () => readonly ByteRange[]
}

/** A part of a version that lies on the disk in its own way. */
type Stretch = DiskSegment | DiskSmall

type DiskWatcher = (piece: ComparedPiece) => void

interface DiskWriteOptions {
  readonly copy?: boolean
  /** Whether it was fetched ahead of who reads: watchers hear of it by `passed`. */
  readonly ahead?: boolean | undefined
  readonly onDone?: (() => void) | undefined
}

/** The granules of one version of one blob that are on the disk. No method rejects. */
export class DiskVersion {
  readonly sizeBytes: number
  /** It is small beside what the cache may hold, and goes at once. */
  readonly inOneFile: boolean
  #directory: string
  readonly #files: DiskFiles
  readonly #cache: DiskCache
  readonly #segments = new Map<number, Stretch>()
  readonly #segmentBytes: number
  readonly #skipped = new Set<number>()
  readonly #watchers = new Set<DiskWatcher>()

  constructor(options: DiskVersionOptions) {
    this.sizeBytes = options.sizeBytes
    this.inOneFile = options.inOneFile
    this.#directory = options.directory
    this.#files = options.files
    this.#cache = options.cache
    this.#segmentBytes = options.inOneFile
      ? Math.max(alignUp(options.sizeBytes), segmentBytes)
      : segmentBytes
  }

  /** Whether its file is for us alone: `openWhole` and `watch` give nothing. */
  get isSmall(): boolean {
    return this.sizeBytes <= maxSmallBytes
  }

  /** Looks what there is of `range`, for `holds`; `undefined` when that is known. */
  look(range: ByteRange): Promise<void> | undefined {
    const unknown = this.#segmentsOf(range).filter(({ segment }) => !segment.isLoaded)
    if (unknown.length === 0) return undefined
    return this.#cache
      .attempt('cache.read', () => Promise.all(unknown.map(({ segment }) => segment.load())))
      .then(() => undefined)
  }

  /** Whether all of `range` was there when somebody looked last. */
  holds(range: ByteRange): boolean {
    return this.#segmentsOf(range).every(({ segment, from, to }) => {
      for (let granule = from; granule < to; granule += 1) if (!segment.has(granule)) return false
      return true
    })
  }

  /**
   * Fills `into`, which stands for `range`, as far as there is something on the disk; resolves to what
   * there is not. `range` begins at a granule, and ends at one or with the blob.
   */
  async read(range: ByteRange, into: Uint8Array): Promise<ByteRange[]> {
    const missing: number[] = []
    for (const { segment, index, from, to } of this.#segmentsOf(range)) {
      const base = (index * this.#segmentBytes) / granuleBytes
      const start = (base + from) * granuleBytes - range.start
      const view = into.subarray(start, start + (to - from) * granuleBytes)
      const found = await this.#cache.attempt('cache.read', () => segment.read(from, view))
      const all = Array.from({ length: to - from }, (_, at) => from + at)
      for (const granule of found?.missing ?? all) missing.push(base + granule)
      if (found !== undefined && found.damaged > 0)
        this.#cache.count({ damagedCount: found.damaged })
    }
    const ranges = rangesOf(missing, range.end)
    const missedBytes = ranges.reduce((total, { start, end }) => total + end - start, 0)
    this.#cache.count({ missedBytes, hitBytes: range.end - range.start - missedBytes })
    return ranges
  }

  /**
   * Keeps the granules that `data`, the bytes from `start` on, holds whole, some time later: it is not
   * to be written to any more, unless a `copy` is asked for, or before `onDone` is called, which is once.
   * Resolves when a copy was made, where one is, and more may be brought.
   */
  async write(start: number, data: Uint8Array, options: DiskWriteOptions = {}): Promise<void> {
    const end = start + data.byteLength
    const from = Math.ceil(start / granuleBytes) * granuleBytes
    const to = end === this.sizeBytes ? end : Math.floor(end / granuleBytes) * granuleBytes
    const pieces = from < to ? this.#segmentsOf({ start: from, end: to }) : []
    const onDone = afterCalls(pieces.length, options.onDone)
    const write = (piece: Piece) => {
      const at = piece.index * this.#segmentBytes + piece.from * granuleBytes - start
      const length = Math.min((piece.to - piece.from) * granuleBytes, to - start - at)
      return this.#writePiece(piece, data.subarray(at, at + length), { ...options, onDone })
    }
    await Promise.all(pieces.map(write))
  }

  async #writePiece(
    piece: Piece,
    bytes: Uint8Array,
    { copy = false, ahead, onDone }: DiskWriteOptions & { readonly onDone: () => void },
  ): Promise<void> {
    const write = (kept: Uint8Array) => piece.segment.write(piece.from, kept, ahead)
    if (await this.#cache.later(bytes, { copy, write, onDone })) return
    const base = (piece.index * this.#segmentBytes) / granuleBytes
    for (let at = piece.from; at < piece.to; at += 1) this.#skipped.add(base + at)
  }

  /** Writes `data`, as `write`, if the disk did not get on when that was asked for. */
  async writeSkipped(start: number, data: Uint8Array, lend?: () => () => void): Promise<void> {
    if (this.#skipped.size === 0) return
    let wasSkipped = false
    const last = Math.ceil((start + data.byteLength) / granuleBytes)
    for (let at = Math.floor(start / granuleBytes); at < last; at += 1) {
      if (this.#skipped.delete(at)) wasSkipped = true
    }
    if (wasSkipped) await this.write(start, data, { onDone: lend?.() })
  }

  /**
   * Somebody reads at `range`: what was written ahead and lies before it may be read past us from now on. Not sooner: who
   * reads in sequence would not be seen to come on, and nothing more be fetched ahead.
   */
  passed(range: ByteRange): void {
    if (this.#watchers.size === 0) return
    for (const { segment, from } of this.#segmentsOf(range)) {
      const telling = segment.tellBefore(from)
      if (telling !== undefined) void this.#cache.attempt('cache.read', () => telling)
    }
  }

  /**
   * Tells `watcher` what may be read of the version's files from now on, until the returned function is
   * called: granules that were written, or compared with their sums.
   */
  watch(watcher: DiskWatcher): () => void {
    this.#watchers.add(watcher)
    return () => void this.#watchers.delete(watcher)
  }

  #tell(index: number, { descriptor, file, added, all }: Compared): void {
    const start = index * this.#segmentBytes
    const sizeBytes = Math.min(this.sizeBytes - start, this.#segmentBytes)
    const rangeOf = (run: readonly number[]): ByteRange => {
      const first = run[0] ?? 0
      const end = Math.min((first + run.length) * granuleBytes, sizeBytes)
      return { start: start + first * granuleBytes, end: start + end }
    }
    const piece = {
      ...{ start, sizeBytes, descriptor, file },
      added: added.map(rangeOf),
      all: () => all().map(rangeOf),
    }
    for (const watcher of this.#watchers) watcher(piece)
  }

  /**
   * Opens the files that hold the version, when all of it is there and whole, which is read to be sure.
   * They stay as they are, also when the cache makes room, until the caller closes them.
   */
  async openWhole(): Promise<readonly WholePiece[] | undefined> {
    if (this.isSmall) return undefined
    const all = { start: 0, end: this.sizeBytes }
    await this.look(all)
    if (this.sizeBytes === 0 || !this.holds(all)) return undefined
    const pieces: WholePiece[] = []
    for (const { segment, index } of this.#segmentsOf(all)) {
      const piece = await this.#cache.attempt('cache.read', () => this.#openPiece(segment, index))
      if (piece === undefined) {
        await closePieces(pieces)
        return undefined
      }
      pieces.push(piece)
    }
    return pieces
  }

  async #openPiece(segment: Stretch, index: number): Promise<WholePiece | undefined> {
    const start = index * this.#segmentBytes
    const sizeBytes = Math.min(this.sizeBytes - start, this.#segmentBytes)
    const file = await open(`${segment.place}.data`, 'r')
    let isWhole = false
    try {
      isWhole = await segment.isWhole(file, sizeBytes)
    } finally {
      if (!isWhole) await file.close()
    }
    return isWhole ? { start, sizeBytes, file } : undefined
  }

  /** Goes on in another directory, where the segments were moved to. */
  moved(directory: string): void {
    this.#directory = directory
    for (const [index, segment] of this.#segments) segment.place = this.#placeOf(index)
  }

  #segmentsOf({ start, end }: ByteRange): Piece[] {
    const pieces: Piece[] = []
    const last = Math.min(end, this.sizeBytes)
    for (
      let index = Math.floor(start / this.#segmentBytes);
      index * this.#segmentBytes < last;
      index += 1
    ) {
      const base = index * this.#segmentBytes
      pieces.push({
        index,
        segment: this.#segment(index),
        from: Math.floor(Math.max(start - base, 0) / granuleBytes),
        to: Math.ceil(Math.min(last - base, this.#segmentBytes) / granuleBytes),
      })
    }
    return pieces
  }

  /** Processes that cut a version differently have files of their own. */
  #placeOf(index: number): string {
    if (this.isSmall) return smallPlaceOf(this.#directory)
    return join(this.#directory, this.#segmentBytes > segmentBytes ? 'whole' : String(index))
  }

  #segment(index: number): Stretch {
    const known = this.#segments.get(index)
    if (known !== undefined) return known
    const segment = this.#newSegment(index)
    this.#segments.set(index, segment)
    return segment
  }

  #newSegment(index: number): Stretch {
    const common = {
      place: this.#placeOf(index),
      sizeBytes: Math.min(this.sizeBytes - index * this.#segmentBytes, this.#segmentBytes),
      nowMs: () => this.#cache.nowMs,
    }
    if (this.isSmall) {
      const isSurelyAbsent = (place: string) => this.#cache.isSurelyAbsent(place)
      return new DiskSmall({ ...common, isSurelyAbsent })
    }
    return new DiskSegment({
      ...common,
      files: this.#files,
      isWatched: () => this.#watchers.size > 0,
      onCompared: (compared) => this.#tell(index, compared),
    })
  }
}

/** A file of the local disk that holds a stretch of a version, from its own beginning on. */
export interface WholePiece {
  readonly start: number
  readonly sizeBytes: number
  readonly file: FileHandle
}

/** Closes what `openWhole` gave. Never rejects. */
export async function closePieces(pieces: readonly WholePiece[]): Promise<void> {
  await Promise.allSettled(pieces.map(({ file }) => file.close()))
}

/** Granules `from` to `to` (not with it) of a segment. */
interface Piece {
  readonly index: number
  readonly segment: Stretch
  readonly from: number
  readonly to: number
}

/** Calls `then` at the call that is the `count`th; of none, at once. */
function afterCalls(count: number, then: (() => void) | undefined): () => void {
  let left = count
  if (left === 0) then?.()
  return () => {
    left -= 1
    if (left === 0) then?.()
  }
}

function rangesOf(granules: readonly number[], limit: number): ByteRange[] {
  const ranges: { start: number; end: number }[] = []
  for (const granule of granules) {
    const start = granule * granuleBytes
    const end = Math.min(start + granuleBytes, limit)
    const last = ranges.at(-1)
    if (last?.end === start) last.end = end
    else ranges.push({ start, end })
  }
  return ranges
}
