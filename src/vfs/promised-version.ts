import { isFileSystemError } from '../errors.ts'
import type { CommitContext, NewVersion } from './file-commit.ts'
import type { KeptVersion } from './journal.ts'

/** What the journal holds of one file until it is stored, on a mount that writes back. */
export class PromisedVersion {
  readonly #journals: CommitContext['journals']
  #kept: KeptVersion | undefined
  /** Whether it outlives a crash of the machine, as somebody was told. */
  #isSynced = false

  constructor(context: CommitContext & { readonly writeBack?: boolean | undefined }) {
    this.#journals = context.writeBack === true ? context.journals : undefined
  }

  get exists(): boolean {
    return this.#kept !== undefined
  }

  /** Sees to it that the journal has the version, which is another than before when `isNew`; false where it cannot. */
  async secure(
    version: () => Promise<NewVersion>,
    { synced, isNew }: { readonly synced: boolean; readonly isNew: boolean },
  ): Promise<boolean> {
    if (this.exists && !isNew && (!synced || (await this.#sync()))) return true
    return this.#write(version, synced)
  }

  /**
   * Writes down a version instead of what was promised before; false where that cannot be done. With `synced` it is on the
   * disk then: so it is where the one before was, which nothing that may vanish shall replace.
   */
  async #write(version: () => Promise<NewVersion>, synced: boolean): Promise<boolean> {
    if (this.#journals === undefined) return false
    const { content, path, description, replaces } = await version()
    const promise = { reason: 'pending', path, description, replaces } as const
    const before = this.#kept
    try {
      const isSynced = synced || this.#isSynced
      this.#kept = await this.#journals.pending.keep(promise, content, { synced: isSynced })
      this.#isSynced = isSynced
    } catch (error) {
      if (!isFileSystemError(error, 'ENOSPC', 'EIO')) throw error
      return false
    }
    if (before !== undefined) await this.#journals.pending.remove(before)
    return true
  }

  /** Has what was written down on the disk; false where that cannot be done. */
  async #sync(): Promise<boolean> {
    if (this.#kept === undefined || this.#journals === undefined) return false
    try {
      await this.#journals.pending.sync(this.#kept)
    } catch (error) {
      if (!isFileSystemError(error, 'ENOSPC', 'EIO')) throw error
      return false
    }
    this.#isSynced = true
    return true
  }

  /** The version is stored, or nobody wants it any more. */
  async forget(): Promise<void> {
    const kept = this.#kept
    this.#kept = undefined
    this.#isSynced = false
    if (kept !== undefined) await this.#journals?.pending.remove(kept)
  }
}
