import { readdir, rm, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from './disk-granules.ts'
import { pinName } from './disk-pins.ts'
import { smallName, smallPlaceOf } from './disk-small.ts'

/** A share for what was read once only, so that one long read does not drive out what is read again. */
const onceShare = 0.2
/** How far room is made, so that it is not made at each block. */
const keptShare = 0.9
/** Others write too: the directory is looked at anew when this share of it was written. */
const lookShare = 1 / 16

/** What a file of sums takes at least. */
const sumsBytes = 4096

interface Kept {
  readonly place: string
  /** One file, and not two in a directory. */
  readonly isSmall: boolean
  readonly sizeBytes: number
  readonly usedAtMs: number
  readonly isReused: boolean
  /** It is not removed to make room. */
  readonly isPinned: boolean
}

/** Keeps what lies in a directory of segments within `maxBytes`, as nearly as several processes can. */
export class DiskRoom {
  readonly #directory: string
  readonly #maxBytes: number
  /** Until the first look. */
  #sinceLook = Number.POSITIVE_INFINITY
  #sizeBytes = 0
  #making: Promise<void> | undefined
  readonly #onRemoved: (place: string) => void

  /** `onRemoved` is told each segment that goes. */
  constructor(directory: string, maxBytes: number, onRemoved: (place: string) => void) {
    this.#directory = directory
    this.#maxBytes = maxBytes
    this.#onRemoved = onRemoved
  }

  /** Takes note of what was written, and makes room where there is too little. */
  async note(writtenBytes: number): Promise<void> {
    this.#sizeBytes += writtenBytes
    this.#sinceLook += writtenBytes
    const isFull = this.#sizeBytes > this.#maxBytes
    if (isFull || this.#sinceLook > this.#maxBytes * lookShare) await this.make()
  }

  /**
   * Removes what is over the limit; `isDiskFull`: a tenth of what there is. Calls at the same time share
   * one.
   */
  make(isDiskFull = false): Promise<void> {
    this.#making ??= this.#make(isDiskFull).finally(() => {
      this.#making = undefined
    })
    return this.#making
  }

  async #make(isDiskFull: boolean): Promise<void> {
    this.#sinceLook = 0
    const all = await listSegments(this.#directory)
    let total = sum(all)
    const kept = keptShare * (isDiskFull ? Math.min(total, this.#maxBytes) : this.#maxBytes)
    if (isDiskFull || total > this.#maxBytes) {
      for (const segment of toRemove(all, kept, this.#maxBytes)) {
        await remove(segment)
        this.#onRemoved(segment.place)
        total -= segment.sizeBytes
      }
    }
    this.#sizeBytes = total
  }
}

/** The longest unused of those read once, down to their share; then of those that were read again. */
function toRemove(all: readonly Kept[], keptBytes: number, maxBytes: number): Kept[] {
  const byAge = all.filter(({ isPinned }) => !isPinned).sort((a, b) => a.usedAtMs - b.usedAtMs)
  const once = byAge.filter(({ isReused }) => !isReused)
  const again = byAge.filter(({ isReused }) => isReused)
  const removed: Kept[] = []
  let total = sum(all)
  let onceBytes = sum(once)
  while (total > keptBytes) {
    const fromOnce = onceBytes > maxBytes * onceShare || again.length === 0
    const next = fromOnce ? once.shift() : again.shift()
    if (next === undefined) break
    if (fromOnce) onceBytes -= next.sizeBytes
    total -= next.sizeBytes
    removed.push(next)
  }
  return removed
}

function sum(segments: readonly Kept[]): number {
  return segments.reduce((total, { sizeBytes }) => total + sizeBytes, 0)
}

async function listSegments(directory: string): Promise<Kept[]> {
  const segments: Kept[] = []
  const pinned = new Set<string>()
  for (const version of await listPinnable(directory)) {
    const names = await namesIn(version)
    if (names.includes(pinName)) pinned.add(version)
    segments.push(...(await segmentsOf(version, names)))
  }
  for (const version of await listSmall(directory)) {
    segments.push(...(await smallOf(version, pinned.has(version))))
  }
  return segments
}

/** The directories of the versions that lie in a directory of segments; small ones have one when they are pinned. */
export async function listPinnable(directory: string): Promise<string[]> {
  return versionsIn(directory, directory)
}

/** The directories that all versions have or would have. */
export async function listVersions(directory: string): Promise<string[]> {
  return [...new Set([...(await listPinnable(directory)), ...(await listSmall(directory))])]
}

async function listSmall(directory: string): Promise<string[]> {
  const small = join(directory, smallName)
  const versions: string[] = []
  for (const name of await namesIn(small)) {
    versions.push(...(await versionsIn(join(small, name), directory)))
  }
  return versions
}

async function versionsIn(place: string, directory: string): Promise<string[]> {
  const names = await namesIn(place)
  return names.filter((name) => /^[0-9a-f]{64}$/.test(name)).map((name) => join(directory, name))
}

/** What the segments of a version take on the disk. */
export async function sizeOfVersion(directory: string): Promise<number> {
  return sum(await piecesOf(directory))
}

/** Removes what is kept of a version; resolves to the bytes that it took on the disk. */
export async function removeVersion(directory: string): Promise<number> {
  const pieces = await piecesOf(directory)
  for (const piece of pieces) await remove(piece)
  return sum(pieces)
}

async function piecesOf(version: string): Promise<Kept[]> {
  return [...(await segmentsOf(version)), ...(await smallOf(version))]
}

async function smallOf(version: string, isPinned = false): Promise<Kept[]> {
  const place = smallPlaceOf(version)
  const found = await statIfAny(place)
  return found === undefined ? [] : [{ place, isSmall: true, isPinned, ...found }]
}

async function segmentsOf(version: string, known?: readonly string[]): Promise<Kept[]> {
  const segments: Kept[] = []
  const names = known ?? (await namesIn(version))
  const isPinned = names.includes(pinName)
  for (const name of names) {
    const place = join(version, name.replace(/\.data$/, ''))
    const found = name.endsWith('.data') ? await statIfAny(`${place}.data`) : undefined
    if (found === undefined) continue
    const sizeBytes = found.sizeBytes + sumsBytes
    segments.push({ place, isSmall: false, isPinned, ...found, sizeBytes })
  }
  return segments
}

async function statIfAny(
  name: string,
): Promise<Pick<Kept, 'sizeBytes' | 'usedAtMs' | 'isReused'> | undefined> {
  try {
    const { blocks, mtimeMs, mode } = await stat(name)
    return {
      sizeBytes: blocks * 512,
      usedAtMs: mtimeMs,
      isReused: (mode & 0o100) !== 0,
    }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}

/** The sums first: without them the bytes are nothing. */
async function remove({ place, isSmall }: Kept): Promise<void> {
  if (isSmall) return rm(place, { force: true })
  await rm(`${place}.sums`, { force: true })
  await rm(`${place}.data`, { force: true })
  try {
    await rmdir(join(place, '..'))
  } catch {
    // Other segments of the version are there.
  }
}
