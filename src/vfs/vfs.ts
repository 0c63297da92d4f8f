import type { CallOptions } from '../blob/store.ts'
import type { ByteRange } from '../byte-range.ts'
import { systemClock } from '../clock.ts'
import { ChunkCache } from '../transfer/chunk-cache.ts'
import { millisecondsToNs, posixChangesOf } from './attributes.ts'
import { DirectoryHandle } from './directory-handle.ts'
import { xattrPrefixes } from './extended-attributes.ts'
import type { Unsaved } from './fault.ts'
import { grow } from './first-read.ts'
import { adopt } from './handed-over.ts'
import { HandleTable } from './handle-table.ts'
import { Handover } from './handover.ts'
import { ExtendedAttributes } from './inode-attributes.ts'
import type { Inode } from './inode-table.ts'
import { journalsIn } from './journals.ts'
import { knownNames, namesMoment } from './known-names.ts'
import { LeaseLocks } from './lease-locks.ts'
import { listNames } from './listed-names.ts'
import { LocalContents } from './local-contents.ts'
import { Naming } from './naming.ts'
import { NewDirectories } from './new-directories.ts'
import { OpenFiles } from './open-files.ts'
import type {
  AbsentEntry,
  Allocation,
  AttributeChanges,
  Attributes,
  CallContext,
  ChangeListener,
  CopyTarget,
  CreatedFile,
  CreateOptions,
  DirectoryEntry,
  FileOperations,
  FileSystemStatistics,
  HandleId,
  Ino,
  InodeEntry,
  KnownNames,
  NodeOptions,
  OpenedDirectory,
  OpenedFile,
  RenameTarget,
  XattrChange,
} from './operations.ts'
import { PromisedRemovals } from './promised-removals.ts'
import { type Replayed, replay } from './replay.ts'
import { boundlessRoom } from './room.ts'
import { Tree } from './tree.ts'
import { attributeDefaults, spoolOptions, type VfsOptions } from './vfs-options.ts'
import type { WritableFileContext } from './writable-file-options.ts'

export type { VfsOptions } from './vfs-options.ts'

/**
 * A container, or a directory in one, as a tree of inodes: one method per system call, with the
 * meaning that docs/semantics.md states. It knows neither Azure's protocol nor the kernel's.
 */
export class Vfs implements FileOperations {
  readonly xattrPrefixes: readonly string[] | undefined
  readonly #tree: Tree
  readonly #handles = new HandleTable()
  readonly #naming: Naming
  readonly #directories: NewDirectories
  readonly #removals: PromisedRemovals
  readonly #files: OpenFiles
  readonly #fileContext: WritableFileContext
  readonly #contents: LocalContents | undefined
  readonly #conflicts: Unsaved[] = []
  readonly #extended: ExtendedAttributes
  readonly #locks: LeaseLocks | undefined
  readonly flock: FileOperations['flock'] | undefined
  readonly beforeReply: FileOperations['beforeReply'] | undefined
  readonly #handover: Handover | undefined

  constructor(options: VfsOptions) {
    const clock = options.clock ?? systemClock
    this.#tree = new Tree({
      namespace: options.namespace,
      root: { ...options.root, name: options.root.name.replace(/\/+$/, '') },
      defaults: attributeDefaults(options, clock.nowMs()),
      readOnly: options.readOnly ?? false,
      posixAttrs: options.posixAttrs ?? 'write',
      isShown: options.isShown,
      chunkCache: options.chunkCache ?? new ChunkCache(),
      clock,
    })
    options.foreignChanges?.attach(this.#tree)
    const { administration } = options
    this.#fileContext = {
      namespace: options.namespace,
      chunkCache: this.#tree.chunkCache,
      clock,
      journals: options.journals ?? journalsIn(options.journalDirectory, clock),
      writeBack: options.writeBack,
      writeBackQuietMs: options.writeBackQuietMs,
      onConflict: options.onConflict,
      posixAttrs: this.#tree.posixAttrs,
      onUnsaved: (version) => this.#conflicts.push(version),
      tagsOf: administration && ((path) => administration.getTags(path)),
      blockBytes: options.blockBytes,
      memory: options.memory,
      spool: spoolOptions(options),
    }
    this.#locks = options.leases && new LeaseLocks(this.#tree, options.leases)
    this.flock = this.#locks && ((...call) => this.#files.flock(...call))
    this.#files = new OpenFiles({
      locks: this.#locks,
      tree: this.#tree,
      handles: this.#handles,
      files: this.#fileContext,
      hasRoomAhead: options.hasRoomAhead,
      prefetchFiles: options.prefetchFiles,
    })
    if (options.xattrs ?? true) this.xattrPrefixes = xattrPrefixes
    this.#extended = new ExtendedAttributes(this.#tree, this.#files.attributes, options)
    const { endpoint } = options.namespace.store
    const disk = options.chunkCache?.disk
    if (disk !== undefined && endpoint !== undefined) {
      this.#contents = new LocalContents(disk, endpoint)
    }
    const { turns } = this.#files.lastClose
    this.#directories = new NewDirectories(this.#tree, this.#fileContext, turns)
    const removals = { context: this.#fileContext, turns, store: options.removing }
    this.#removals = new PromisedRemovals(this.#tree, removals)
    this.#handover = this.#handOver(options)
    if (this.#handover !== undefined) this.beforeReply = () => this.#handover?.flush()
    const promises = { newDirectories: this.#directories, removals: this.#removals }
    this.#naming = new Naming(this.#tree, promises, {
      keepingContent: (inode, work) => this.#files.keepingContent(inode, work),
      giveUpLock: async (inode) => this.#locks?.giveUp(inode),
    })
  }

  #handOver({ handover }: VfsOptions): Handover | undefined {
    if (handover === undefined) return undefined
    const { left, file } = handover
    const heir = { tree: this.#tree, handles: this.#handles }
    if (left !== undefined) adopt(left, { ...heir, adoptFile: (...of) => this.#files.adopt(...of) })
    const kept = new Handover(this.#tree, this.#handles, file)
    this.#files.onPinned = (inode) => kept.pinned(inode)
    return kept
  }

  /** The conversation with the kernel began with `init`: who takes over has to know. */
  begun(init: Uint8Array): void {
    this.#handover?.begin(init)
  }

  /** Leaves all that who takes over has to know, while nothing is asked. */
  handOver(): void {
    this.#handover?.flush()
  }

  openFiles(): ReturnType<NonNullable<FileOperations['openFiles']>> {
    return this.#handles.opened()
  }

  watchChanges(listener: ChangeListener): void {
    this.#tree.listener = listener
  }

  async lookup(parent: Ino, name: string, context: CallContext): Promise<InodeEntry | AbsentEntry> {
    const directory = this.#tree.directory(parent, 'lookup')
    const entry = await this.#tree.find(directory, name, context)
    if (entry === undefined) {
      return { kind: 'absent', entryTtlMs: this.#tree.believedMs(directory) }
    }
    return this.#tree.answer(this.#tree.child(directory, name, entry), entry)
  }

  forget(ino: Ino, lookupCount: number): void {
    this.#tree.table.forget(ino, lookupCount)
  }

  async getattr(ino: Ino, handle: HandleId | undefined, context: CallContext): Promise<Attributes> {
    const inode = this.#tree.table.get(ino)
    // The kernel names it where a read comes to the end of the file, or somebody seeks that.
    if (handle !== undefined) grow(inode)
    const entry = await this.#tree.entryOf(inode, context)
    return this.#tree.attributes(inode, entry)
  }

  attributesNow(ino: Ino): Attributes | undefined {
    return this.#tree.attributesNow(ino)
  }

  namesNow(ino: Ino): KnownNames | undefined {
    const inode = this.#tree.table.find(ino)
    return inode && knownNames(this.#tree, inode)
  }

  async setattr(ino: Ino, changes: AttributeChanges, context: CallContext): Promise<Attributes> {
    const inode = this.#tree.table.get(ino)
    this.#tree.checkWritable('setattr', inode)
    if (changes.sizeBytes !== undefined) {
      await this.#files.truncate(inode, changes.sizeBytes, context)
    }
    const nowNs = millisecondsToNs(this.#tree.clock.nowMs())
    const posix = posixChangesOf(changes, nowNs)
    if (posix !== undefined) await this.#files.attributes.set(inode, posix)
    if (changes.dropPrivileges === true && inode.type !== 'directory')
      await this.#files.attributes.dropPrivileges(inode)
    // A directory's time that somebody sets is not that of its names any more.
    const isTimed = changes.mtimeNs !== undefined && this.#tree.posixAttrs === 'write'
    if (isTimed) inode.namesChangedNs = undefined
    this.#tree.touch(inode)
    return this.getattr(ino, changes.handle, context)
  }

  async readlink(ino: Ino, context: CallContext): Promise<string> {
    const inode = this.#tree.table.get(ino)
    const path = this.#tree.pathOf(inode)
    return this.#tree.namespace.readSymlink(path, { signal: context.signal })
  }

  async symlink(
    parent: Ino,
    name: string,
    target: string,
    context: CallContext,
  ): Promise<InodeEntry> {
    const directory = this.#tree.directory(parent, 'symlink')
    return this.#naming.makeSymlink(directory, name, { target, context })
  }

  async mknod(
    parent: Ino,
    name: string,
    node: NodeOptions,
    context: CallContext,
  ): Promise<InodeEntry> {
    const directory = this.#tree.directory(parent, 'mknod')
    return this.#naming.makeNode(directory, name, { ...node, context })
  }

  async mkdir(parent: Ino, name: string, mode: number, context: CallContext): Promise<InodeEntry> {
    const directory = this.#tree.directory(parent, 'mkdir')
    return this.#naming.makeDirectory(directory, name, { mode, context })
  }

  async unlink(parent: Ino, name: string, _context: CallContext): Promise<void> {
    await this.#naming.removeFile(this.#tree.directory(parent, 'unlink'), name)
  }

  async rmdir(parent: Ino, name: string, _context: CallContext): Promise<void> {
    await this.#naming.removeDirectory(this.#tree.directory(parent, 'rmdir'), name)
  }

  async rename(
    parent: Ino,
    name: string,
    target: RenameTarget,
    context: CallContext,
  ): Promise<void> {
    const directory = this.#tree.directory(parent, 'rename')
    const newParent = this.#tree.directory(target.parent, 'rename')
    await this.#naming.rename(directory, name, { target, newParent, context })
  }

  async open(ino: Ino, flags: number, context: CallContext): Promise<OpenedFile> {
    const inode = this.#tree.table.get(ino)
    const opened = await this.#files.open(inode, flags, context)
    return { ...opened, ...this.#contentOf(inode, opened.handle) }
  }

  /** Where the version that `handle` reads lies on the local disk, unless somebody writes the file. */
  #contentOf(inode: Inode, handle: HandleId): Partial<OpenedFile> {
    const { reader } = this.#handles.file(handle)
    const { etag, sizeBytes } = reader?.entry ?? {}
    if (reader === undefined || etag === undefined || sizeBytes === undefined) return {}
    if (inode.writable !== undefined) return {}
    const key = { path: this.#tree.pathOf(inode), etag, sizeBytes }
    return { version: etag, ...this.#contents?.whileKept(key, (version) => reader.keeps(version)) }
  }

  async create(
    parent: Ino,
    name: string,
    options: CreateOptions,
    context: CallContext,
  ): Promise<CreatedFile> {
    const directory = this.#tree.directory(parent, 'create')
    return this.#files.create(directory, name, { ...options, context })
  }

  async read(
    handle: HandleId,
    range: ByteRange,
    context: CallContext,
  ): Promise<readonly Uint8Array[]> {
    return this.#files.read(handle, range, context)
  }

  async write(
    handle: HandleId,
    offsetBytes: number,
    data: Uint8Array,
    context: CallContext,
  ): Promise<number> {
    return this.#files.write(handle, offsetBytes, data, context)
  }

  async fallocate(handle: HandleId, allocation: Allocation, context: CallContext): Promise<void> {
    await this.#files.allocate(handle, allocation, context)
  }

  async seek(
    handle: HandleId,
    offset: number,
    what: 'data' | 'hole',
    _context: CallContext,
  ): Promise<number | undefined> {
    return this.#files.seek(handle, offset, what)
  }

  async copyRange(
    handle: HandleId,
    range: ByteRange,
    target: CopyTarget,
    context: CallContext,
  ): Promise<number> {
    return this.#files.copyRange(handle, range, target, context)
  }

  async getxattr(ino: Ino, name: string, context: CallContext): Promise<Uint8Array | undefined> {
    return this.#extended.get(this.#tree.table.get(ino), name, context)
  }

  async listxattr(ino: Ino, context: CallContext): Promise<readonly string[]> {
    return this.#extended.list(this.#tree.table.get(ino), context)
  }

  async setxattr(
    ino: Ino,
    name: string,
    change: XattrChange,
    _context: CallContext,
  ): Promise<boolean> {
    return this.#extended.set(this.#tree.table.get(ino), name, change)
  }

  async removexattr(ino: Ino, name: string, _context: CallContext): Promise<boolean> {
    return this.#extended.remove(this.#tree.table.get(ino), name)
  }

  async flush(handle: HandleId, context: CallContext): Promise<void> {
    await this.#files.flush(handle, context)
  }

  isStored(handle: HandleId): boolean {
    return this.#files.isStored(handle)
  }

  async release(handle: HandleId, _context: CallContext): Promise<void> {
    await this.#files.release(handle)
  }

  async fsync(handle: HandleId, _dataOnly: boolean, context: CallContext): Promise<void> {
    await this.#files.fsync(handle, context)
  }

  async opendir(ino: Ino, context: CallContext): Promise<OpenedDirectory> {
    const inode = this.#tree.directory(ino, 'opendir')
    const { nameChanges } = inode
    const entries = await listNames(this.#tree, inode, context)
    const directory = new DirectoryHandle(this.#tree, inode, entries)
    const handle = this.#handles.add(directory)
    const kept = directory.keepNames(namesMoment(this.#tree, inode, nameChanges))
    return { handle, nameCount: entries.size, ...kept }
  }

  async readdir(
    handle: HandleId,
    offset: number,
    context: CallContext,
  ): Promise<Iterable<DirectoryEntry>> {
    const directory = this.#handles.directory(handle)
    if (directory.rewinds(offset)) {
      directory.refresh(await listNames(this.#tree, directory.inode, context))
      this.#handles.changed(handle)
    }
    if (directory.isAdopted)
      directory.complete(await listNames(this.#tree, directory.inode, context))
    return directory.read(offset)
  }

  async releasedir(handle: HandleId, _context: CallContext): Promise<void> {
    const directory = this.#handles.directory(handle)
    this.#handles.remove(handle)
    directory.close()
    this.#tree.table.prune(directory.inode)
  }

  async fsyncdir(handle: HandleId, _context: CallContext): Promise<void> {
    const { inode } = this.#handles.directory(handle)
    await this.#removals.storeBelow(this.#tree.pathOf(inode), { deep: false })
    await this.#directories.sync(inode)
  }

  async statfs(_ino: Ino, _context: CallContext): Promise<FileSystemStatistics> {
    return boundlessRoom
  }

  /**
   * Stores what mounts that died had promised to, before anything is asked of this one. Rejects with
   * `signal.reason` when aborted; what is left then stays in the journal.
   */
  async replay(options: CallOptions = {}): Promise<readonly Replayed[]> {
    return replay(this.#fileContext, options)
  }

  /** What could not be stored since the mount began, and where it is kept. */
  get unsaved(): readonly Unsaved[] {
    const told = new Set(this.#conflicts.map(({ error }) => error))
    const others = this.#files.lastClose.unsaved.filter(({ error }) => !told.has(error))
    return [...this.#conflicts, ...others, ...this.#directories.unsaved, ...this.#removals.unsaved]
  }

  /** The name of an inode's blob, for logs; `undefined` when the inode is not known any more. */
  nameOf(ino: Ino): string | undefined {
    const inode = this.#tree.table.find(ino)
    return inode === undefined ? undefined : this.#tree.pathOf(inode).name
  }

  /** From here on nothing that failed is tried again, as when the mount is to end. */
  giveUp(): void {
    this.#files.lastClose.giveUp()
  }

  /** Commits what open handles hold and waits for releases under way. Failures are published. */
  async close(): Promise<void> {
    await this.#files.commitAll()
    await this.#directories.settle()
    await this.#removals.settle()
    await this.#locks?.close()
    this.#contents?.close()
    this.#handover?.close()
  }
}
