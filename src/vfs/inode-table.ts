import { FileSystemError } from '../errors.ts'
import type { Entry, EntryType } from '../namespace/entry.ts'
import type { BlobPath } from '../path.ts'
import type { InodeLock } from './lease-locks.ts'
import { type Ino, rootIno, toIno } from './operations.ts'
import type { PinnedReader } from './pinned-reader.ts'
import type { UnstoredDirectory } from './unstored-directory.ts'
import type { WritableFile } from './writable-file.ts'

/** Which names a directory had: those after so many changes here, in the listing that is believed until then. */
export interface NamesMoment {
  readonly changes: number
  readonly untilMs: number
}

/** One file or directory that the kernel, an open handle or a child still names. */
export class Inode {
  readonly ino: Ino
  readonly type: EntryType
  readonly children: Map<string, Inode> = new Map()
  /** `undefined` for the root, and once the inode lost its name. */
  parent: Inode | undefined
  name: string
  lookups = 0
  /** Of a directory: how many names in it were asked for. */
  asked = 0
  /** Of a directory: how many names it has lost. */
  removals = 0
  /** Of a directory: until when the listing was believed whose names the kernel may keep. */
  shownUntilMs: number | undefined
  /** Of a directory: until when the listing is believed whose names were told to the session. */
  namesToldUntilMs: number | undefined
  /** Of a directory: how often names in it came or went. */
  nameChanges = 0
  /** Of a directory: of what its names were, for each open reader of whom the kernel keeps them. */
  keptNames: Set<NamesMoment> | undefined
  /** Open files and directories. */
  handles = 0
  /** When this mount last changed it; nanoseconds. The service knows whole seconds only. */
  changedNs: bigint | undefined
  /** Of a directory: when this mount last made or removed a name in it; nanoseconds. */
  namesChangedNs: bigint | undefined
  /** What the namespace last said of it. */
  entry: Entry | undefined
  /** The version that an earlier process told the kernel of, until `entry` says it. */
  toldEtag: string | undefined
  /** Those who read a version of it. */
  readonly readers: Set<PinnedReader> = new Set()
  /** The version whose pages the kernel may hold. */
  cachedEtag: string | undefined
  /** Until the kernel has heard that its size may be another. */
  settling: Promise<void> | undefined
  /** The longer version that its only reader has begun with, until the kernel asks for the size on its behalf. */
  growth: Entry | undefined
  /** Of a directory: while the journal has it and the service has not. */
  unstored: UnstoredDirectory | undefined
  /** While it is open for writing, or holds what no commit has taken yet. */
  writable: WritableFile | undefined
  /** Where locks reach other machines, and somebody has locked it. */
  lock: InodeLock | undefined
  /** The name is gone (unlinked, replaced), the file only lives on in open handles. */
  unlinked = false
  /** So it is because its name stands for a version that others have stored since it was read from. */
  isApart = false

  constructor(ino: Ino, type: EntryType, place: { parent: Inode | undefined; name: string }) {
    this.ino = ino
    this.type = type
    this.parent = place.parent
    this.name = place.name
  }

  /** A name in it came or went: whoever opened it earlier may have the kernel keep the former names. */
  changeNames(): void {
    this.nameChanges++
    this.shownUntilMs = undefined
  }
}

/** Which inode number stands for which path, for as long as anybody uses the number. */
export class InodeTable {
  readonly root: Inode = new Inode(rootIno, 'directory', { parent: undefined, name: '' })
  readonly #rootPath: BlobPath
  readonly #inodes = new Map<Ino, Inode>([[rootIno, this.root]])
  /** Hears of inodes that lose their name. */
  onUnlinked: (inode: Inode) => void = () => {}
  /** Hears of inodes that are new, are called otherwise, are looked up or forgotten, or are gone. */
  onChanged: ((inode: Inode) => void) | undefined
  #lastIno = rootIno as number

  /** `rootPath` is what the root stands for; no slash at its end. */
  constructor(rootPath: BlobPath) {
    this.#rootPath = rootPath
  }

  /** The highest number that was given so far. */
  get lastIno(): number {
    return this.#lastIno
  }

  /** All that are known but the root. */
  *all(): Generator<Inode, void, undefined> {
    for (const inode of this.#inodes.values()) if (inode !== this.root) yield inode
  }

  /** Takes over an inode of an earlier process, whose parent is known. */
  adopt(inode: Inode): void {
    this.#inodes.set(inode.ino, inode)
    if (!inode.unlinked) inode.parent?.children.set(inode.name, inode)
    this.#lastIno = Math.max(this.#lastIno, inode.ino)
  }

  /** No number up to `lastIno` is given any more. */
  startAfter(lastIno: number): void {
    this.#lastIno = Math.max(this.#lastIno, lastIno)
  }

  /** Counts a lookup. */
  looked(inode: Inode): void {
    inode.lookups++
    this.onChanged?.(inode)
  }

  /** How many inodes are known, the root included. */
  get size(): number {
    return this.#inodes.size
  }

  /** `ESTALE` when nobody was told of `ino`, or it was forgotten. */
  get(ino: Ino): Inode {
    const inode = this.find(ino)
    if (inode !== undefined) return inode
    throw new FileSystemError('ESTALE', 'getattr', { detail: `inode ${ino} is not known` })
  }

  /** The inode, if it is known. */
  find(ino: Ino): Inode | undefined {
    return this.#inodes.get(ino)
  }

  /** The child `name`, made when it is missing; one of another type loses the name. */
  ensureChild(parent: Inode, name: string, type: EntryType): Inode {
    const present = parent.children.get(name)
    if (present?.type === type) return present
    if (present !== undefined) this.detach(present)
    const inode = new Inode(toIno(++this.#lastIno), type, { parent, name })
    parent.children.set(name, inode)
    this.#inodes.set(inode.ino, inode)
    this.onChanged?.(inode)
    return inode
  }

  pathOf(inode: Inode): BlobPath {
    const { container, name: rootName } = this.#rootPath
    if (inode.parent === undefined) return { container, name: rootName }
    let { name } = inode
    for (let at = inode.parent; at.parent !== undefined; at = at.parent) name = `${at.name}/${name}`
    return { container, name: rootName === '' ? name : `${rootName}/${name}` }
  }

  /** The path that `name` in `parent` has or would have. */
  pathIn(parent: Inode, name: string): BlobPath {
    const { container, name: directory } = this.pathOf(parent)
    return { container, name: directory === '' ? name : `${directory}/${name}` }
  }

  /** Takes `count` lookups back. */
  forget(ino: Ino, count: number): void {
    const inode = this.#inodes.get(ino)
    if (inode === undefined) return
    inode.lookups = Math.max(0, inode.lookups - count)
    this.onChanged?.(inode)
    this.prune(inode)
  }

  /** Drops `inode` and the parents that only it kept, unless somebody uses them. */
  prune(inode: Inode): void {
    for (let at: Inode | undefined = inode; at !== undefined && at !== this.root; ) {
      if (at.lookups > 0 || at.handles > 0 || at.children.size > 0) return
      if (at.writable !== undefined || at.unstored !== undefined) return
      const parent: Inode | undefined = at.parent
      this.#inodes.delete(at.ino)
      this.onChanged?.(at)
      if (parent?.children.get(at.name) === at) parent.children.delete(at.name)
      at = parent
    }
  }

  /** Takes the name away. The inode lives on while it is used; its path is no longer anything's. */
  detach(inode: Inode): void {
    const parent = inode.parent
    if (parent?.children.get(inode.name) === inode) parent.children.delete(inode.name)
    if (parent !== undefined) {
      parent.removals++
      // Also a file that could not be stored goes, of which the kernel does not hear.
      parent.changeNames()
    }
    inode.unlinked = true
    this.onChanged?.(inode)
    this.onUnlinked(inode)
    this.prune(inode)
  }

  /** Gives `inode`, and with it all below, the name `name` in `parent`; what had it loses it. */
  move(inode: Inode, parent: Inode, name: string): void {
    const replaced = parent.children.get(name)
    if (replaced !== undefined && replaced !== inode) this.detach(replaced)
    const former = inode.parent
    if (former !== undefined) former.removals++
    former?.children.delete(inode.name)
    inode.parent = parent
    inode.name = name
    parent.children.set(name, inode)
    this.onChanged?.(inode)
    if (former !== undefined) this.prune(former)
  }
}

/** `inode` and everything known below it. */
export function* subtree(inode: Inode): Generator<Inode, void, undefined> {
  yield inode
  for (const child of inode.children.values()) yield* subtree(child)
}
