import { impliedDirectory } from '../namespace/blob-entry.ts'
import type { Entry, PosixAttributes } from '../namespace/entry.ts'
import { withPosixAttributes } from '../namespace/posix-metadata.ts'
import { withoutStored } from './attributes.ts'
import { commitDirectory } from './directory-commit.ts'
import type { CommitContext } from './file-commit.ts'
import { type Inode, subtree } from './inode-table.ts'
import { hasUnborn } from './listed-names.ts'
import { Mutex } from './mutex.ts'
import { PromisedVersion } from './promised-version.ts'
import type { Tree } from './tree.ts'

interface Securing {
  readonly synced: boolean
  /** Whether it differs from what was written down before. */
  readonly isNew: boolean
}

/**
 * A directory that the journal has, until the service has it too. To this mount it is what its inode knows: nothing that is
 * not made here is in it, so who looks at it asks nobody.
 */
export class UnstoredDirectory {
  readonly #tree: Tree
  readonly #inode: Inode
  readonly #promised: PromisedVersion
  readonly #mutex = new Mutex()
  readonly #madeMs: number
  #posix: PosixAttributes
  #storing: Promise<void> | undefined

  constructor(
    tree: Tree,
    inode: Inode,
    options: { readonly context: CommitContext; readonly posix: PosixAttributes },
  ) {
    this.#tree = tree
    this.#inode = inode
    this.#promised = new PromisedVersion({ ...options.context, writeBack: true })
    this.#posix = options.posix
    this.#madeMs = tree.clock.nowMs()
  }

  get entry(): Entry {
    const { name } = this.#tree.pathOf(this.#inode)
    return { ...impliedDirectory(name, this.#madeMs), posix: this.#posix }
  }

  /** Whether it is neither stored nor removed yet. */
  get #isLeft(): boolean {
    return this.#inode.unstored === this
  }

  /** Has it written down as it is, and on the disk where `synced`; false where the journal takes nothing. */
  secure({ synced = false, isNew = true }: Partial<Securing> = {}): Promise<boolean> {
    return this.#mutex.run(async () => !this.#isLeft || (await this.#secure({ synced, isNew })))
  }

  #secure(how: Securing): Promise<boolean> {
    const version = {
      path: this.#tree.pathOf(this.#inode),
      metadata: withPosixAttributes({}, 'directory', this.#posix),
    }
    return this.#promised.secure(
      (journal, { synced }) => journal.keepDirectory(version, { synced }),
      how,
    )
  }

  /** Changes attributes, where that is no request; whether it was none. */
  amend(changes: PosixAttributes): Promise<boolean> {
    return this.#mutex.run(async () => {
      if (!this.#isLeft) return false
      const before = this.#posix
      this.#posix = { ...before, ...withoutStored(changes, {}) }
      if (await this.#secure({ synced: false, isNew: true })) return true
      this.#posix = before
      return false
    })
  }

  /** Resolves when it is stored, and those above it; at once where it has gone. */
  store(): Promise<void> {
    this.#storing ??= this.#mutex
      .run(() => this.#store())
      .finally(() => {
        this.#storing = undefined
      })
    return this.#storing
  }

  async #store(): Promise<void> {
    if (!this.#isLeft) return
    await this.#inode.parent?.unstored?.store()
    const { namespace } = this.#tree
    const stored = await commitDirectory(namespace, this.#tree.pathOf(this.#inode), this.#posix)
    const before = this.entry
    this.#inode.unstored = undefined
    this.#tree.replaced(this.#inode, before, stored)
    await this.#promised.forget()
    this.#tree.table.prune(this.#inode)
  }

  /** Takes it away, where it is empty and was never stored; whether it was so. */
  discard(): Promise<boolean> {
    return this.#mutex.run(async () => {
      if (!this.#isLeft || hasUnborn(this.#inode)) return false
      this.#inode.unstored = undefined
      this.#tree.table.detach(this.#inode)
      await this.#promised.forget()
      return true
    })
  }
}

/** Stores `inode` and all below it that only the journal has, if they are directories. */
export async function storeDirectories(inode: Inode): Promise<void> {
  await Promise.all([...subtree(inode)].map((each) => each.unstored?.store()))
}
