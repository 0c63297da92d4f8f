import { constants } from 'node:fs'
import type { Entry } from '../namespace/entry.ts'
import { typeBitsOf } from './attributes.ts'
import type { Inode, NamesMoment } from './inode-table.ts'
import type { DirectoryEntry, InodeEntry, OpenedDirectory } from './operations.ts'
import type { Tree } from './tree.ts'

/**
 * An open directory: the names as they were when it was opened or rewound. An entry's offset is
 * its place in that snapshot, so reading goes on in the right place whatever happens meanwhile.
 */
export class DirectoryHandle {
  readonly kind = 'directory' as const
  readonly inode: Inode
  readonly #tree: Tree
  /** What a name has none of has gone since. */
  #snapshot: readonly (readonly [string, Entry | undefined])[]
  /** Whether the snapshot is that of an earlier process, which has left the names alone. */
  #isAdopted = false
  #started = false
  /** How many names the directory had lost by the time of the snapshot. */
  #removals: number
  /** How many names in it had been asked for one by one. */
  #asked: number
  /** Inodes whose numbers were shown: kept until the directory is closed. */
  readonly #shown = new Set<Inode>()
  #believedMs = 0
  #kept: NamesMoment | undefined

  constructor(tree: Tree, inode: Inode, entries: ReadonlyMap<string, Entry>) {
    this.#tree = tree
    this.inode = inode
    this.#snapshot = [...entries]
    this.#removals = inode.removals
    this.#asked = inode.asked
  }

  /** What the kernel, which is about to read the names, may keep of them: those of `moment`. */
  keepNames(moment: NamesMoment | undefined): Pick<OpenedDirectory, 'cacheNames' | 'keepCache'> {
    const { inode } = this
    const keepCache = moment !== undefined && moment.untilMs === inode.shownUntilMs
    inode.shownUntilMs = moment?.untilMs
    this.#kept = moment
    if (moment !== undefined) inode.keptNames = (inode.keptNames ?? new Set()).add(moment)
    return { cacheNames: moment !== undefined, keepCache }
  }

  /** One that an earlier process has opened, with the names that it had. */
  static adopted(tree: Tree, inode: Inode, names: readonly string[]): DirectoryHandle {
    const handle = new DirectoryHandle(tree, inode, new Map())
    handle.#snapshot = names.map((name) => [name, undefined])
    handle.#isAdopted = true
    handle.#started = true
    for (const name of names) handle.#hold(inode.children.get(name))
    return handle
  }

  /** The names of the snapshot, in its order. */
  get names(): readonly string[] {
    return this.#snapshot.map(([name]) => name)
  }

  /** Whether `complete` has to be called before reading. */
  get isAdopted(): boolean {
    return this.#isAdopted
  }

  /** Finds what the names of an adopted snapshot stand for. */
  complete(entries: ReadonlyMap<string, Entry>): void {
    this.#isAdopted = false
    this.#snapshot = this.#snapshot.map(([name]) => [name, entries.get(name)])
  }

  /** Whether reading from `offset` begins anew and wants a new snapshot. */
  rewinds(offset: number): boolean {
    const rewound = offset === 0 && this.#started
    this.#started = true
    return rewound
  }

  refresh(entries: ReadonlyMap<string, Entry>): void {
    this.#snapshot = [...entries]
    this.#isAdopted = false
    this.#removals = this.inode.removals
    this.#asked = this.inode.asked
  }

  /** The entries from `offset` on, made as they are taken. */
  *read(offset: number): Generator<DirectoryEntry, void, undefined> {
    this.#believedMs = this.#tree.believedMs(this.inode)
    if (offset <= 0) yield this.#special('.', this.inode, 1)
    if (offset <= 1) yield this.#special('..', this.inode.parent ?? this.inode, 2)
    for (let at = Math.max(offset, 2) - 2; at < this.#snapshot.length; at++) {
      const item = this.#snapshot[at]
      const [name, entry] = item ?? []
      if (name !== undefined && entry !== undefined) yield this.#entry(name, entry, at + 3)
    }
  }

  close(): void {
    if (this.#kept !== undefined) this.inode.keptNames?.delete(this.#kept)
    for (const inode of this.#shown) {
      inode.handles--
      this.#tree.table.prune(inode)
    }
    this.#shown.clear()
  }

  #special(name: string, inode: Inode, nextOffset: number): DirectoryEntry {
    return { name, ino: inode.ino, mode: constants.S_IFDIR, nextOffset }
  }

  #entry(name: string, entry: Entry, nextOffset: number): DirectoryEntry {
    const inode = this.#show(name, entry)
    return {
      name,
      ino: inode.ino,
      mode: typeBitsOf(entry.type),
      nextOffset,
      // Once a name is gone, the rest of the snapshot may only be looked up one by one.
      lookup: this.#tells(nextOffset) ? () => this.#lookup(inode, entry) : undefined,
    }
  }

  /** Of a very large directory the rest is not remembered for a reader who wants the names alone. */
  #tells(nextOffset: number): boolean {
    const { removals, asked } = this.inode
    return removals === this.#removals && (nextOffset <= manyNames || asked > this.#asked)
  }

  #show(name: string, entry: Entry): Inode {
    const inode = this.#tree.table.ensureChild(this.inode, name, entry.type)
    this.#hold(inode)
    return inode
  }

  #hold(inode: Inode | undefined): void {
    if (inode === undefined || this.#shown.has(inode)) return
    this.#shown.add(inode)
    inode.handles++
  }

  #lookup(inode: Inode, entry: Entry): InodeEntry {
    inode.entry ??= entry
    return this.#tree.answer(inode, inode.writable?.entry() ?? inode.entry, this.#believedMs)
  }
}

/** Each name that is told with its attributes stays in memory, here and in the kernel, until that wants room. */
const manyNames = 16_384
