import type { FileSystemError } from '../errors.ts'
import type { Entry, PosixAttributes } from '../namespace/entry.ts'
import { formatPath } from '../path.ts'
import { millisecondsToNs } from './attributes.ts'
import { asFailure, publishFault, type Unsaved } from './fault.ts'
import type { Inode } from './inode-table.ts'
import type { Tree } from './tree.ts'
import { UnstoredDirectory } from './unstored-directory.ts'
import type { WritableFileContext } from './writable-file-options.ts'
import type { WriteBackTurns } from './write-back-turns.ts'

/** What mkdir(2) makes on a mount that writes back: the journal has it at once, the service when it is its turn. */
export class NewDirectories {
  readonly #tree: Tree
  readonly #context: WritableFileContext
  readonly #turns: WriteBackTurns
  readonly #storing = new Set<Promise<void>>()
  readonly #failed = new Map<UnstoredDirectory, { inode: Inode; error: FileSystemError }>()

  constructor(tree: Tree, context: WritableFileContext, turns: WriteBackTurns) {
    this.#tree = tree
    this.#context = context
    this.#turns = turns
  }

  /** Makes the directory `name`, which is free, without a request; `undefined` where that cannot be promised. */
  async make(parent: Inode, name: string, attributes: PosixAttributes): Promise<Entry | undefined> {
    if (this.#context.writeBack !== true || !this.#turns.areTaken) return undefined
    const { table } = this.#tree
    const former = parent.children.get(name)
    if (former !== undefined) table.detach(former)
    const inode = table.ensureChild(parent, name, 'directory')
    const mtimeNs = millisecondsToNs(this.#tree.clock.nowMs())
    const posix = this.#tree.kept({ ...attributes, mtimeNs })
    const directory = new UnstoredDirectory(this.#tree, inode, { context: this.#context, posix })
    inode.unstored = directory
    let isPromised = false
    try {
      isPromised = await directory.secure()
    } finally {
      if (!isPromised) inode.unstored = undefined
      if (!isPromised) table.detach(inode)
    }
    if (!isPromised) return undefined
    this.#storeLater(inode, directory)
    return directory.entry
  }

  /** Has the names in `directory`, and its own, outlive a crash of the machine, as far as directories go. */
  async sync(directory: Inode): Promise<void> {
    const names = [...directory.children.values()]
    for (let each: Inode | undefined = directory; each !== undefined; each = each.parent)
      names.unshift(each)
    for (const { unstored } of names) {
      const isSynced = await unstored?.secure({ synced: true, isNew: false })
      if (isSynced === false) await unstored?.store()
    }
  }

  /** What somebody has tried to store without success. */
  get unsaved(): readonly Unsaved[] {
    const place = this.#context.journals?.pending.directory
    const isPending = this.#turns.areTaken ? true : undefined
    return [...this.#failed]
      .filter(([directory, { inode }]) => inode.unstored === directory)
      .map(([, { inode, error }]) => {
        return { path: formatPath(this.#tree.pathOf(inode)), error, place, isPending }
      })
  }

  /** Resolves when all that were made are stored, or are left to the next mount. */
  async settle(): Promise<void> {
    await Promise.all(this.#storing)
  }

  #storeLater(inode: Inode, directory: UnstoredDirectory): void {
    const work = this.#turns
      .wait(directory)
      .then(() => this.#turns.retry(() => this.#attempt(inode, directory)))
      .finally(() => this.#storing.delete(work))
    this.#storing.add(work)
  }

  async #attempt(inode: Inode, directory: UnstoredDirectory): Promise<boolean> {
    try {
      await this.#turns.store(() => directory.store())
      this.#failed.delete(directory)
      return true
    } catch (cause) {
      const path = this.#tree.pathOf(inode)
      publishFault('mkdir', path, cause)
      this.#failed.set(directory, { inode, error: asFailure(cause, 'mkdir', path) })
      return !this.#turns.areTaken
    }
  }
}
