import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { rename, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { LRUCache } from 'lru-cache'
import { GiB } from '../byte-range.ts'
import { type Clock, nextTurn, systemClock } from '../clock.ts'
import { expectOptions, expectText, expectWhole } from '../expect-option.ts'
import { makeDirectories } from '../make-directories.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { faultChannel } from '../telemetry.ts'
import { DiskFiles } from './disk-files.ts'
import { codeOf } from './disk-granules.ts'
import { isPinned, type PinnedVersion, readPin, removePin, writePin } from './disk-pins.ts'
import { DiskQueue } from './disk-queue.ts'
import { DiskRoom, listPinnable, listVersions, removeVersion, sizeOfVersion } from './disk-room.ts'
import { smallPlaceOf } from './disk-small.ts'
import { DiskVersion } from './disk-version.ts'
import { NearDisk } from './near-disk.ts'

export interface DiskCacheOptions {
  /** Made when it is missing, for this user alone; several processes and mounts may share it. */
  readonly directory: string
  /** Bytes that stay on the disk; each process may exceed it by a sixteenth. Default 10 GiB. */
  readonly maxBytes?: number | undefined
  /** Bytes in memory that wait to be written; who brings more waits, for a second at most. Default 16 MiB. */
  readonly maxPendingBytes?: number | undefined
  readonly clock?: Clock | undefined
}

/** Which bytes: no two versions of any two blobs have all four. */
export interface VersionKey {
  /** Where the account is: its name alone does not tell emulators apart. */
  readonly endpoint: string
  readonly path: BlobPath
  readonly etag: string
  readonly sizeBytes: number
}

/** What the cache did since it was made; bytes are those of blobs. */
export interface DiskCacheStats {
  readonly hitBytes: number
  readonly missedBytes: number
  readonly writtenBytes: number
  /** Not kept: the disk did not get on, or had failed. */
  readonly skippedBytes: number
  /** Granules of 64 KiB that were not what was once written. */
  readonly damagedCount: number
  readonly failureCount: number
}

/** What was removed. */
export interface Evicted {
  readonly versions: number
  readonly bytes: number
  /** Versions that stay because they are pinned. */
  readonly pinned: number
}

/** A pinned version, and how much of it lies on the disk. */
export interface PinnedOnDisk extends PinnedVersion {
  readonly diskBytes: number
}

/** How bytes are written later. */
export interface LaterOptions {
  readonly copy: boolean
  readonly write: (bytes: Uint8Array) => Promise<number>
  readonly onDone: () => void
}

/** After a failure of the disk nothing is written for so long. */
const pauseMs = 30_000
/** A version of up to this share of the cache is one file, and goes at once; larger ones go in parts. */
const oneFileShare = 1 / 4
/** Versions of which it is remembered what lies there, and what of that was compared. */
const knownVersions = 256

/**
 * Blocks of blobs on the local disk, which outlive the process and are shared with others, checked
 * whenever they are read. It never fails: where the disk does (full, read-only, broken, somebody else's)
 * there is nothing, and nothing is kept.
 */
export class DiskCache {
  readonly #directory: string
  readonly #files = new DiskFiles()
  readonly #room: DiskRoom
  readonly #clock: Clock
  readonly #near: NearDisk
  readonly #queue: DiskQueue
  readonly #maxBytes: number
  readonly #versions = new LRUCache<string, DiskVersion>({ max: knownVersions })
  readonly #moving = new Set<Promise<unknown>>()
  #pausedUntilMs = Number.NEGATIVE_INFINITY
  #opening: Promise<boolean> | undefined
  /** Nobody has asked of what kind its disk is before it was there. */
  #isKnown = false
  readonly #stats: Record<keyof DiskCacheStats, number> = {
    hitBytes: 0,
    missedBytes: 0,
    writtenBytes: 0,
    skippedBytes: 0,
    damagedCount: 0,
    failureCount: 0,
  }

  /** `TypeError` or `RangeError` that names the option. */
  constructor(options: DiskCacheOptions) {
    expectOptions(options, '{ directory }')
    expectText('directory', options.directory, "a directory's name")
    expectWhole('maxBytes', options.maxBytes, 'bytes', 0)
    expectWhole('maxPendingBytes', options.maxPendingBytes, 'bytes', 0)
    // The layout's name: another layout lies beside it.
    this.#directory = join(options.directory, 'blocks-1')
    this.#clock = options.clock ?? systemClock
    this.#near = new NearDisk(this.#clock)
    this.#queue = new DiskQueue(this.#clock, options.maxPendingBytes)
    this.#maxBytes = options.maxBytes ?? 10 * GiB
    this.#room = new DiskRoom(this.#directory, this.#maxBytes, (place) => this.#files.dropAt(place))
  }

  get stats(): DiskCacheStats {
    return { ...this.#stats }
  }

  /** The largest version that is kept in one piece. */
  get oneFileBytes(): number {
    return this.#maxBytes * oneFileShare
  }

  /** What is on the disk of one version, which its readers share. Looks at nothing yet. */
  open(key: VersionKey): DiskVersion {
    const directory = this.#directoryOf(key)
    const known = this.#versions.get(directory)
    if (known !== undefined) return known
    const version = new DiskVersion({
      directory,
      sizeBytes: key.sizeBytes,
      inOneFile: key.sizeBytes <= this.oneFileBytes,
      files: this.#files,
      cache: this,
    })
    this.#versions.set(directory, version)
    return version
  }

  /**
   * Makes what is kept of `key` answer for `newEtag`: the same content under a later etag. Resolves to
   * where that lies, for `DiskVersion.moved`.
   */
  async rename(key: Omit<VersionKey, 'sizeBytes'>, newEtag: string): Promise<string> {
    const from = this.#directoryOf(key)
    const to = this.#directoryOf({ ...key, etag: newEtag })
    this.#versions.delete(from)
    const moving = this.attempt('cache.rename', async () => {
      await Promise.all([
        renameIfAny(from, to),
        renameSmallIfAny(smallPlaceOf(from), smallPlaceOf(to)),
      ])
    })
    this.#moving.add(moving)
    await moving
    this.#moving.delete(moving)
    return to
  }

  /**
   * Removes what is kept of one version, or of all, but not of those that are pinned; resolves to how many there were and what they took
   * on the disk. Rejects, unlike the rest, when the directory is not ours or the disk fails.
   */
  async evict(key?: Omit<VersionKey, 'sizeBytes'>): Promise<Evicted> {
    await this.#demandOurs()
    const directories =
      key === undefined ? await listVersions(this.#directory) : [this.#directoryOf(key)]
    const evicted = { versions: 0, bytes: 0, pinned: 0 }
    for (const directory of directories) {
      if (await isPinned(directory)) {
        evicted.pinned += 1
        continue
      }
      const bytes = await removeVersion(directory)
      this.#versions.delete(directory)
      evicted.bytes += bytes
      if (bytes > 0) evicted.versions += 1
    }
    return evicted
  }

  /**
   * Keeps what is or will be there of a version from being removed for room, and lets go of other versions of
   * its blob. Rejects as `evict` does.
   */
  async pin(key: VersionKey): Promise<void> {
    await this.#demandOurs()
    const directory = this.#directoryOf(key)
    const { endpoint, path, etag, sizeBytes } = key
    const pinnedAtMs = this.#clock.nowMs()
    await writePin(directory, { endpoint, path, etag, sizeBytes, pinnedAtMs })
    await this.unpin((other) => isSameBlob(other, key) && other.etag !== etag)
  }

  /** Lets versions go when room is needed; resolves to how many. Rejects as `evict` does. */
  async unpin(isMeant: (version: PinnedVersion) => boolean): Promise<number> {
    await this.#demandOurs()
    let count = 0
    for (const directory of await listPinnable(this.#directory)) {
      const found = await readPin(directory)
      if (found === undefined || !isMeant(found)) continue
      await removePin(directory)
      count += 1
    }
    return count
  }

  /** All pinned versions, by name. Rejects as `evict` does. */
  async pinned(): Promise<PinnedOnDisk[]> {
    await this.#demandOurs()
    const found: PinnedOnDisk[] = []
    for (const directory of await listPinnable(this.#directory)) {
      const version = await readPin(directory)
      if (version === undefined) continue
      found.push({ ...version, diskBytes: await sizeOfVersion(directory) })
    }
    return found.sort((a, b) => (formatPath(a.path) < formatPath(b.path) ? -1 : 1))
  }

  /** Resolves when all that was handed over is written, or given up, and renamed. */
  async settled(): Promise<void> {
    await Promise.all([this.#queue.settled(), ...this.#moving])
  }

  /** Makes the directory. Rejects, unlike the rest, where nothing can be kept in it. */
  async prepare(): Promise<void> {
    await this.#demandOurs()
  }

  /** Writes what waits, and closes all files. */
  async close(): Promise<void> {
    await this.settled()
    await this.#files.close()
  }

  /** For a `DiskVersion`: runs `work` on the disk; `undefined` when that fails. */
  async attempt<T>(operation: string, work: () => Promise<T>): Promise<T | undefined> {
    if (this.#clock.nowMs() < this.#pausedUntilMs) return undefined
    try {
      if (!(await this.#isOurs())) return undefined
      return await work()
    } catch (error) {
      await this.#fail(operation, error)
      return undefined
    }
  }

  /**
   * For a `DiskVersion`: writes `bytes`, or a copy, as soon as that can be. Resolves once they wait for it, to whether
   * they do; `onDone` is called when that was done or given up.
   */
  async later(bytes: Uint8Array, options: LaterOptions): Promise<boolean> {
    const sizeBytes = bytes.byteLength
    const begin = () => {
      const kept = options.copy ? new Uint8Array(bytes) : bytes
      return async () => {
        // Who waits for these bytes is answered first.
        await nextTurn()
        await this.attempt('cache.write', () => this.#write(() => options.write(kept)))
        options.onDone()
      }
    }
    const isPaused = this.#clock.nowMs() < this.#pausedUntilMs
    if (!isPaused && (await this.#queue.add(sizeBytes, begin))) return true
    this.count({ skippedBytes: sizeBytes })
    options.onDone()
    return false
  }

  /** For a `DiskVersion`: tells that nothing lies at `place`, on a disk that may be asked at once. */
  isSurelyAbsent(place: string): boolean {
    if (!this.#isKnown || this.#near.isNear(this.#directory) !== true) return false
    return this.#near.run(() => !existsSync(place))
  }

  /** For a `DiskVersion`. */
  count(added: Partial<DiskCacheStats>): void {
    for (const name of names) this.#stats[name] += added[name] ?? 0
  }

  get nowMs(): number {
    return this.#clock.nowMs()
  }

  async #write(write: () => Promise<number>): Promise<void> {
    const writtenBytes = await write()
    this.count({ writtenBytes })
    await this.#room.note(writtenBytes)
  }

  /** Not asked again within the pause, so that a broken disk costs nothing. */
  async #fail(operation: string, error: unknown): Promise<void> {
    this.#pausedUntilMs = this.#clock.nowMs() + pauseMs
    this.#opening = undefined
    this.count({ failureCount: 1 })
    faultChannel.publish({ operation, path: this.#directory, error })
    if (codeOf(error) !== 'ENOSPC') return
    try {
      await this.#room.make(true)
    } catch {
      // The next write after the pause tells.
    }
  }

  /** What others may write to, others may have put there. */
  #isOurs(): Promise<boolean> {
    this.#opening ??= this.#demandOurs()
    return this.#opening
  }

  async #demandOurs(): Promise<boolean> {
    await makeDirectories(this.#directory, 0o700)
    const { uid, mode } = await stat(this.#directory)
    const isOwn = process.getuid === undefined || uid === process.getuid()
    if (isOwn && (mode & 0o022) === 0) {
      await this.#near.isNear(this.#directory)
      this.#isKnown = true
      return true
    }
    throw new Error(
      `${this.#directory} belongs to or may be written by others: nothing is kept there`,
    )
  }

  #directoryOf({ endpoint, path, etag }: Omit<VersionKey, 'sizeBytes'>): string {
    const parts = [endpoint, path.container, path.name, etag]
    const digest = createHash('sha256').update(JSON.stringify(parts)).digest('hex')
    return join(this.#directory, digest)
  }
}

async function renameIfAny(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    const code = codeOf(error)
    if (code !== 'ENOENT' && code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error
  }
}

function isThere(name: string): Promise<boolean> {
  return stat(name).then(
    () => true,
    () => false,
  )
}

async function renameSmallIfAny(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
    // Either of the two.
    if (!(await isThere(from))) return
    await makeDirectories(dirname(to), 0o700)
    await renameIfAny(from, to)
  }
}

function isSameBlob(a: PinnedVersion, b: VersionKey): boolean {
  const isSamePath = a.path.container === b.path.container && a.path.name === b.path.name
  return isSamePath && a.endpoint === b.endpoint
}

const names = [
  'hitBytes',
  'missedBytes',
  'writtenBytes',
  'skippedBytes',
  'damagedCount',
  'failureCount',
] as const
