import type { FileHandle } from 'node:fs/promises'
import { getSystemErrorName } from 'node:util'
import { crc32Parts } from '../crc32.ts'
import { findAddon, type GranulesAddon } from '../native-addon.ts'
import { granuleBytes } from './granule.ts'
import { writeFully } from './write-fully.ts'

/** Makes of a sum what lies behind it, so that what was never written is not taken for a sum. */
const turn = 0xabf5b10c

/** The open files of a segment. */
export interface GranuleFiles {
  readonly data: FileHandle
  readonly sums: FileHandle
}

/** What was read or written. */
export interface Granules {
  readonly sums: Uint32Array
  /** False when somebody removed one of the files: nobody else finds what is written there. */
  readonly named: boolean
}

/**
 * Reads and writes granules of 64 KiB from `first` on, where they lie in `data`, and the two words in `sums` for each:
 * its CRC-32 and the same turned over. Rejects as `node:fs` does.
 */
export interface GranuleAccess {
  /** Writes bytes and then their sums, which it gives; nothing where that would be nameless. */
  write(files: GranuleFiles, first: number, bytes: Uint8Array): Promise<Granules>
  /** Fills `into`; gives the sums of what was read of those granules that are there whole. */
  read(files: GranuleFiles, first: number, into: Uint8Array): Promise<Granules>
  /** The words of `count` granules, as they lie there. */
  readSums(files: GranuleFiles, first: number, count: number): Promise<Granules>
}

/** Whether `sum` and what lies behind it were written together. */
export function isSum(sum: number | undefined, turned: number | undefined): boolean {
  return sum !== undefined && (sum ^ turn) >>> 0 === turned
}

/** `sums` as they lie there. */
export function wordsOf(sums: Uint32Array): Uint32Array {
  const words = new Uint32Array(2 * sums.length)
  sums.forEach((sum, index) => void words.set([sum, (sum ^ turn) >>> 0], 2 * index))
  return words
}

/** By `node:fs` alone: some calls for each, one after the other. */
export const portableGranules: GranuleAccess = {
  async write(files, first, bytes) {
    if (!(await haveNames(files))) return { sums: new Uint32Array(0), named: false }
    const sums = crc32Parts(bytes, granuleBytes)
    await writeFully(files.data, bytes, first * granuleBytes)
    await writeFully(files.sums, new Uint8Array(wordsOf(sums).buffer), 8 * first)
    return { sums, named: true }
  },
  async read(files, first, into) {
    const { bytesRead } = await files.data.read(into, 0, into.byteLength, first * granuleBytes)
    const isAll = bytesRead === into.byteLength
    const whole = isAll ? bytesRead : Math.floor(bytesRead / granuleBytes) * granuleBytes
    const sums = crc32Parts(into.subarray(0, whole), granuleBytes)
    return { sums, named: await haveNames(files) }
  },
  async readSums(files, first, count) {
    const words = new Uint32Array(2 * count)
    const bytes = new Uint8Array(words.buffer)
    const named = await haveNames(files)
    if (named) await files.sums.read(bytes, 0, bytes.byteLength, 8 * first)
    return { sums: words, named }
  },
}

async function haveNames({ data, sums }: GranuleFiles): Promise<boolean> {
  const [first, second] = await Promise.all([data.stat(), sums.stat()])
  return first.nlink > 0 && second.nlink > 0
}

/** One task of libuv's pool for each: a granule is written in a fifth of the time. */
function nativeGranules(addon: GranulesAddon): GranuleAccess {
  return {
    write: async ({ data, sums }, first, bytes) =>
      granulesOf(await addon.writeGranules(data.fd, sums.fd, first, bytes)),
    read: async ({ data, sums }, first, into) =>
      granulesOf(await addon.readGranules(data.fd, sums.fd, first, into)),
    readSums: async ({ data, sums }, first, count) =>
      granulesOf(await addon.readSums(data.fd, sums.fd, first, count)),
  }
}

function granulesOf(answer: Granules | number): Granules {
  if (typeof answer !== 'number') return answer
  const code = getSystemErrorName(answer)
  throw Object.assign(new Error(`${code}: the disk cache's file`), { code, errno: answer })
}

let found: GranuleAccess | undefined

/** By the addon where there is one. */
export function granuleAccess(): GranuleAccess {
  if (found === undefined) {
    const addon = findAddon(knowsGranules)
    const isThere = addon !== undefined && knowsGranules(addon)
    found = isThere ? nativeGranules(addon) : portableGranules
  }
  return found
}

function knowsGranules(value: object): value is GranulesAddon {
  return 'writeGranules' in value
}
