import { chmod, type FileHandle, utimes } from 'node:fs/promises'
import type { DiskFiles, Placed } from './disk-files.ts'
import {
  type GranuleFiles,
  granuleAccess,
  isSum,
  type SegmentFiles,
  wordsOf,
} from './disk-granules.ts'
import { countedFrom, granuleBytes, part, runsOf } from './granule.ts'

// A segment is a stretch of one version of one blob in two files: `.data`, sparse, holds the bytes where
// they are in the stretch; `.sums` holds 8 bytes for each granule of 64 KiB: its CRC-32 and the same
// again, turned over with a constant, so that what was never written is not taken for a sum. Bytes are
// written before their sum and compared with it whenever they are read. Two processes that write one
// granule write the same bytes, so nobody needs a lock; what a crash or the disk has damaged is not
// believed, and fetched anew.

/** The owner's x of a data file: read again since it was filled. */
const reusedMode = 0o700
/** How exactly the last use is remembered. */
const useMs = 10_000
/** How long what was not there when somebody looked is taken to be absent: what others bring meanwhile is fetched twice. */
const lookMs = 1000

/** Granules that are read and compared at once: 1 MiB takes a millisecond of the event loop. */
const checkedAtOnce = 16

export interface SegmentOptions extends Placed {
  readonly sizeBytes: number
  readonly files: DiskFiles
  readonly nowMs: () => number
  /** Whether somebody wants to know what becomes readable. */
  readonly isWatched: () => boolean
  readonly onCompared: (compared: Compared) => void
}

/** Memory that begins with granule `first`. */
interface Place {
  readonly first: number
  readonly into: Uint8Array
}

/** Granules of a segment that may be read from its file: this process wrote them, or compared them. */
export interface Compared {
  /** An open file, for as long as the turn of the event loop that gave it lasts. */
  readonly descriptor: number
  /** Which file that is: nothing is known of another that takes its place. */
  readonly file: string
  /** Runs of consecutive ones that have just become so. */
  readonly added: readonly (readonly number[])[]
  /** All there are. */
  readonly all: () => readonly (readonly number[])[]
}

/** The granules of one segment that are on the disk. Rejects as `node:fs` does. */
export class DiskSegment implements Placed {
  place: string
  readonly #files: DiskFiles
  /** Two words a granule, as on the disk. */
  readonly #sums: Uint32Array
  readonly #distrusted = new Set<number>()
  /** Written ahead of who reads, who is to come to them first. */
  readonly #untold = new Set<number>()
  readonly #compared: ComparedGranules
  #loading: Promise<void> | undefined
  #isLoaded = false
  #usedAtMs = Number.NEGATIVE_INFINITY
  #lookedAtMs = Number.NEGATIVE_INFINITY
  readonly #options: SegmentOptions

  constructor(options: SegmentOptions) {
    const { place, sizeBytes, files } = options
    this.#options = options
    this.place = place
    this.#files = files
    const granules = Math.ceil(sizeBytes / granuleBytes)
    this.#sums = new Uint32Array(2 * granules)
    this.#compared = new ComparedGranules(granules)
  }

  get isLoaded(): boolean {
    return this.#isLoaded
  }

  /** Whether `granule` was there when somebody looked last. */
  has(granule: number): boolean {
    return isSum(this.#sums[2 * granule], this.#sums[2 * granule + 1])
  }

  /** Looks what is there; calls at the same time share one look. */
  load(): Promise<void> {
    this.#loading ??= this.#look().finally(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  /** Fills `into` from `first` on, as far as granules are there and whole; returns those that are not. */
  async read(
    first: number,
    into: Uint8Array,
  ): Promise<{ readonly missing: readonly number[]; readonly damaged: number }> {
    const wanted = countedFrom(first, Math.ceil(into.byteLength / granuleBytes))
    // Another process may have brought what this one knows nothing of.
    const nowMs = this.#options.nowMs()
    const isKnown = nowMs - this.#lookedAtMs < lookMs
    if (!isKnown && !wanted.every((granule) => this.has(granule))) await this.load()
    const present = wanted.filter((granule) => this.has(granule))
    if (present.length === 0) return { missing: wanted, damaged: 0 }
    const damaged = await this.#files.use(this, { create: false }, (files) =>
      this.#readThem(files, present, { first, into }),
    )
    await this.#noteUse(nowMs)
    for (const granule of damaged ?? present) this.#distrust(granule)
    // Not what `has` says by now: others write meanwhile, and `into` has nothing of that.
    const read = new Set(damaged === undefined ? [] : present)
    for (const granule of damaged ?? []) read.delete(granule)
    const missing = wanted.filter((granule) => !read.has(granule))
    return { missing, damaged: damaged?.length ?? 0 }
  }

  /**
   * Whether `data`, an open `.data` file that may have been removed since, holds all granules, each as
   * it was once written. Reads what this process has neither compared in that file nor written to it.
   */
  async isWhole(data: FileHandle, sizeBytes: number): Promise<boolean> {
    await this.load()
    const granules = countedFrom(0, Math.ceil(sizeBytes / granuleBytes))
    if (!granules.every((granule) => this.has(granule))) return false
    this.#compared.use(await granuleAccess().identityOf(data))
    const into = Buffer.allocUnsafeSlow(checkedAtOnce * granuleBytes)
    for (let first = 0; first < granules.length; first += checkedAtOnce) {
      const run = granules.slice(first, first + checkedAtOnce)
      if (run.every((granule) => this.#compared.has(granule))) continue
      const last = Math.min(sizeBytes - first * granuleBytes, into.byteLength)
      const where = { first, into: into.subarray(0, last) }
      if ((await this.#readRun({ data, sums: data }, run, where)).bad.length > 0) return false
      this.#compared.add(run)
    }
    return true
  }

  /**
   * Writes the granules of `data` that are not there; returns how many bytes those were. Those that are written
   * `ahead` of who reads become readable by `tellBefore`.
   */
  async write(first: number, data: Uint8Array, ahead = false): Promise<number> {
    const wanted = countedFrom(first, Math.ceil(data.byteLength / granuleBytes))
    const absent = wanted.filter((granule) => !this.has(granule))
    if (absent.length === 0) return 0
    let written = 0
    await this.#files.use(this, { create: true }, async (files) => {
      for (const run of runsOf(absent)) {
        if (ahead) for (const granule of run) this.#untold.add(granule)
        written += await this.#writeRun(files, run, { first, data })
      }
    })
    return written
  }

  /** Makes what was written ahead readable, as far as `granule`; `undefined` when there is none. */
  tellBefore(granule: number): Promise<void> | undefined {
    if (this.#untold.size === 0 || !this.#options.isWatched()) return undefined
    const passed = [...this.#untold].filter((each) => each < granule && this.#compared.has(each))
    if (passed.length === 0) return undefined
    for (const each of passed) this.#untold.delete(each)
    return this.#files.use(this, { create: false }, async (files) => {
      this.#compared.use(files.identity)
      this.#addCompared(
        files,
        passed.filter((each) => this.#compared.has(each)),
      )
    })
  }

  /** Reads granules that are there, and gives those that were not what was once written. */
  async #readThem(
    files: SegmentFiles,
    granules: readonly number[],
    into: Place,
  ): Promise<number[]> {
    const bad: number[] = []
    let named = true
    for (const run of runsOf(granules)) {
      const found = await this.#readRun(files, run, into)
      bad.push(...found.bad)
      named &&= found.named
    }
    // Others may have read a file that was removed meanwhile: what is there now is another.
    if (bad.length === 0 && named && this.#options.isWatched()) {
      this.#compared.use(files.identity)
      for (const granule of granules) this.#untold.delete(granule)
      this.#addCompared(files, granules)
    }
    return bad
  }

  #addCompared({ data }: SegmentFiles, granules: readonly number[]): void {
    this.#compared.add(granules)
    const isTold = (granule: number) => !this.#untold.has(granule)
    const added = granules.filter(isTold)
    if (!this.#options.isWatched() || added.length === 0) return
    const { file } = this.#compared
    const all = () => runsOf(this.#compared.all.filter(isTold))
    this.#options.onCompared({ descriptor: data.fd, file, added: runsOf(added), all })
  }

  /** Closes the files: the next use opens what lies at `place` then. */
  release(): void {
    this.#files.drop(this)
  }

  async #look(): Promise<void> {
    const nowMs = this.#options.nowMs()
    const found = await this.#files.use(this, { create: false }, (files) =>
      granuleAccess().readSums(files, 0, this.#sums.length / 2),
    )
    if (found?.named === true) this.#note(found.sums)
    else this.#forgetAll()
    this.#lookedAtMs = nowMs
    this.#isLoaded = true
  }

  /** What lies there now, and what this process wrote meanwhile, but for what it has found to be damaged. */
  #note(words: Uint32Array): void {
    for (let at = 0; at < words.length; at += 2) {
      if (!isSum(words[at], words[at + 1]) || this.#distrusted.has(at / 2)) continue
      this.#sums.set(words.subarray(at, at + 2), at)
    }
  }

  async #readRun(
    files: GranuleFiles,
    run: readonly number[],
    { first, into }: Place,
  ): Promise<{ readonly bad: readonly number[]; readonly named: boolean }> {
    const [from = 0] = run
    const { sums, named } = await granuleAccess().read(
      files,
      from,
      part(into, from - first, run.length),
    )
    const bad = run.filter((granule, index) => sums[index] !== this.#sums[2 * granule])
    return { bad, named }
  }

  async #writeRun(
    files: SegmentFiles,
    run: readonly number[],
    where: { readonly first: number; readonly data: Uint8Array },
  ): Promise<number> {
    const [from = 0] = run
    const view = part(where.data, from - where.first, run.length)
    const { sums, named } = await granuleAccess().write(files, from, view)
    if (!named) {
      this.#forgetAll()
      return 0
    }
    this.#sums.set(wordsOf(sums), 2 * from)
    for (const granule of run) this.#distrusted.delete(granule)
    this.#compared.use(files.identity)
    this.#addCompared(files, run)
    return view.byteLength
  }

  /** Who makes room looks at the mode and the time of the data file. */
  async #noteUse(nowMs: number): Promise<void> {
    if (nowMs - this.#usedAtMs < useMs) return
    this.#usedAtMs = nowMs
    const name = `${this.place}.data`
    const now = new Date(nowMs)
    await Promise.allSettled([chmod(name, reusedMode), utimes(name, now, now)])
  }

  #distrust(granule: number): void {
    this.#distrusted.add(granule)
    this.#compared.delete(granule)
    this.#sums.fill(0, 2 * granule, 2 * granule + 2)
  }

  #forgetAll(): void {
    this.#sums.fill(0)
    this.release()
  }
}

/** Which granules of one file were compared with their sums, or written, by this process. */
class ComparedGranules {
  readonly #isCompared: Uint8Array
  #file = ''

  constructor(granules: number) {
    this.#isCompared = new Uint8Array(granules)
  }

  /** The file that is meant from here on: nothing is known of another that took its place. */
  use(file: string): void {
    if (file !== this.#file) this.#isCompared.fill(0)
    this.#file = file
  }

  get file(): string {
    return this.#file
  }

  has(granule: number): boolean {
    return this.#isCompared[granule] === 1
  }

  get all(): number[] {
    const granules: number[] = []
    this.#isCompared.forEach((isCompared, granule) => {
      if (isCompared === 1) granules.push(granule)
    })
    return granules
  }

  add(granules: readonly number[]): void {
    for (const granule of granules) this.#isCompared[granule] = 1
  }

  delete(granule: number): void {
    this.#isCompared[granule] = 0
  }
}
