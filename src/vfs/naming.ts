import { isFileSystemError } from '../errors.ts'
import { entryFromBlob } from '../namespace/blob-entry.ts'
import { checkPath } from '../namespace/blob-name.ts'
import type { Entry } from '../namespace/entry.ts'
import { unlessMissing } from '../namespace/lookup.ts'
import type { MovedBlob } from '../namespace/namespace.ts'
import { withPosixAttributes } from '../namespace/posix-metadata.ts'
import { typeOf } from './attributes.ts'
import { forgetName } from './foreign-changes.ts'
import { type Inode, subtree } from './inode-table.ts'
import { hasUnborn } from './listed-names.ts'
import { MovedFiles } from './moved-files.ts'
import { type Mutex, runExclusively } from './mutex.ts'
import type { NewDirectories } from './new-directories.ts'
import type { CallContext, InodeEntry, NodeOptions, RenameTarget } from './operations.ts'
import type { PromisedRemovals } from './promised-removals.ts'
import { refuseOtherType } from './same-type.ts'
import type { Tree } from './tree.ts'
import { storeDirectories } from './unstored-directory.ts'
import type { WritableFile } from './writable-file.ts'

/** Making, moving and removing names. */
export class Naming {
  readonly #tree: Tree
  readonly #before: BeforeMoves
  readonly #newDirectories: NewDirectories
  readonly #removals: PromisedRemovals

  constructor(tree: Tree, promises: Promises, before: BeforeMoves) {
    this.#tree = tree
    this.#newDirectories = promises.newDirectories
    this.#removals = promises.removals
    this.#before = before
  }

  async makeDirectory(
    parent: Inode,
    name: string,
    options: { readonly mode: number; readonly context: CallContext },
  ): Promise<InodeEntry> {
    const path = await this.#free(parent, name, { syscall: 'mkdir', context: options.context })
    const inherited = this.#tree.passesGroupOn(parent) ? 0o2000 : 0
    const mode = (options.mode & 0o7777) | inherited
    const attributes = { mode, ...this.#tree.ownerIn(parent, options.context) }
    const promised = await this.#newDirectories.make(parent, name, attributes)
    if (promised !== undefined) return this.#born(parent, name, promised)
    await parent.unstored?.store()
    const posix = this.#tree.kept(attributes)
    const parents = parent === this.#tree.table.root
    try {
      const entry = await this.#tree.namespace.makeDirectory(path, { posix, parents })
      return this.#born(parent, name, entry)
    } catch (error) {
      if (isFileSystemError(error, 'EEXIST')) this.#isThere(parent, name)
      throw error
    }
  }

  /** Who is told so looks at it next: `mkdir -p`, where others made it, or an answer was lost. */
  #isThere(parent: Inode, name: string): void {
    const directory = this.#tree.pathOf(parent)
    this.#tree.namespace.invalidate(directory, { recursive: false })
    forgetName(this.#tree, directory, name)
  }

  async makeSymlink(
    parent: Inode,
    name: string,
    options: { readonly target: string; readonly context: CallContext },
  ): Promise<InodeEntry> {
    const path = await this.#free(parent, name, { syscall: 'symlink', context: options.context })
    this.#refuseSpecial('symlink', path)
    await parent.unstored?.store()
    const entry = await this.#tree.namespace.createSymlink(path, options.target, {
      posix: this.#tree.kept(this.#tree.ownerIn(parent, options.context)),
    })
    return this.#born(parent, name, entry)
  }

  /** A fifo, socket, device or empty file: an empty blob whose metadata says which. */
  async makeNode(
    parent: Inode,
    name: string,
    options: NodeOptions & { readonly context: CallContext },
  ): Promise<InodeEntry> {
    const path = await this.#free(parent, name, { syscall: 'mknod', context: options.context })
    const type = typeOf(options.mode)
    if (type === undefined || type === 'directory' || type === 'symlink') {
      throw this.#tree.failure('EINVAL', 'mknod', path)
    }
    if (type !== 'file') this.#refuseSpecial('mknod', path)
    const owner = this.#tree.ownerIn(parent, options.context)
    const posix = this.#tree.kept({ mode: options.mode & 0o7777, ...owner })
    const device: Record<string, string> =
      options.rdev === 0 ? {} : { posix_rdev: String(options.rdev) }
    const metadata = withPosixAttributes(device, type, posix)
    await parent.unstored?.store()
    const store = this.#tree.namespace.store
    const properties = await store.put(path, new Uint8Array(0), { metadata, ifNoneMatch: '*' })
    const entry = entryFromBlob(path.name, { ...properties, metadata })
    this.#tree.namespace.noteCommitted(path, entry)
    return this.#born(parent, name, entry)
  }

  async removeDirectory(parent: Inode, name: string): Promise<void> {
    this.#tree.checkWritable('rmdir', parent)
    const path = this.#tree.table.pathIn(parent, name)
    const inode = parent.children.get(name)
    if (inode?.writable !== undefined) throw this.#tree.failure('ENOTDIR', 'rmdir', path)
    if (inode !== undefined && hasUnborn(inode)) {
      throw this.#tree.failure('ENOTEMPTY', 'rmdir', path)
    }
    if ((await inode?.unstored?.discard()) !== true) {
      await this.#removals.storeBelow(path)
      await this.#tree.namespace.removeDirectory(path)
      if (inode !== undefined) this.#tree.table.detach(inode)
    }
    this.#tree.touchNames(parent)
  }

  /** Removes a file. One that was never committed costs no request, others may do so later; writers then commit nothing. */
  async removeFile(parent: Inode, name: string): Promise<void> {
    this.#tree.checkWritable('unlink', parent)
    const inode = parent.children.get(name)
    await this.#leavingName(inode, async () => {
      const files = writablesBelow(inode)
      await runExclusively(mutexesOf(files), async () => {
        await this.#removeStored(parent, name, inode)
        await this.#discard({ replaced: inode, held: new Set(files) })
        if (inode !== undefined) this.#tree.table.detach(inode)
      })
    })
    this.#tree.touchNames(parent)
  }

  async rename(
    parent: Inode,
    name: string,
    options: { readonly target: RenameTarget; readonly newParent: Inode; context: CallContext },
  ): Promise<void> {
    this.#tree.checkWritable('rename', parent)
    const move = { parent, name, ...options, newName: options.target.name }
    if (options.target.exchange) {
      throw this.#tree.failure('EINVAL', 'rename', this.#tree.table.pathIn(parent, name))
    }
    if (parent === move.newParent && name === move.newName) return
    await this.#tree.renames.run(async () => {
      try {
        await this.#rename(move)
      } finally {
        this.#tree.moving = undefined
      }
    })
  }

  async #rename(move: Move): Promise<void> {
    const { parent, name, newParent, newName, context } = move
    const { signal } = context
    const entry = await this.#tree.find(parent, name, { signal })
    const from = this.#tree.table.pathIn(parent, name)
    if (entry === undefined) throw this.#tree.failure('ENOENT', 'rename', from)
    const to = this.#tree.table.pathIn(newParent, newName)
    checkPath(to, 'rename')
    const present = await this.#tree.find(newParent, newName, { signal })
    if (present !== undefined) await this.#checkReplaceable(move, entry, present)
    const source = this.#tree.child(parent, name, entry)
    const replaced = newParent.children.get(newName)
    this.#tree.moving = source
    await this.#leavingName(replaced, async () => {
      for (const below of subtree(source)) await this.#before.giveUpLock(below)
      const files = [...writablesBelow(source), ...writablesBelow(replaced)]
      const what = { source, replaced, present, held: new Set(files) }
      await runExclusively(mutexesOf(files), () => this.#move(move, what))
    })
  }

  async #move(move: Move, what: Moved): Promise<void> {
    const { source, held } = what
    for (const file of writablesBelow(source)) {
      if (file.isSent) await holding(held, file, () => file.commitLocked())
    }
    const moved = new MovedFiles(this.#tree.pathOf(source), source)
    if (source.writable?.unborn === true) await this.#moveUnborn(source.writable, what)
    else await this.#moveStored(move, what, moved)
    const isUnborn = source.writable?.unborn === true
    if (!isUnborn) await this.#discard(what)
    this.#tree.table.move(source, move.newParent, move.newName)
    this.#tree.touchNames(move.parent)
    this.#tree.touchNames(move.newParent)
    this.#tree.touch(source)
    if (isUnborn) await this.#promiseMoved(what)
    else await this.#follow(what, moved)
  }

  /** The journal loses what was promised for the name only when it has what takes its place. */
  async #promiseMoved(what: Moved): Promise<void> {
    try {
      await what.source.writable?.renamedLocked()
    } finally {
      await this.#discard(what)
    }
  }

  async #discard({ replaced, held }: Pick<Moved, 'replaced' | 'held'>): Promise<void> {
    const writable = replaced?.writable
    await holding(held, writable, async () => writable?.discardLocked())
  }

  /** Only the name changes; the commit to come replaces what lies under the new one. */
  async #moveUnborn(writable: WritableFile, what: Moved): Promise<void> {
    const former = writable.replaces
    const target = what.replaced?.writable
    await writable.retargetLocked(target === undefined ? what.present?.etag : target.replaces)
    if (former === undefined) return
    const path = this.#tree.pathOf(what.source)
    await this.#tree.namespace.removeFile(path, { ifMatch: former })
  }

  async #moveStored(move: Move, what: Moved, moved: MovedFiles): Promise<void> {
    const { table, namespace } = this.#tree
    for (const each of [what.source, what.replaced]) if (each) await storeDirectories(each)
    await move.newParent.unstored?.store()
    for (const file of writablesBelow(what.source)) {
      if (!file.unborn) await holding(what.held, file, () => file.commitLocked())
    }
    const from = table.pathIn(move.parent, move.name)
    const to = table.pathIn(move.newParent, move.newName)
    for (const path of [from, to]) await this.#removals.storeBelow(path)
    const options = { noReplace: move.target.noReplace, onMoved: moved.note }
    const copied = await namespace.rename(from, to, options)
    if (copied !== undefined) moved.noteFile(copied)
  }

  /** Everything open below a name that moved goes on with the versions at the new one. */
  async #follow({ source, held }: Moved, moved: MovedFiles): Promise<void> {
    for (const inode of [...subtree(source)]) {
      const { writable } = inode
      await inode.unstored?.secure()
      await holding(held, writable, () => this.#followOne(inode, moved.of(inode)))
    }
  }

  async #followOne(inode: Inode, moved: MovedBlob | undefined): Promise<void> {
    const { writable } = inode
    if (writable?.unborn === true) await this.#retarget(inode, writable)
    else if (writable !== undefined || inode.readers.size > 0) await this.#goOn(inode, moved)
    else if (inode.type !== 'directory') this.#leave(inode, moved)
  }

  /** Who has `inode` open goes on with what lies at its new name, unless that was made of another version than theirs. */
  async #goOn(inode: Inode, moved: MovedBlob | undefined): Promise<void> {
    const { writable: file } = inode
    const after = await unlessMissing(this.#tree.stat(this.#tree.pathOf(inode), {}))
    if (after === undefined) return
    // A hierarchical account copies nothing: the version there is the one that was here.
    const { sourceEtag, targetEtag } = moved ?? { sourceEtag: after.etag, targetEtag: after.etag }
    const isWhole = after.etag === targetEtag
    const source = { type: inode.type, etag: sourceEtag }
    if (this.#tree.setApartFrom(inode, isWhole ? source : after)) return
    const isTheirs = isWhole && (file === undefined || file.stored?.etag === sourceEtag)
    const stored = isTheirs ? after : file?.stored
    if (stored !== undefined) await file?.followLocked(stored)
    if (!isTheirs) return
    if (moved !== undefined) this.#tree.copied(inode, moved)
    this.#tree.replaced(inode, source, after)
  }

  /** What nobody has open is another version at its new name, and nobody was told of each. */
  #leave(inode: Inode, moved: MovedBlob | undefined): void {
    if (moved !== undefined) {
      const source = { type: inode.type, etag: moved.sourceEtag }
      if (this.#tree.setApartFrom(inode, source)) return
      this.#tree.copied(inode, moved)
    }
    inode.entry = undefined
  }

  /** What an unborn file is to replace moved along with it, and has another etag. */
  async #retarget(inode: Inode, file: WritableFile): Promise<void> {
    const stored =
      file.replaces === undefined
        ? undefined
        : await this.#tree.namespace.stat(this.#tree.pathOf(inode))
    await file.retargetLocked(stored?.etag)
    await file.renamedLocked()
  }

  /** Runs `work`, which takes the name of `inode`; storing the file does not hold it up. */
  async #leavingName(inode: Inode | undefined, work: () => Promise<void>): Promise<void> {
    if (inode === undefined) return work()
    const leave = async () => {
      await this.#before.giveUpLock(inode)
      await work()
    }
    const keepAndLeave = () => this.#before.keepingContent(inode, leave)
    await (inode.writable === undefined
      ? keepAndLeave()
      : inode.writable.mutex.removing(keepAndLeave))
  }

  async #checkReplaceable(move: Move, entry: Entry, present: Entry): Promise<void> {
    const { table } = this.#tree
    const to = table.pathIn(move.newParent, move.newName)
    if (move.target.noReplace) throw this.#tree.failure('EEXIST', 'rename', to)
    const replaced = move.newParent.children.get(move.newName)
    if (present.type === 'directory') {
      if (entry.type !== 'directory') throw this.#tree.failure('EISDIR', 'rename', to)
      if (replaced !== undefined && hasUnborn(replaced)) {
        throw this.#tree.failure('ENOTEMPTY', 'rename', to)
      }
      return
    }
    if (entry.type === 'directory') throw this.#tree.failure('ENOTDIR', 'rename', to)
    const demand = { syscall: 'rename', type: entry.blobType, signal: move.context.signal } as const
    await refuseOtherType(this.#tree.namespace, to, present, demand)
  }

  async #removeStored(parent: Inode, name: string, inode: Inode | undefined): Promise<void> {
    const writable = inode?.writable
    if (writable?.unborn === true && writable.replaces === undefined) return
    const path = this.#tree.table.pathIn(parent, name)
    try {
      const deletes = await this.#removals.of(inode, path)
      await this.#tree.namespace.removeFile(path, { deletes })
    } catch (error) {
      // The file that this mount shows is one that somebody else removed already.
      if (writable === undefined || !isFileSystemError(error, 'ENOENT')) throw error
    }
  }

  /** The path of a name that may be made: the mount is writable, the name is valid and free here. */
  async #free(
    parent: Inode,
    name: string,
    call: { readonly syscall: string; readonly context: CallContext },
  ): Promise<ReturnType<Tree['pathOf']>> {
    this.#tree.checkWritable(call.syscall, parent)
    const path = this.#tree.table.pathIn(parent, name)
    checkPath(path, call.syscall)
    const present = await this.#tree.find(parent, name, call.context)
    if (present !== undefined) throw this.#tree.failure('EEXIST', call.syscall, path)
    return path
  }

  /** `EPERM`, as symlink(2) and mknod(2) have it where a file system knows no such files. */
  #refuseSpecial(syscall: 'symlink' | 'mknod', path: ReturnType<Tree['pathOf']>): void {
    if (this.#tree.posixAttrs === 'off') throw this.#tree.failure('EPERM', syscall, path)
  }

  #born(parent: Inode, name: string, entry: Entry): InodeEntry {
    this.#tree.touchNames(parent)
    return this.#tree.answer(this.#tree.child(parent, name, entry), entry)
  }
}

/** What the journal has on a mount that writes back. */
export interface Promises {
  readonly newDirectories: NewDirectories
  readonly removals: PromisedRemovals
}

/** What is done for files that are about to have another name, or none. */
export interface BeforeMoves {
  /** Runs `work` with what those who have a file open would miss when it is gone. */
  readonly keepingContent: (inode: Inode, work: () => Promise<void>) => Promise<void>
  /** Ends a lease, which would keep the blob from being moved. */
  readonly giveUpLock: (inode: Inode) => Promise<void>
}

interface Move {
  readonly parent: Inode
  readonly name: string
  readonly newParent: Inode
  readonly newName: string
  readonly target: RenameTarget
  readonly context: CallContext
}

interface Moved {
  readonly source: Inode
  readonly replaced: Inode | undefined
  /** What lay under the new name. */
  readonly present: Entry | undefined
  /** Those whose mutexes the rename has. */
  readonly held: ReadonlySet<WritableFile>
}

/** Runs `work` with the mutex of `file`, which the rename does not have of one that was opened meanwhile. */
async function holding(
  held: ReadonlySet<WritableFile>,
  file: WritableFile | undefined,
  work: () => Promise<void>,
): Promise<void> {
  await (file === undefined || held.has(file) ? work() : file.mutex.run(work))
}

function writablesBelow(inode: Inode | undefined): WritableFile[] {
  if (inode === undefined) return []
  return [...subtree(inode)].flatMap((below) => below.writable ?? [])
}

/** The mutexes of `files`, each once. */
function mutexesOf(files: readonly (WritableFile | undefined)[]): Mutex[] {
  return [...new Set(files.flatMap((file) => file?.mutex ?? []))]
}
