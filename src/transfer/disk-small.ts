import { stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { KiB } from '../byte-range.ts'
import { codeOf, granuleAccess, isSum, type SmallFile } from './disk-granules.ts'
import { countedFrom, granuleBytes, part, runsOf } from './granule.ts'

// A small version is one file: its bytes, and right behind them the 8 bytes for each granule that a segment has in `.sums`.
// Nothing is kept open and no directory is its own, so looking for it is a call of the system, and reading or writing it
// is one task of the pool. What is not there, torn or changed has no sum that fits, as in a segment.

/**
 * More bytes than this cost so much to write that two files are no matter, and the kernel and the addon read what lies in
 * a file of its own by themselves.
 */
export const maxSmallBytes: number = 256 * KiB
/** The directory of all small versions, in 256 others. */
export const smallName = 'small'

/** How exactly the last use is remembered. */
const useMs = 10_000
/** How long what was not there when somebody looked is taken to be absent. */
const lookMs = 1000

/** Where a small version lies, of which `directory` would have the segments. */
export function smallPlaceOf(directory: string): string {
  const name = basename(directory)
  return join(dirname(directory), smallName, name.slice(0, 2), name)
}

export interface DiskSmallOptions {
  readonly place: string
  readonly sizeBytes: number
  readonly nowMs: () => number
  /** Tells at once whether nothing lies at a place, where that can be told without a disk that may hang. */
  readonly isSurelyAbsent: (place: string) => boolean
}

/** The granules of one small version that are on the disk. Rejects as `node:fs` does. */
export class DiskSmall {
  place: string
  readonly #options: DiskSmallOptions
  /** As far as is known: whoever reads is told by the file. */
  readonly #present: Uint8Array
  #isThere = false
  #isLoaded = false
  #lookedAtMs = Number.NEGATIVE_INFINITY
  #usedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: DiskSmallOptions) {
    this.place = options.place
    this.#options = options
    this.#present = new Uint8Array(Math.ceil(options.sizeBytes / granuleBytes))
  }

  get isLoaded(): boolean {
    if (!this.#isLoaded) this.#lookAtOnce()
    return this.#isLoaded
  }

  /** Whether `granule` was there when somebody looked last. */
  has(granule: number): boolean {
    return this.#present[granule] === 1
  }

  /** Looks whether all of it is there, by its length alone. */
  async load(): Promise<void> {
    const nowMs = this.#options.nowMs()
    const sizeBytes = await sizeOf(this.place)
    this.#noteLook(nowMs, sizeBytes !== undefined)
    if (sizeBytes === this.#options.sizeBytes + 8 * this.#present.length) this.#present.fill(1)
  }

  /** Fills `into` from `first` on, as far as granules are there and whole; returns those that are not. */
  async read(
    first: number,
    into: Uint8Array,
  ): Promise<{ readonly missing: readonly number[]; readonly damaged: number }> {
    const wanted = countedFrom(first, Math.ceil(into.byteLength / granuleBytes))
    const nowMs = this.#options.nowMs()
    const isKnown = nowMs - this.#lookedAtMs < lookMs
    if (!isKnown && !this.#isThere) this.#lookAtOnce()
    const isAbsent = !this.#isThere && nowMs - this.#lookedAtMs < lookMs
    if (isAbsent) return { missing: wanted, damaged: 0 }
    const words = await granuleAccess().readSmall(this.#file, first, into, this.#noteUse(nowMs))
    if (words === undefined) this.#noteLook(nowMs, false)
    else this.#isThere = true
    return this.#judge(wanted, words)
  }

  /** Writes the granules of `data` that are not there; returns how many bytes those were. */
  async write(first: number, data: Uint8Array): Promise<number> {
    const wanted = countedFrom(first, Math.ceil(data.byteLength / granuleBytes))
    let writtenBytes = 0
    for (const run of runsOf(wanted.filter((granule) => !this.has(granule)))) {
      const [from = 0] = run
      const bytes = part(data, from - first, run.length)
      await granuleAccess().writeSmall(this.#file, from, bytes)
      for (const granule of run) this.#present[granule] = 1
      this.#isThere = true
      this.#isLoaded = true
      writtenBytes += bytes.byteLength
    }
    return writtenBytes
  }

  /** Nobody reads the file but by us, who compare it: behind the bytes lies what is not theirs. */
  async isWhole(): Promise<boolean> {
    return false
  }

  tellBefore(): undefined {}

  get #file(): SmallFile {
    return { name: this.place, sumsAt: this.#options.sizeBytes }
  }

  #judge(
    wanted: readonly number[],
    words: Uint32Array | undefined,
  ): { readonly missing: readonly number[]; readonly damaged: number } {
    let damaged = 0
    const missing = wanted.filter((granule, index) => {
      const [read, sum, turned] = words?.subarray(3 * index) ?? []
      const isKept = isSum(sum, turned)
      if (isKept && sum !== read) damaged += 1
      this.#present[granule] = Number(isKept && sum === read)
      return !this.has(granule)
    })
    return { missing, damaged }
  }

  #lookAtOnce(): void {
    if (this.#options.isSurelyAbsent(this.place)) this.#noteLook(this.#options.nowMs(), false)
  }

  #noteLook(nowMs: number, isThere: boolean): void {
    this.#lookedAtMs = nowMs
    this.#isLoaded = true
    this.#isThere = isThere
    if (!isThere) this.#present.fill(0)
  }

  /** The time to be noted in the file, at which it was used; `undefined` where the one before is exact enough. */
  #noteUse(nowMs: number): number | undefined {
    if (nowMs - this.#usedAtMs < useMs) return undefined
    this.#usedAtMs = nowMs
    return nowMs
  }
}

async function sizeOf(name: string): Promise<number | undefined> {
  try {
    return (await stat(name)).size
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}
