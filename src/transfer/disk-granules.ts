import * as fs from 'node:fs'
import { dirname } from 'node:path'
import { getSystemErrorName, promisify } from 'node:util'
import { crc32Parts } from '../crc32.ts'
import { makeDirectories } from '../make-directories.ts'
import { findAddon, type GranulesAddon } from '../native-addon.ts'
import { granuleBytes } from './granule.ts'
import { type WritableAt, writeFully } from './write-fully.ts'

/** Makes of a sum what lies behind it, so that what was never written is not taken for a sum. */
const turn = 0xabf5b10c

/** A file that is open by number; Node's `FileHandle` has it. */
interface OpenFile {
  readonly fd: number
}

/** The open files of a segment. */
export interface GranuleFiles {
  readonly data: OpenFile
  readonly sums: OpenFile
}

/** The two files of a segment, which whoever opened them closes. */
export interface SegmentFiles extends GranuleFiles {
  /** Which data file that is, as `identityOf` says. */
  readonly identity: string
}

/** A small version: its bytes, and from `sumsAt` on, where they end, the words of its granules. */
export interface SmallFile {
  readonly name: string
  readonly sumsAt: number
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
  /**
   * Opens `place`.data and `place`.sums, which `create` makes where they are missing, as their directory; `undefined`
   * where there are none.
   */
  open(place: string, create: boolean): Promise<SegmentFiles | undefined>
  close(files: GranuleFiles): Promise<void>
  /** Tells a file of data from every other that may take its place. */
  identityOf(data: OpenFile): Promise<string>
  /** Writes bytes and then their sums, which it gives; nothing where that would be nameless. */
  write(files: GranuleFiles, first: number, bytes: Uint8Array): Promise<Granules>
  /** Fills `into`; gives the sums of what was read of those granules that are there whole. */
  read(files: GranuleFiles, first: number, into: Uint8Array): Promise<Granules>
  /** The words of `count` granules, as they lie there. */
  readSums(files: GranuleFiles, first: number, count: number): Promise<Granules>
  /** Writes granules to a file that is opened or made, as the directory it lies in, and then their words. */
  writeSmall(file: SmallFile, first: number, bytes: Uint8Array): Promise<void>
  /**
   * Fills `into`; gives three words for each granule: the CRC-32 of what was read, and the two that lie there, 0 where there are none.
   * `undefined` where there is no such file. `usedAtMs` is noted in it, where that can be.
   */
  readSmall(
    file: SmallFile,
    first: number,
    into: Uint8Array,
    usedAtMs?: number,
  ): Promise<Uint32Array | undefined>
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
  async open(place, create) {
    try {
      return await openBoth(place, create)
    } catch (error) {
      if (codeOf(error) === 'ENOENT' && !create) return undefined
      throw error
    }
  },
  async close({ data, sums }) {
    await Promise.all([descriptors.close(data.fd), descriptors.close(sums.fd)])
  },
  async identityOf(data) {
    const { dev, ino, birthtimeMs } = await descriptors.stat(data.fd)
    return `${dev}:${ino}:${birthtimeMs}`
  },
  async write(files, first, bytes) {
    if (!(await haveNames(files))) return { sums: new Uint32Array(0), named: false }
    const sums = crc32Parts(bytes, granuleBytes)
    await writeFully(writable(files.data), bytes, first * granuleBytes)
    await writeFully(writable(files.sums), new Uint8Array(wordsOf(sums).buffer), 8 * first)
    return { sums, named: true }
  },
  async read(files, first, into) {
    const { bytesRead } = await descriptors.read(
      files.data.fd,
      into,
      0,
      into.byteLength,
      first * granuleBytes,
    )
    const isAll = bytesRead === into.byteLength
    const whole = isAll ? bytesRead : Math.floor(bytesRead / granuleBytes) * granuleBytes
    const sums = crc32Parts(into.subarray(0, whole), granuleBytes)
    return { sums, named: await haveNames(files) }
  },
  async readSums(files, first, count) {
    const words = new Uint32Array(2 * count)
    const bytes = new Uint8Array(words.buffer)
    const named = await haveNames(files)
    if (named) await descriptors.read(files.sums.fd, bytes, 0, bytes.byteLength, 8 * first)
    return { sums: words, named }
  },
  async writeSmall({ name, sumsAt }, first, bytes) {
    const words = wordsOf(crc32Parts(bytes, granuleBytes))
    await using(await openOne(name, true), async (file) => {
      await writeFully(writable(file), bytes, first * granuleBytes)
      await writeFully(writable(file), new Uint8Array(words.buffer), sumsAt + 8 * first)
    })
  },
  async readSmall({ name, sumsAt }, first, into, usedAtMs) {
    const fd = await openIfThere(name)
    if (fd === undefined) return undefined
    return using(fd, async (file) => {
      const words = new Uint32Array(2 * Math.ceil(into.byteLength / granuleBytes))
      const kept = new Uint8Array(words.buffer)
      // Before the bytes: they were written after them, perhaps meanwhile.
      await descriptors.read(file.fd, kept, 0, kept.byteLength, sumsAt + 8 * first)
      await descriptors.read(file.fd, into, 0, into.byteLength, first * granuleBytes)
      if (usedAtMs !== undefined) await noteUse(file, usedAtMs)
      const sums = crc32Parts(into, granuleBytes)
      const all = [...sums].flatMap((sum, at) => [sum, ...words.subarray(2 * at, 2 * at + 2)])
      return Uint32Array.from(all)
    })
  },
}

async function using<T>(fd: number, work: (file: OpenFile) => Promise<T>): Promise<T> {
  try {
    return await work({ fd })
  } finally {
    await descriptors.close(fd)
  }
}

async function openIfThere(name: string): Promise<number | undefined> {
  try {
    return await descriptors.open(name, fs.constants.O_RDONLY)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Who makes room looks at the mode and the time. */
async function noteUse({ fd }: OpenFile, usedAtMs: number): Promise<void> {
  const time = new Date(usedAtMs)
  await Promise.allSettled([descriptors.chmod(fd, 0o700), descriptors.utimes(fd, time, time)])
}

async function haveNames({ data, sums }: GranuleFiles): Promise<boolean> {
  const [first, second] = await Promise.all([descriptors.stat(data.fd), descriptors.stat(sums.fd)])
  return first.nlink > 0 && second.nlink > 0
}

/** The system's calls on numbers: a `FileHandle` of Node closes its own when it is collected. */
const descriptors = {
  open: promisify(fs.open),
  close: promisify(fs.close),
  read: promisify(fs.read),
  write: promisify(fs.write),
  stat: promisify(fs.fstat),
  chmod: promisify(fs.fchmod),
  utimes: promisify(fs.futimes),
}

function writable({ fd }: OpenFile): WritableAt {
  return { write: (bytes, offset, length, at) => descriptors.write(fd, bytes, offset, length, at) }
}

async function openBoth(place: string, create: boolean): Promise<SegmentFiles> {
  const data = { fd: await openOne(`${place}.data`, create) }
  try {
    const identity = await portableGranules.identityOf(data)
    return { data, identity, sums: { fd: await openOne(`${place}.sums`, create) } }
  } catch (error) {
    await descriptors.close(data.fd)
    throw error
  }
}

async function openOne(name: string, create: boolean): Promise<number> {
  if (!create) return openExisting(name)
  const flags = fs.constants.O_RDWR | fs.constants.O_CREAT
  try {
    return await descriptors.open(name, flags, 0o600)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
    await makeDirectories(dirname(name), 0o700)
    return descriptors.open(name, flags, 0o600)
  }
}

/** A directory that became read-only still answers. */
async function openExisting(name: string): Promise<number> {
  try {
    return await descriptors.open(name, fs.constants.O_RDWR)
  } catch (error) {
    const code = codeOf(error)
    if (code !== 'EROFS' && code !== 'EACCES') throw error
    return descriptors.open(name, fs.constants.O_RDONLY)
  }
}

/** The errno name of a failure of `node:fs`. */
export function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

/** One task of libuv's pool for each: a granule is written in a fifth of the time. */
function nativeGranules(addon: GranulesAddon): GranuleAccess {
  const open = async (place: string, create: boolean) => {
    const opened = await addon.openGranules(place, create)
    if (typeof opened !== 'number') return opened
    const isAbsent = getSystemErrorName(opened) === 'ENOENT'
    if (!isAbsent) throw errorOf(opened)
    if (!create) return undefined
    // What lies above is missing too, or somebody removed the directory that was just made.
    await makeDirectories(dirname(place), 0o700)
    return answerOf(await addon.openGranules(place, create))
  }
  return {
    open: async (place, create) => {
      const opened = await open(place, create)
      if (opened === undefined) return undefined
      const { data, sums, identity } = opened
      return { data: { fd: data }, sums: { fd: sums }, identity }
    },
    close: async ({ data, sums }) => void (await addon.closeGranules(data.fd, sums.fd)),
    identityOf: async (data) => answerOf(addon.granulesIdentity(data.fd)),
    write: async ({ data, sums }, first, bytes) =>
      answerOf(await addon.writeGranules(data.fd, sums.fd, first, bytes)),
    read: async ({ data, sums }, first, into) =>
      answerOf(await addon.readGranules(data.fd, sums.fd, first, into)),
    readSums: async ({ data, sums }, first, count) =>
      answerOf(await addon.readSums(data.fd, sums.fd, first, count)),
    writeSmall: async ({ name, sumsAt }, first, bytes) => {
      const write = () => addon.writeSmall(name, sumsAt, first, bytes)
      const written = await write()
      if (typeof written !== 'number') return
      if (getSystemErrorName(written) !== 'ENOENT') throw errorOf(written)
      await makeDirectories(dirname(name), 0o700)
      answerOf(await write())
    },
    readSmall: async ({ name, sumsAt }, first, into, usedAtMs = -1) => {
      const { sums, named } = answerOf(
        await addon.readSmall(name, sumsAt, first, into, Math.floor(usedAtMs)),
      )
      return named ? sums : undefined
    },
  }
}

function answerOf<T extends object | string>(answer: T | number): T {
  if (typeof answer !== 'number') return answer
  throw errorOf(answer)
}

function errorOf(answer: number): Error {
  const code = getSystemErrorName(answer)
  return Object.assign(new Error(`${code}: the disk cache's file`), { code, errno: answer })
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
  return 'openGranules' in value && 'writeSmall' in value
}
