import { closeSync, fdatasyncSync, ftruncateSync, openSync } from 'node:fs'
import { writeFailed } from './disk-error.ts'
import { type FileCalls, writeAllSync } from './file-calls.ts'
import { frameOf } from './frames.ts'
import { GroupSync } from './group-sync.ts'

// Entries of one turn of the event loop, and so of one step of a verb, make one frame: all of them
// are there after a kill, or none. A frame that could not be written stays and is written first
// when there is room again; its place in the file does not change, so that nothing half-written
// stands before it.

/** How a journal is written. */
export interface JournalOptions {
  readonly files: FileCalls
  /** Entries are on the disk itself before `settled` resolves. */
  readonly fsync: boolean
}

// A turn that changes more than this is more than one frame; a string has an end.
const maxFrameCharacters = 64 * 1024 * 1024

/** A file to which entries, JSON texts, are appended. */
export class Journal {
  readonly #options: JournalOptions
  #fd: number
  #sync: GroupSync
  #sizeBytes: number
  #pending: string[] = []
  #pendingCharacters = 0
  #isDirty = false
  /** The latest, which stands for those before it; `undefined` once it succeeded. */
  #syncing: Promise<void> | undefined

  /** Opens or makes the file; what lies after `sizeBytes` is cut off. */
  constructor(path: string, sizeBytes: number, options: JournalOptions) {
    this.#options = options
    this.#fd = openJournal(path, sizeBytes)
    this.#sync = new GroupSync(this.#fd)
    this.#sizeBytes = sizeBytes
  }

  /** Of the current file. */
  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** Adds an entry; it is written at the end of this turn, or when `settled` is called. */
  append(entry: string): void {
    if (this.#pending.length === 0) queueMicrotask(() => this.#writeQuietly())
    this.#pending.push(entry)
    this.#pendingCharacters += entry.length
    if (this.#pendingCharacters > maxFrameCharacters) this.#writeQuietly()
  }

  /**
   * Writes what is pending. Resolves when it will outlive the process, or with `fsync` the machine;
   * `undefined` when there is nothing to wait for. Rejects with `StorageError` 507 while the disk is
   * full.
   */
  settled(): Promise<void> | undefined {
    try {
      this.flush()
    } catch (error) {
      return Promise.reject(writeFailed(error))
    }
    if (this.#options.fsync && this.#isDirty) this.#syncing = this.#toDisk()
    return this.#syncing
  }

  /** Writes what is pending, or throws the operating system's error. */
  flush(): void {
    if (this.#pending.length === 0) return
    const data = frameOf(`[${this.#pending.join(',')}]`)
    writeAllSync(this.#options.files, this.#fd, { data, position: this.#sizeBytes })
    this.#sizeBytes += data.byteLength
    this.#pending = []
    this.#pendingCharacters = 0
    this.#isDirty = true
  }

  /** Goes on in another file; what is pending still goes to this one. */
  rotate(path: string): void {
    this.flush()
    const former = this.#fd
    if (this.#options.fsync) fdatasyncSync(former)
    this.#fd = openJournal(path, 0)
    // One may be under way.
    void this.#sync.sync().then(
      () => closeSync(former),
      () => closeSync(former),
    )
    this.#sync = new GroupSync(this.#fd)
    this.#sizeBytes = 0
  }

  /** Writes what is pending and closes the file. */
  close(): void {
    try {
      this.flush()
    } finally {
      closeSync(this.#fd)
    }
  }

  /** What is not written stays pending, and the next request that changes something is told. */
  #writeQuietly(): void {
    try {
      this.flush()
    } catch {
      // `settled` writes it again and rejects: the caller whose change this is asks it.
    }
  }

  async #toDisk(): Promise<void> {
    this.#isDirty = false
    const sync = this.#sync.sync()
    try {
      await sync
    } catch (error) {
      this.#isDirty = true
      throw error
    }
  }
}

function openJournal(path: string, sizeBytes: number): number {
  closeSync(openSync(path, 'a', 0o600))
  const fd = openSync(path, 'r+')
  ftruncateSync(fd, sizeBytes)
  return fd
}
