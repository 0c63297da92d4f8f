import { join } from 'node:path'
import type { Clock } from '../../clock.ts'
import { FileSystemError } from '../../errors.ts'
import { faultChannel } from '../../telemetry.ts'
import type { AccountSettings, StorageAccount } from '../model/account.ts'
import type { Container } from '../model/container.ts'
import { type AccountChange, createAccount } from '../model/memory-account.ts'
import { lockDirectory } from './directory-lock.ts'
import { damaged } from './disk-error.ts'
import { DiskExtents, nextTurn } from './disk-extents.ts'
import { type Entry, encodeContainer } from './entries.ts'
import { type FileCalls, systemFiles } from './file-calls.ts'
import {
  findGenerations,
  type Generations,
  journalPath,
  readGenerations,
  removeBefore,
  sizeOf,
  snapshotPath,
} from './generations.ts'
import { Journal } from './journal.ts'
import { prepareDirectory } from './layout.ts'
import { Replay } from './replay.ts'
import { extentsOfImage, type Image, syncDirectory, takeImage, writeSnapshot } from './snapshot.ts'
import { encodeState } from './state-codec.ts'

// Names and properties live in memory and are repeated from a snapshot and a journal at the start;
// uploaded bytes stay in files. Changes reach the journal in the turn in which they are made and the
// journal reaches the operating system before the answer goes out, so that a kill loses nothing that
// was acknowledged.

/** How a storage directory is kept. */
export interface StorageDirectoryOptions {
  readonly clock?: Clock | undefined
  /**
   * Whether answers wait until the disk has what they say: a power cut then loses nothing either.
   * Default: they wait for the operating system, which a kill does not touch.
   */
  readonly fsync?: boolean | undefined
  /** A file of uploaded bytes is full at this size. Default 256 MiB. */
  readonly segmentBytes?: number | undefined
  /** A journal or garbage below this is no reason to tidy up. Default 64 MiB. */
  readonly compactAfterBytes?: number | undefined
  /** Default: the operating system's. */
  readonly files?: FileCalls | undefined
}

/** Storage accounts that outlive the process. */
export interface StorageDirectory {
  /** By name, as they were left. */
  readonly accounts: ReadonlyMap<string, StorageAccount>
  /**
   * The account of that name as it was left, with the settings it had, or a new one. Throws
   * `FileSystemError` `EINVAL` when it is there and `hierarchical` differs.
   */
  openAccount(settings: AccountSettings): StorageAccount
  /** Removes an account with all that it holds. */
  removeAccount(name: string): void
  /** A value that `putNote` kept; `undefined` when there is none. */
  note(name: string): unknown
  /** Keeps a value, made of what JSON has, under a name. */
  putNote(name: string, value: unknown): void
  /** Like that of accounts, for changes made outside requests. */
  settled(): Promise<void> | undefined
  /** Writes a snapshot in the journal's place and gives back the room of what was deleted. */
  compact(): Promise<void>
  /** Writes what is pending and lets go of the directory; accounts cannot be used after it. */
  close(): Promise<void>
}

/**
 * Opens a directory, made when absent, and all accounts in it. Rejects with `FileSystemError`:
 * `EBUSY` another server uses it, `EINVAL` it holds something else, `ENOTSUP` a later release wrote
 * it, `EIO` a file is damaged or missing.
 */
export async function openStorageDirectory(
  directory: string,
  options: StorageDirectoryOptions = {},
): Promise<StorageDirectory> {
  prepareDirectory(directory)
  const unlock = lockDirectory(directory)
  try {
    const opened = new DiskDirectory(directory, unlock, options)
    await opened.tidyIfWorthIt()
    return opened
  } catch (error) {
    unlock()
    throw error
  }
}

const defaultSegmentBytes = 256 * 1024 * 1024
const defaultCompactAfterBytes = 64 * 1024 * 1024

class DiskDirectory implements StorageDirectory {
  readonly #directory: string
  readonly #unlock: () => void
  readonly #options: StorageDirectoryOptions
  readonly #files: FileCalls
  readonly #compactAfterBytes: number
  readonly #extents: DiskExtents
  readonly #journal: Journal
  readonly #accounts: Map<string, StorageAccount>
  readonly #notes: Map<string, unknown>
  readonly #ids = new WeakMap<Container, number>()
  #nextId = 1
  #generation: number
  #snapshotBytes = 0
  #liveBytes: number
  #garbageBytes: number
  #latestStampMs = 0
  #isLoading = true
  #isClosed = false
  #compaction: Promise<void> | undefined

  constructor(directory: string, unlock: () => void, options: StorageDirectoryOptions) {
    this.#directory = directory
    this.#unlock = unlock
    this.#options = options
    this.#files = options.files ?? systemFiles
    this.#compactAfterBytes = options.compactAfterBytes ?? defaultCompactAfterBytes
    const fsync = options.fsync ?? false
    const segmentBytes = options.segmentBytes ?? defaultSegmentBytes
    this.#extents = new DiskExtents(join(directory, 'extents'), {
      files: this.#files,
      segmentBytes,
      fsync,
    })
    const generations = findGenerations(directory)
    const replay = new Replay(this.#extents, (settings) => this.#createAccount(settings))
    const wholeBytes = this.#replay(replay, generations)
    this.#accounts = replay.accounts
    this.#notes = replay.notes
    this.#latestStampMs = replay.latestStampMs
    for (const [id, container] of replay.containers) this.#ids.set(container, id)
    this.#nextId = replay.highestId + 1
    const { liveBytes, totalBytes } = this.#extents.loaded(extentsOfImage(this.#image()))
    this.#liveBytes = liveBytes
    this.#garbageBytes = totalBytes - liveBytes
    this.#generation = generations.journals.at(-1) ?? 1
    const path = journalPath(directory, this.#generation)
    this.#journal = new Journal(path, wholeBytes, { files: this.#files, fsync })
    removeBefore(directory, generations.snapshot ?? 1)
    syncDirectory(directory)
    this.#isLoading = false
  }

  get accounts(): ReadonlyMap<string, StorageAccount> {
    return this.#accounts
  }

  openAccount(settings: AccountSettings): StorageAccount {
    const known = this.#accounts.get(settings.name)
    if (known === undefined) {
      const account = this.#createAccount(settings)
      this.#accounts.set(settings.name, account)
      this.#append(['account', settings])
      return account
    }
    if (known.settings.hierarchical === settings.hierarchical) return known
    const kind = known.settings.hierarchical ? 'hierarchical' : 'flat'
    throw new FileSystemError('EINVAL', 'storage.open', {
      path: this.#directory,
      detail: `account '${settings.name}' is ${kind} in this directory and stays so: ask for a ${kind} one, or name another directory`,
    })
  }

  removeAccount(name: string): void {
    if (this.#accounts.delete(name)) this.#append(['removeAccount', name])
  }

  note(name: string): unknown {
    return this.#notes.get(name)
  }

  putNote(name: string, value: unknown): void {
    this.#notes.set(name, value)
    this.#append(['note', name, value])
  }

  settled(): Promise<void> | undefined {
    const settled = this.#journal.settled()
    if (this.#isWorthTidying()) this.#compactQuietly()
    return settled
  }

  compact(): Promise<void> {
    this.#compaction ??= this.#compact().finally(() => {
      this.#compaction = undefined
    })
    return this.#compaction
  }

  /** At the start, before anybody waits for an answer. */
  async tidyIfWorthIt(): Promise<void> {
    if (this.#isWorthTidying()) await this.compact()
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    try {
      await this.#compaction
    } catch {
      // It was published when it failed, and nothing is lost by it.
    }
    try {
      this.#journal.close()
    } finally {
      this.#extents.close()
      this.#unlock()
    }
  }

  #replay(replay: Replay, generations: Generations): number {
    const whole = readGenerations(this.#directory, generations, (payload) => replay.take(payload))
    if (generations.snapshot === undefined) return whole
    const path = snapshotPath(this.#directory, generations.snapshot)
    if (!replay.isComplete)
      throw damaged(path, 'its end is missing: put back a copy of the directory')
    this.#snapshotBytes = sizeOf(path)
    return whole
  }

  #createAccount(settings: AccountSettings): StorageAccount {
    return createAccount(settings, {
      extents: this.#extents,
      clock: this.#options.clock,
      onChange: (change) => {
        if (!this.#isLoading) this.#append(this.#entryOf(settings.name, change))
      },
      settled: () => this.settled(),
      stampsAfterMs: () => this.#latestStampMs,
    })
  }

  #entryOf(account: string, change: AccountChange): Entry {
    if (change.kind === 'settings') return ['account', change.settings]
    const { container } = change
    const id = this.#idOf(container)
    switch (change.kind) {
      case 'path':
        return this.#pathEntry(id, change.change)
      case 'putContainer':
        return ['container', account, id, encodeContainer(container.properties)]
      case 'removeContainer':
        return ['removeContainer', id]
      case 'retireContainer':
        return ['retireContainer', id, change.version]
      case 'restoreContainer':
        return ['restoreContainer', id, change.version, change.name]
    }
  }

  #pathEntry(id: number, change: Extract<AccountChange, { kind: 'path' }>['change']): Entry {
    if (change.kind === 'put') return ['put', id, encodeState(change.state, this.#extents)]
    if (change.kind === 'remove') return ['remove', id, change.name]
    return ['rename', id, change.from, change.to]
  }

  #append(entry: Entry): void {
    this.#journal.append(JSON.stringify(entry))
  }

  #idOf(container: Container): number {
    const known = this.#ids.get(container)
    if (known !== undefined) return known
    const id = this.#nextId++
    this.#ids.set(container, id)
    return id
  }

  #image(): Image {
    return takeImage({
      accounts: this.#accounts.values(),
      notes: this.#notes,
      idOf: (container) => this.#idOf(container),
    })
  }

  /** The more there is, the more must have gathered, so that tidying up stays a share of the work. */
  #isWorthTidying(): boolean {
    const least = this.#compactAfterBytes
    const garbageBytes = this.#garbageBytes + this.#extents.writtenBytes
    return (
      this.#journal.sizeBytes > Math.max(least, this.#snapshotBytes) ||
      garbageBytes > Math.max(least, this.#liveBytes)
    )
  }

  #compactQuietly(): void {
    if (this.#compaction !== undefined || this.#isClosed) return
    this.compact().catch((error: unknown) => {
      const fault = error instanceof Error ? error : new Error('not an error', { cause: error })
      faultChannel.publish({ operation: 'storage.compact', path: this.#directory, error: fault })
    })
  }

  async #compact(): Promise<void> {
    // One turn: the journal ends where the image begins, and no reference to a condemned file is
    // made between the count and the sentence.
    const generation = this.#generation + 1
    this.#journal.rotate(journalPath(this.#directory, generation))
    this.#generation = generation
    const image = this.#image()
    const { liveBytes } = this.#extents.countLive(extentsOfImage(image))
    this.#liveBytes = liveBytes
    this.#garbageBytes = 0
    const eviction = this.#extents.condemn()
    try {
      await nextTurn()
      await eviction.move()
      this.#extents.syncAll()
      const path = snapshotPath(this.#directory, generation)
      this.#snapshotBytes = await writeSnapshot(path, image, {
        places: this.#extents,
        files: this.#files,
      })
    } catch (error) {
      eviction.cancel()
      throw error
    }
    eviction.finish()
    removeBefore(this.#directory, generation)
  }
}
