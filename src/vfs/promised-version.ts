import { isFileSystemError } from '../errors.ts'
import { withPosixAttributes } from '../namespace/posix-metadata.ts'
import type { CommitContext, NewVersion } from './file-commit.ts'
import type { Journal, KeepOptions } from './journal.ts'
import type { KeptVersion } from './journal-record.ts'

/** Writes a version down. */
export type Keep = (journal: Journal, how: Pick<KeepOptions, 'synced'>) => Promise<KeptVersion>

/** Writes the version of a file down that `version` makes. */
export function keepFile(version: () => Promise<NewVersion>): Keep {
  return async (journal, how) => {
    const { content, path, description, replaces, setOnMade: set } = await version()
    const setOnMade = set && withPosixAttributes({}, 'file', set)
    return journal.keep({ reason: 'pending', path, description, replaces, setOnMade }, content, how)
  }
}

/** What the journal holds of one file or directory until it is stored, on a mount that writes back. */
export class PromisedVersion {
  readonly #journal: Journal | undefined
  #kept: KeptVersion | undefined
  /** Whether it outlives a crash of the machine, as somebody was told. */
  #isSynced = false

  constructor({ journals, writeBack }: Pick<CommitContext, 'journals'> & WriteBack) {
    this.#journal = writeBack === true ? journals?.pending : undefined
  }

  /** Whether anything can be promised at all. */
  get isOffered(): boolean {
    return this.#journal !== undefined
  }

  get exists(): boolean {
    return this.#kept !== undefined
  }

  /** Sees to it that the journal has the version, which is another than before when `isNew`; false where it cannot. */
  async secure(
    keep: Keep,
    { synced, isNew }: { readonly synced: boolean; readonly isNew: boolean },
  ): Promise<boolean> {
    if (this.exists && !isNew && (!synced || (await this.#sync()))) return true
    return this.#write(keep, synced)
  }

  /**
   * Writes down a version instead of what was promised before; false where that cannot be done. With `synced` it is on the
   * disk then: so it is where the one before was, which nothing that may vanish shall replace.
   */
  async #write(keep: Keep, synced: boolean): Promise<boolean> {
    if (this.#journal === undefined) return false
    const before = this.#kept
    const isSynced = synced || this.#isSynced
    const kept = await unlessRefused(keep(this.#journal, { synced: isSynced }))
    if (kept === undefined) return false
    this.#kept = kept
    this.#isSynced = isSynced
    if (before !== undefined) await this.#journal.remove(before)
    return true
  }

  /** Has what was written down on the disk; false where that cannot be done. */
  async #sync(): Promise<boolean> {
    if (this.#kept === undefined || this.#journal === undefined) return false
    const isSynced = await unlessRefused(this.#journal.sync(this.#kept).then(() => true))
    if (isSynced === undefined) return false
    this.#isSynced = true
    return true
  }

  /** The version is stored, or nobody wants it any more. */
  async forget(): Promise<void> {
    const kept = this.#kept
    this.#kept = undefined
    this.#isSynced = false
    if (kept !== undefined) await this.#journal?.remove(kept)
  }
}

interface WriteBack {
  readonly writeBack?: boolean | undefined
}

/** `undefined` where the disk takes nothing. */
export async function unlessRefused<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (!isFileSystemError(error, 'ENOSPC', 'EIO')) throw error
    return undefined
  }
}
