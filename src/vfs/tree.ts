import type { CallOptions } from '../blob/store.ts'
import type { Clock } from '../clock.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { impliedDirectory } from '../namespace/blob-entry.ts'
import type { Entry, PosixAttributes } from '../namespace/entry.ts'
import type { MovedBlob, Namespace, StatOptions } from '../namespace/namespace.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { ChunkCache } from '../transfer/chunk-cache.ts'
import { type AttributeDefaults, millisecondsToNs, toAttributes } from './attributes.ts'
import { type Inode, InodeTable } from './inode-table.ts'
import { Listing } from './listing.ts'
import { Mutex } from './mutex.ts'
import type { Attributes, CallContext, ChangeListener, Ino, InodeEntry } from './operations.ts'
import { keptPosix, type PosixUse, shownEntry } from './posix-use.ts'
import { RootEntry } from './root-entry.ts'
import { shownBelow } from './shown-names.ts'
import type { EntryOptions, TreeOptions } from './tree-options.ts'
import { isOtherVersion, isOvertaken, localEntry } from './versions-apart.ts'

/**
 * The names that this mount shows: the namespace's, and over them the files which are open for
 * writing here and differ from what is stored.
 */
export class Tree {
  readonly namespace: Namespace
  readonly table: InodeTable
  readonly chunkCache: ChunkCache
  readonly clock: Clock
  readonly posixAttrs: PosixUse
  /** Hears of changes: of those that others have made the kernel does not know. */
  listener: ChangeListener | undefined
  readonly #defaults: AttributeDefaults
  readonly #readOnly: boolean
  /** Absent: all entries are shown. */
  readonly shows: ((entry: Entry) => boolean) | undefined
  readonly root: RootEntry
  /** One rename at a time: it holds the files below both names. */
  readonly renames: Mutex = new Mutex()
  /** What is being renamed. */
  moving: Inode | undefined

  constructor(options: TreeOptions) {
    this.namespace = options.namespace
    this.table = new InodeTable(options.root)
    this.table.onUnlinked = (inode) => this.listener?.inodeChanged(inode.ino)
    this.chunkCache = options.chunkCache
    this.clock = options.clock
    this.#defaults = options.defaults
    const { clock, root: path, defaults } = options
    this.root = new RootEntry({ path, clock, ttlMs: defaults.attrTtlMs })
    this.#readOnly = options.readOnly
    this.posixAttrs = options.posixAttrs
    this.shows = options.isShown && shownBelow(options.root, options.isShown)
  }

  pathOf(inode: Inode): BlobPath {
    return this.table.pathOf(inode)
  }

  /** `ENOTDIR` when `ino` is something else. */
  directory(ino: Ino, syscall: string): Inode {
    const inode = this.table.get(ino)
    if (inode.type === 'directory') return inode
    throw this.failure('ENOTDIR', syscall, this.pathOf(inode))
  }

  /** `EROFS` on a mount that changes nothing. */
  checkWritable(syscall: string, inode: Inode): void {
    if (this.#readOnly) throw this.failure('EROFS', syscall, this.pathOf(inode))
  }

  failure(
    code: ConstructorParameters<typeof FileSystemError>[0],
    syscall: string,
    path: BlobPath,
  ): FileSystemError {
    return new FileSystemError(code, syscall, { path: formatPath(path) })
  }

  /** An entry as this mount shows it. */
  readonly shown = (entry: Entry): Entry => shownEntry(entry, this.posixAttrs)

  /** What the namespace says of `path`, as this mount shows it. */
  async stat(path: BlobPath, options: StatOptions): Promise<Entry> {
    return this.shown(await this.namespace.stat(path, options))
  }

  /**
   * What `inode` is: the version that is open, where others have replaced it. `fresh` asks the service even when a
   * listing knows. `ESTALE` where nobody has that version open, and with `toChange`, which wants what the name stands
   * for, also to open it: the kernel looks the name up again then.
   */
  async entryOf(inode: Inode, options: EntryOptions = {}): Promise<Entry> {
    if (inode.isApart) return this.#formerOf(inode, options)
    const local = localEntry(inode)
    if (local !== undefined) return local
    if (inode.unlinked) return this.#lastKnown(inode)
    if (inode === this.table.root) return this.#rootEntry(options)
    const before = inode.entry
    const path = this.pathOf(inode)
    try {
      const found = await this.stat(path, options)
      // It was stored, found in another version, or has lost its name, while the service was asked.
      if (inode.unlinked || isOvertaken(inode, before, found)) return this.entryOf(inode, options)
      if (this.setApartFrom(inode, found)) {
        // For who looks the name up again.
        this.namespace.noteCommitted(path, found)
        return this.#formerOf(inode, options)
      }
      return this.note(inode, found)
    } catch (error) {
      if (!isFileSystemError(error, 'ENOENT')) throw error
      if (inode.readers.size > 0 && inode.entry !== undefined) return inode.entry
      throw error
    }
  }

  /** Resolves when what `inode` is, or is below, has moved; `undefined` when it does not. */
  whenMoved(inode: Inode): Promise<void> | undefined {
    for (let at: Inode | undefined = inode; at !== undefined; at = at.parent)
      if (at === this.moving) return this.renames.settled()
    return undefined
  }

  /** `ESTALE` where the name of `inode` stands for another, which the kernel then looks up. */
  refuseApart(inode: Inode): void {
    if (inode.isApart) throw this.failure('ESTALE', 'open', this.pathOf(inode))
  }

  #formerOf(inode: Inode, { toChange = false }: EntryOptions): Entry {
    const isOpen = inode.readers.size > 0 || inode.writable !== undefined
    if (toChange || !isOpen) this.refuseApart(inode)
    return localEntry(inode) ?? this.#lastKnown(inode)
  }

  /** What getattr would give of a directory, as far as that is known without asking. */
  attributesNow(ino: Ino): Attributes | undefined {
    const inode = this.table.find(ino)
    const entry = inode && this.#entryNow(inode)
    return inode && entry && this.attributes(inode, entry)
  }

  #entryNow(inode: Inode): Entry | undefined {
    if (inode.type !== 'directory' || inode.unlinked) return undefined
    if (inode.unstored !== undefined) return inode.unstored.entry
    if (inode === this.table.root) return this.root.now()
    const known = this.namespace.known(this.pathOf(inode))
    if (known?.type !== 'directory' || known.partial === true) return undefined
    return this.note(inode, this.shown(known))
  }

  /** The entry `name` of `parent`, or `undefined` when there is none. */
  async find(
    parent: Inode,
    name: string,
    options: CallOptions & { readonly fresh?: boolean } = {},
  ): Promise<Entry | undefined> {
    const child = parent.children.get(name)
    const local = child && localEntry(child)
    if (local !== undefined || parent.unstored !== undefined) return local
    const before = child?.entry
    try {
      if (options.fresh !== true) await this.#learn(parent, options)
      const found = await this.namespace.find(this.table.pathIn(parent, name), options)
      const now = parent.children.get(name)
      if (now !== undefined && isOvertaken(now, before, found))
        return this.find(parent, name, options)
      if (found === undefined || this.shows?.(found) === false) return undefined
      return this.shown(found)
    } catch (error) {
      if (isFileSystemError(error, 'ENOENT')) return undefined
      throw error
    }
  }

  /**
   * Lists a directory when a second name in it is asked for: whoever asks for two asks for more,
   * and the listing answers them all. One name alone is cheaper to ask for than a large directory.
   */
  async #learn(directory: Inode, options: CallOptions): Promise<void> {
    if (directory.asked++ !== 1) return
    await this.namespace.list(this.pathOf(directory), new Listing(options))
  }

  /** The inode of `name`, which `entry` describes. */
  child(parent: Inode, name: string, entry: Entry): Inode {
    const known = parent.children.get(name)
    if (known !== undefined) this.setApartFrom(known, entry)
    const inode = this.table.ensureChild(parent, name, entry.type)
    this.note(inode, entry)
    return inode
  }

  /** Notes what the service, or a commit, says of `inode`; `ESTALE` where it has become another kind of thing. */
  note(inode: Inode, entry: Entry): Entry {
    if (entry.type !== inode.type) {
      this.table.detach(inode)
      throw this.failure('ESTALE', 'getattr', this.pathOf(inode))
    }
    const etag = inode.entry?.etag
    inode.entry = entry
    if (etag !== undefined && etag !== entry.etag) this.listener?.attributesChanged(inode.ino)
    return entry
  }

  /**
   * Where `entry` is a version that others have stored since: who has `inode` open goes on in the former, and the name
   * stands for another inode from now on. Returns whether it is so.
   */
  setApartFrom(inode: Inode, entry: Pick<Entry, 'etag' | 'type'>): boolean {
    if (!isOtherVersion(inode, entry)) return false
    const { parent, name } = inode
    inode.isApart = true
    this.table.detach(inode)
    if (parent !== undefined) this.listener?.nameChanged(parent.ino, name)
    return true
  }

  /** Writes attributes of a file or directory that is not open for writing here. */
  async setAttributes(inode: Inode, changes: PosixAttributes): Promise<Entry> {
    const before = await this.entryOf(inode, { toChange: true })
    const isContainer = inode === this.table.root && this.root.isContainer
    if (isContainer || inode.unlinked) {
      const after = { ...before, posix: { ...before.posix, ...changes } }
      if (isContainer) this.root.setAttributes(after.posix)
      this.reattributed(inode, before, after)
      return after
    }
    const leaseId = inode.lock?.lease?.leaseId
    return this.changed(inode, (onVersion) =>
      this.namespace.setAttributes(this.pathOf(inode), changes, { leaseId, onVersion }),
    )
  }

  /** Runs `change` of attributes of `inode`, which tells of the version that it changes: maybe another than was believed. */
  async changed(
    inode: Inode,
    change: (onVersion: (entry: Entry) => void) => Promise<Entry>,
  ): Promise<Entry> {
    let before: Entry | undefined
    const after = await change((entry) => {
      before = entry
    })
    if (before !== undefined) this.setApartFrom(inode, before)
    // Of who is apart, or became so meanwhile, only the version that they have may have been changed.
    const isTheirs = before === undefined || before.etag === inode.entry?.etag
    if (!inode.isApart || isTheirs) this.reattributed(inode, before, after)
    return after
  }

  /** Counts a lookup of `inode` and gives what answers it. */
  answer(inode: Inode, entry: Entry, believedMs: number = this.#believedOf(inode)): InodeEntry {
    this.table.looked(inode)
    const attributes = this.attributes(inode, entry, believedMs)
    return { kind: 'entry', attributes, generation: 0, entryTtlMs: attributes.attrTtlMs }
  }

  attributes(inode: Inode, entry: Entry, believedMs: number = this.#believedOf(inode)): Attributes {
    const nlink = inode.unlinked ? 0 : 1
    const { ino, changedNs, namesChangedNs } = inode
    // What is being written changes by itself, when it is stored.
    const isSettled = inode.writable === undefined
    const usualMs = isSettled ? believedMs : this.#defaults.attrTtlMs
    const attrTtlMs = inode.growth === undefined ? usualMs : 0
    const source = { ino, entry, nlink, changedNs, namesChangedNs, attrTtlMs, isSettled }
    return toAttributes(source, this.#defaults)
  }

  /**
   * How long names in `directory`, and their attributes, are answered without asking the service:
   * the kernel may answer them as long by itself, as all else that changes them is its own calls.
   */
  believedMs(directory: Inode | undefined): number {
    const { attrTtlMs } = this.#defaults
    if (attrTtlMs === 0 || directory === undefined) return attrTtlMs
    const untilMs = this.namespace.believed(this.pathOf(directory))?.expiresAtMs ?? 0
    return Math.max(attrTtlMs, untilMs - this.clock.nowMs())
  }

  #believedOf(inode: Inode): number {
    const ofRoot = inode === this.table.root ? this.root.believedMs : undefined
    return ofRoot ?? this.believedMs(inode.parent)
  }

  /** Notes that this mount changed `inode`: its status change time is now. */
  touch(inode: Inode): void {
    inode.changedNs = millisecondsToNs(this.clock.nowMs())
    this.listener?.inodeChanged(inode.ino)
  }

  /** Notes that a name in `directory` came or went, which moves its time of modification too. */
  touchNames(directory: Inode): void {
    this.touch(directory)
    directory.namesChangedNs = directory.changedNs
    directory.changeNames()
  }

  /** What metadata shall say of something that is made. */
  kept(attributes: PosixAttributes): PosixAttributes {
    return keptPosix(attributes, this.posixAttrs)
  }

  /** Who owns what `context` makes in `parent`: in a set-group-id directory, its group. */
  ownerIn(parent: Inode, context: CallContext): { readonly uid: number; readonly gid: number } {
    const { uid, gid } = context
    const groupOf = parent.entry?.posix.gid ?? this.#defaults.gid
    return { uid, gid: this.passesGroupOn(parent) ? groupOf : gid }
  }

  /** Whether what is made in `directory` gets its group, and directories this very bit. */
  passesGroupOn(directory: Inode): boolean {
    return ((directory.entry?.posix.mode ?? 0) & setGroupId) !== 0
  }

  /** This mount made version `after` of `before`: nothing that reads or caches it is out of date. */
  replaced(inode: Inode, before: Pick<Entry, 'etag'> | undefined, after: Entry): void {
    inode.entry = this.shown(after)
    if (inode === this.table.root) this.root.forget()
    this.listener?.inodeChanged(inode.ino)
    for (const reader of inode.readers) reader.follow(before, after)
  }

  /** Goes on in the version that others have stored, unless something is unsaved here. */
  async catchUp(inode: Inode): Promise<void> {
    if (inode.writable?.dirty === true || inode.unlinked) return
    const entry = await this.stat(this.pathOf(inode), { fresh: true })
    if (entry.type !== inode.type) throw this.failure('ESTALE', 'flock', this.pathOf(inode))
    await inode.writable?.catchUp(entry)
    inode.entry = entry
    for (const reader of inode.readers) reader.follow(reader.entry, entry)
    inode.cachedEtag = entry.etag
    // Whatever the etag says: the kernel may believe an older size.
    await this.listener?.contentChanged(inode.ino)
  }

  /** As `replaced`, where only attributes changed: what is cached of the content stays good. */
  reattributed(inode: Inode, before: Entry | undefined, after: Entry): void {
    if (before?.etag !== undefined && after.etag !== undefined && before.etag !== after.etag) {
      const { endpoint } = this.namespace.store
      const of = { endpoint, path: this.pathOf(inode), etag: before.etag }
      this.chunkCache.alias(of, after.etag)
      if (inode.cachedEtag === before.etag) inode.cachedEtag = after.etag
    }
    this.replaced(inode, before, after)
  }

  /** The file of `inode` is another version at another path now, with the same bytes. */
  copied(inode: Inode, { from, sourceEtag, targetEtag }: MovedBlob): void {
    const { endpoint } = this.namespace.store
    const copy = { endpoint, path: this.pathOf(inode), etag: targetEtag }
    this.chunkCache.copied({ endpoint, path: from, etag: sourceEtag }, copy)
    if (inode.cachedEtag === sourceEtag) inode.cachedEtag = targetEtag
  }

  async #rootEntry(options: EntryOptions): Promise<Entry> {
    const { root } = this.table
    const path = this.pathOf(root)
    const known = options.fresh === true && !this.root.isContainer ? undefined : this.root.now()
    if (known !== undefined) return known
    return this.root.learn(async () => {
      const found = await this.stat(path, options).catch((error: unknown) => {
        // It need not exist before the first file in it.
        if (isFileSystemError(error, 'ENOENT')) return impliedDirectory(path.name)
        throw error
      })
      return this.note(root, found)
    })
  }

  #lastKnown(inode: Inode): Entry {
    if (inode.entry !== undefined) return inode.entry
    throw this.failure('ESTALE', 'getattr', this.pathOf(inode))
  }
}

/** `S_ISGID`. */
const setGroupId = 0o2000
