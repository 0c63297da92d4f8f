import { constants } from 'node:fs'
import { type ByteRange, MiB } from '../byte-range.ts'
import { type FileSystemError, isFileSystemError } from '../errors.ts'
import { checkPath } from '../namespace/blob-name.ts'
import type { Entry } from '../namespace/entry.ts'
import { copyBytes } from './copy-bytes.ts'
import { publishFault } from './fault.ts'
import { FileAttributes } from './file-attributes.ts'
import type { LineOf } from './handed-over.ts'
import type { FileHandle, HandleTable } from './handle-table.ts'
import type { Inode } from './inode-table.ts'
import { LastClose } from './last-close.ts'
import type { LeaseLocks } from './lease-locks.ts'
import { interruptible } from './mutex.ts'
import {
  type Allocation,
  type CallContext,
  type CopyTarget,
  type CreatedFile,
  type CreateOptions,
  type FlockRequest,
  type HandleId,
  type OpenedFile,
  toHandleId,
} from './operations.ts'
import { Readers } from './readers.ts'
import { refuseOtherType } from './same-type.ts'
import type { Tree } from './tree.ts'
import { WritableFile } from './writable-file.ts'
import type { WritableFileContext } from './writable-file-options.ts'

export interface OpenFilesOptions {
  readonly tree: Tree
  readonly handles: HandleTable
  readonly files: WritableFileContext
  /** Where locks reach other machines. */
  readonly locks?: LeaseLocks | undefined
  /** As `VfsOptions`, these two. */
  readonly hasRoomAhead?: (() => boolean) | undefined
  readonly prefetchFiles?: boolean | undefined
}

/** Opening, reading, writing and closing files. */
export class OpenFiles {
  readonly #tree: Tree
  readonly #handles: HandleTable
  readonly #options: OpenFilesOptions
  readonly #readers: Readers
  readonly lastClose: LastClose
  readonly attributes: FileAttributes

  constructor(options: OpenFilesOptions) {
    this.#tree = options.tree
    this.#handles = options.handles
    this.#options = options
    this.#readers = new Readers(options)
    this.lastClose = new LastClose(options.tree, options.files)
    this.attributes = new FileAttributes(options.tree, (inode) => this.lastClose.settleOne(inode))
  }

  set onPinned(hear: (inode: Inode) => void) {
    this.#readers.onPinned = hear
  }

  /** Goes on for who has opened a file before this process took over. */
  adopt({ handle, entry }: LineOf<'file'>, inode: Inode): void {
    const reader = entry && this.#readers.open(inode, entry)
    // It may have been read from: that version or none.
    if (entry?.etag !== undefined) reader?.keeps(entry.etag)
    inode.entry ??= entry
    // It had begun with a longer version than the kernel was told of.
    if (entry !== undefined && inode.entry !== undefined && entry.sizeBytes > inode.entry.sizeBytes)
      inode.growth = entry
    const open: FileHandle = { kind: 'file', inode, reader, writable: false, append: false }
    this.#handles.adopt(toHandleId(handle), open)
  }

  async open(inode: Inode, flags: number, context: CallContext): Promise<OpenedFile> {
    if (inode.type === 'directory') {
      throw this.#tree.failure('EISDIR', 'open', this.#tree.pathOf(inode))
    }
    this.lastClose.tellUnheard(this.#tree.pathOf(inode))
    const access = accessOf(flags)
    const truncates = (flags & constants.O_TRUNC) !== 0
    if (!access.write) {
      if (truncates) await this.#empty(inode, context)
      return this.#openToRead(inode, context)
    }
    this.#tree.checkWritable('open', inode)
    const entry = await this.#joinWriters(inode, context)
    if (truncates) {
      await inode.writable?.startOver()
      if (context.uid !== 0) await this.attributes.dropPrivileges(inode)
    }
    return this.#opened(inode, entry, flags)
  }

  async create(
    parent: Inode,
    name: string,
    options: CreateOptions & { readonly context: CallContext },
  ): Promise<CreatedFile> {
    this.#tree.checkWritable('create', parent)
    const path = this.#tree.table.pathIn(parent, name)
    checkPath(path, 'create')
    this.lastClose.tellUnheard(path)
    const { context } = options
    const present = await this.#tree.find(parent, name, context)
    if (present !== undefined && (options.flags & constants.O_EXCL) !== 0) {
      throw this.#tree.failure('EEXIST', 'create', path)
    }
    if (present !== undefined) return this.#openPresent(parent, name, { ...options, present })
    const inode = this.#bear(parent, name, options)
    // Also who will only read has to store the file that this call made.
    const file = this.#opened(inode, undefined, options.flags, { writable: true })
    return { entry: this.#tree.answer(inode, await this.#tree.entryOf(inode)), file }
  }

  async read(id: HandleId, range: ByteRange, context: CallContext): Promise<readonly Uint8Array[]> {
    const { inode, reader } = this.#handles.file(id)
    if (reader === undefined) throw this.#badHandle('read', inode)
    if (inode.writable?.active === true) {
      return [await interruptible(inode.writable.read(range), context.signal)]
    }
    return reader.read(range, context)
  }

  async write(
    id: HandleId,
    offsetBytes: number,
    data: Uint8Array,
    context: CallContext,
  ): Promise<number> {
    const { inode, append } = this.#writer(id, 'write')
    try {
      const taken = await this.#content(inode).write(append ? 'end' : offsetBytes, data)
      if (context.uid !== 0) await this.attributes.dropPrivileges(inode)
      return taken
    } catch (error) {
      if (isFileSystemError(error, 'ENOSPC')) publishFault('write', this.#tree.pathOf(inode), error)
      throw error
    }
  }

  /** fallocate(2): a blob has no room of its own to give, only zeros and a size. */
  async allocate(id: HandleId, allocation: Allocation, context: CallContext): Promise<void> {
    const { inode } = this.#writer(id, 'fallocate')
    await this.#content(inode).allocate(allocation)
    if (context.uid !== 0) await this.attributes.dropPrivileges(inode)
    this.#tree.touch(inode)
  }

  /**
   * Runs `work`, which takes the name of a file, with its content fetched where somebody has it open, so that they go
   * on with it. Files over 64 MiB are left to what memory holds of them: fetching them would make
   * unlink(2) take minutes.
   */
  async keepingContent(inode: Inode, work: () => Promise<void>): Promise<void> {
    const writable = this.#keeperOf(inode)
    if (writable === undefined) return work()
    // As one who writes: who ends storing it meanwhile leaves it open.
    writable.writers++
    try {
      if (writable.entry().sizeBytes <= maxKeptBytes) await writable.keep()
      await work()
    } finally {
      // Not waited for: storing what could not be removed waits for `work` itself.
      void this.lastClose.leaveWriters(inode, writable)
    }
  }

  /** What keeps the content of a file that somebody has open; `undefined` for others. */
  #keeperOf(inode: Inode): WritableFile | undefined {
    const open = inode.readers.size > 0 || (inode.writable?.writers ?? 0) > 0
    if (inode.type !== 'file' || inode.unlinked || !open) return undefined
    const [reader] = inode.readers
    if (inode.writable === undefined && reader !== undefined) {
      inode.writable = this.#newWritable(inode, { stored: reader.entry })
    }
    return inode.writable
  }

  /** flock(2), where locks reach other machines. */
  async flock(id: HandleId, request: FlockRequest, context: CallContext): Promise<void> {
    await this.#options.locks?.lock(this.#handles.file(id).inode, id, request, context)
  }

  async flush(id: HandleId, context: CallContext): Promise<void> {
    const { inode, writable } = this.#handles.file(id)
    const storing = writable && this.#content(inode).flush()
    if (storing) await this.lastClose.awaitCommit('flush', inode, { storing, context })
  }

  /** Whether all that was written to the file is stored, and nobody has locked it. */
  isStored(id: HandleId): boolean {
    const { inode } = this.#handles.file(id)
    const { writable, lock } = inode
    return writable !== undefined && !writable.unborn && !writable.dirty && lock === undefined
  }

  async fsync(id: HandleId, context: CallContext): Promise<void> {
    const { inode, writable } = this.#handles.file(id)
    const storing = writable && this.#content(inode).commit()
    if (storing) await this.lastClose.awaitCommit('fsync', inode, { storing, context })
  }

  /** Never rejects for a failed commit: that goes to the fault channel. */
  async release(id: HandleId): Promise<void> {
    const handle = this.#handles.file(id)
    const { inode, reader } = handle
    this.#handles.remove(id)
    if (reader !== undefined) inode.readers.delete(reader)
    reader?.close()
    if (handle.writable) await this.lastClose.leaveWriters(inode, this.#content(inode))
    else await this.#closeKept(inode)
    await this.#options.locks?.unlock(inode, id).catch((error: unknown) => {
      publishFault('flock', this.#tree.pathOf(inode), error)
    })
    this.#tree.table.prune(inode)
  }

  /** truncate(2) of a file that may not be open: it is opened and committed for that. */
  async truncate(inode: Inode, sizeBytes: number, context: CallContext): Promise<void> {
    if (inode.type !== 'file') {
      const code = inode.type === 'directory' ? 'EISDIR' : 'EINVAL'
      throw this.#tree.failure(code, 'truncate', this.#tree.pathOf(inode))
    }
    await this.#joinWriters(inode, context)
    const writable = this.#content(inode)
    try {
      await writable.truncate(sizeBytes)
      if (writable.writers > 1) return
      const storing = writable.commit()
      await this.lastClose.awaitCommit('truncate', inode, { storing, context })
    } finally {
      await this.lastClose.leaveWriters(inode, this.#content(inode))
    }
  }

  /** Where data or a hole begins, as `FileOperations.seek`. */
  seek(id: HandleId, offset: number, what: 'data' | 'hole'): number | undefined {
    const { inode, reader } = this.#handles.file(id)
    if (inode.writable?.active === true) return inode.writable.seek(offset, what)
    const { sizeBytes } = inode.writable?.entry() ?? reader?.entry ?? { sizeBytes: 0 }
    if (offset >= sizeBytes) return undefined
    return what === 'data' ? offset : sizeBytes
  }

  /** copy_file_range(2): a whole file into an empty one is copied by the service. */
  async copyRange(
    id: HandleId,
    range: ByteRange,
    target: CopyTarget,
    context: CallContext,
  ): Promise<number> {
    const { inode, reader } = this.#handles.file(id)
    const to = this.#writer(target.handle, 'copy_file_range').inode
    if (reader === undefined) throw this.#badHandle('copy_file_range', inode)
    const [first] = await this.read(id, { start: range.start, end: range.start + 1 }, context)
    if (first === undefined || first.length === 0) return 0
    const { etag, sizeBytes } = reader.entry
    const isWhole = range.start === 0 && target.offsetBytes === 0 && range.end >= sizeBytes
    const isStored = inode.writable?.active !== true && !inode.unlinked && etag !== undefined
    if (isWhole && isStored && sizeBytes > minServiceCopyBytes) {
      const version = { path: this.#tree.pathOf(inode), etag, sizeBytes }
      if (await this.#content(to).copyFrom(version)) return sizeBytes
    }
    const { handle, offsetBytes } = target
    return copyBytes(range, {
      read: (piece) => this.read(id, piece, context),
      write: (done, part) => this.write(handle, offsetBytes + done, part, context),
    })
  }

  /** Commits what open handles hold, as at the end of a mount; failures go to the fault channel. */
  async commitAll(): Promise<void> {
    this.lastClose.giveUp()
    this.#readers.close()
    const inodes = new Set([...this.#handles.files()].map((handle) => handle.inode))
    for (const inode of inodes) {
      if (inode.writable !== undefined) await this.lastClose.finish(inode, inode.writable)
    }
    await this.lastClose.settle()
  }

  async #openToRead(inode: Inode, context: CallContext): Promise<OpenedFile> {
    const entry = await this.#tree.entryOf(inode, { signal: context.signal, toChange: true })
    this.#tree.refuseApart(inode)
    return this.#opened(inode, entry, constants.O_RDONLY)
  }

  /** `O_TRUNC` of one who will only read. */
  async #empty(inode: Inode, context: CallContext): Promise<void> {
    this.#tree.checkWritable('open', inode)
    await this.truncate(inode, 0, context)
    if (context.uid !== 0) await this.attributes.dropPrivileges(inode)
  }

  /** Lets go of what `keepingContent` fetched once nobody has the file open. */
  async #closeKept(inode: Inode): Promise<void> {
    const { writable } = inode
    if (writable === undefined || !inode.unlinked || writable.writers > 0) return
    if (inode.readers.size > 0) return
    inode.writable = undefined
    await writable.close()
  }

  async #openPresent(
    parent: Inode,
    name: string,
    options: CreateOptions & { readonly context: CallContext; readonly present: Entry },
  ): Promise<CreatedFile> {
    const inode = this.#tree.child(parent, name, options.present)
    const file = await this.open(inode, options.flags, options.context)
    return { entry: this.#tree.answer(inode, await this.#tree.entryOf(inode)), file }
  }

  /** A file that exists in this mount only, until its first commit. */
  #bear(
    parent: Inode,
    name: string,
    options: CreateOptions & { readonly context: CallContext },
  ): Inode {
    const former = parent.children.get(name)
    if (former !== undefined) this.#tree.table.detach(former)
    const inode = this.#tree.table.ensureChild(parent, name, 'file')
    const owner = this.#tree.ownerIn(parent, options.context)
    this.#tree.touchNames(parent)
    inode.writable = this.#newWritable(inode, {
      stored: undefined,
      posix: this.#tree.kept({ mode: options.mode & 0o7777, ...owner }),
      isExclusive: (options.flags & constants.O_EXCL) !== 0,
    })
    inode.writable.writers++
    return inode
  }

  /**
   * Counts a writer of `inode`. The version that its commit may replace is the one that the
   * service has now: a listing's word would make a lost update of a file changed a moment ago.
   */
  async #joinWriters(inode: Inode, context: CallContext): Promise<Entry> {
    if (inode.writable === undefined) {
      const { signal } = context
      // What is stored at the former name meanwhile would be left there. Of a tree it is moved after it.
      if (this.#tree.moving === inode) await interruptible(this.#tree.renames.settled(), signal)
      const stored = await this.#tree.entryOf(inode, { fresh: true, toChange: true, signal })
      await this.#checkTags(inode, stored)
      const demand = { syscall: 'open', signal, isCurrent: true } as const
      await refuseOtherType(this.#tree.namespace, this.#tree.pathOf(inode), stored, demand)
      // What was written to a version that others have replaced meanwhile would go nowhere.
      this.#tree.refuseApart(inode)
      inode.writable ??= this.#newWritable(inode, { stored })
      if (inode.unlinked) await inode.writable.discardLocked()
    }
    inode.writable.writers++
    return inode.writable.entry()
  }

  /** `EACCES` where a new version would lose tags, because they may not be read: sooner than at close. */
  async #checkTags(inode: Inode, { tagCount = 0 }: Entry): Promise<void> {
    if (tagCount > 0) await this.#options.files.tagsOf?.(this.#tree.pathOf(inode))
  }

  #newWritable(
    inode: Inode,
    start: Omit<WritableStart, 'context' | 'path' | 'lock' | 'onCommitted'>,
  ): WritableFile {
    const beforeCommit = async (): Promise<void> => inode.parent?.unstored?.store()
    return new WritableFile({
      ...start,
      context: { ...this.#options.files, beforeCommit },
      path: () => this.#tree.pathOf(inode),
      lock: () => inode.lock,
      onCommitted: (before, after, contentChanged) => {
        this.#tree.touch(inode)
        if (contentChanged) inode.cachedEtag = after.etag
        if (contentChanged) this.#tree.replaced(inode, before, after)
        else this.#tree.reattributed(inode, before, after)
      },
    })
  }

  #opened(
    inode: Inode,
    entry: Entry | undefined,
    flags: number,
    { writable: writes = accessOf(flags).write }: { readonly writable?: boolean } = {},
  ): OpenedFile {
    const access = accessOf(flags)
    const writable = inode.writable
    // Who opened it before may have found another since.
    const found = entry && (inode.entry ?? entry)
    const stored = writable === undefined ? found : (writable.stored ?? writable.entry())
    const reader =
      access.read && stored !== undefined ? this.#readers.open(inode, stored) : undefined
    const append = (flags & constants.O_APPEND) !== 0
    const handle: FileHandle = { kind: 'file', inode, reader, writable: writes, append }
    const keepCache =
      writable?.active === true || (stored?.etag !== undefined && stored.etag === inode.cachedEtag)
    // The kernel drops its pages, or may answer the first reads from them.
    if (!keepCache) inode.cachedEtag = undefined
    else if (writable?.active !== true && stored?.etag !== undefined) reader?.keeps(stored.etag)
    return { handle: this.#handles.add(handle), keepCache, directIo: false }
  }

  #writer(id: HandleId, syscall: string): FileHandle {
    const handle = this.#handles.file(id)
    if (handle.writable) return handle
    throw this.#badHandle(syscall, handle.inode)
  }

  #content(inode: Inode): WritableFile {
    if (inode.writable !== undefined) return inode.writable
    throw this.#badHandle('write', inode)
  }

  #badHandle(syscall: string, inode: Inode): FileSystemError {
    return this.#tree.failure('EBADF', syscall, this.#tree.pathOf(inode))
  }
}

/** Smaller files are read and stored by one request each. */
const minServiceCopyBytes = 8 * MiB
/** The largest file whose content is fetched when it loses its name. */
const maxKeptBytes = 64 * MiB

type WritableStart = ConstructorParameters<typeof WritableFile>[0]

function accessOf(flags: number): { readonly read: boolean; readonly write: boolean } {
  const mode = flags & (constants.O_WRONLY | constants.O_RDWR)
  return { read: mode !== constants.O_WRONLY, write: mode !== constants.O_RDONLY }
}
