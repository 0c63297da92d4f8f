import { isFileSystemError } from '../errors.ts'
import type { CommitContext, NewVersion } from './file-commit.ts'
import type { KeptVersion } from './journal.ts'

/** What the journal holds of one file until it is stored, on a mount that writes back. */
export class PromisedVersion {
  readonly #journals: CommitContext['journals']
  #kept: KeptVersion | undefined

  constructor(context: CommitContext & { readonly writeBack?: boolean | undefined }) {
    this.#journals = context.writeBack === true ? context.journals : undefined
  }

  get exists(): boolean {
    return this.#kept !== undefined
  }

  /** Writes down a version instead of what was promised before; false where that cannot be done. */
  async write(version: () => Promise<NewVersion>): Promise<boolean> {
    if (this.#journals === undefined) return false
    const { content, path, description, replaces } = await version()
    const promise = { reason: 'pending', path, description, replaces } as const
    const before = this.#kept
    try {
      this.#kept = await this.#journals.pending.keep(promise, content)
    } catch (error) {
      if (!isFileSystemError(error, 'ENOSPC', 'EIO')) throw error
      return false
    }
    if (before !== undefined) await this.#journals.pending.remove(before)
    return true
  }

  /** The version is stored, or nobody wants it any more. */
  async forget(): Promise<void> {
    const kept = this.#kept
    this.#kept = undefined
    if (kept !== undefined) await this.#journals?.pending.remove(kept)
  }
}
