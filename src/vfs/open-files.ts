import { constants } from 'node:fs'
import type { Metadata } from '../blob/store.ts'
import { type ByteRange, lengthOf, MiB, splitRange } from '../byte-range.ts'
import { FileSystemError } from '../errors.ts'
import { checkPath } from '../namespace/blob-name.ts'
import type { Entry, PosixAttributes } from '../namespace/entry.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { type FaultEvent, faultChannel } from '../telemetry.ts'
import { withoutStored } from './attributes.ts'
import type { FileHandle, HandleTable } from './handle-table.ts'
import type { Inode } from './inode-table.ts'
import { interruptible } from './mutex.ts'
import type {
  Allocation,
  CallContext,
  CopyTarget,
  CreatedFile,
  CreateOptions,
  HandleId,
  OpenedFile,
} from './operations.ts'
import { PinnedReader } from './pinned-reader.ts'
import type { Tree } from './tree.ts'
import { WritableFile, type WritableFileContext } from './writable-file.ts'

export interface OpenFilesOptions {
  readonly tree: Tree
  readonly handles: HandleTable
  readonly files: WritableFileContext
}

/** A version of a file that is not in Azure. */
export interface Unsaved {
  readonly path: string
  readonly error: FileSystemError
  /** Where it is kept; `undefined` when it is lost. */
  readonly place: string | undefined
}

/** Opening, reading, writing and closing files. */
export class OpenFiles {
  readonly #tree: Tree
  readonly #handles: HandleTable
  readonly #options: OpenFilesOptions
  readonly #finishing = new Set<Promise<void>>()
  /** What could not be stored since the mount began. */
  readonly unsaved: Unsaved[] = []
  readonly #unheard = new Map<string, FileSystemError>()
  readonly #closing = new AbortController()

  constructor(options: OpenFilesOptions) {
    this.#tree = options.tree
    this.#handles = options.handles
    this.#options = options
  }

  async open(inode: Inode, flags: number, context: CallContext): Promise<OpenedFile> {
    if (inode.type === 'directory') {
      throw this.#tree.failure('EISDIR', 'open', this.#tree.pathOf(inode))
    }
    this.#tellUnheard(this.#tree.pathOf(inode))
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
      if (context.uid !== 0) await this.dropPrivileges(inode)
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
    this.#tellUnheard(path)
    const { context } = options
    const present = await this.#tree.find(parent, name, { signal: context.signal })
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
    return reader.read(range, context.signal)
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
      if (context.uid !== 0) await this.dropPrivileges(inode)
      return taken
    } catch (error) {
      if (isDiskFull(error)) this.#publish('write', inode, error)
      throw error
    }
  }

  /** fallocate(2): a blob has no room of its own to give, only zeros and a size. */
  async allocate(id: HandleId, allocation: Allocation, context: CallContext): Promise<void> {
    const { inode } = this.#writer(id, 'fallocate')
    await this.#content(inode).allocate(allocation)
    if (context.uid !== 0) await this.dropPrivileges(inode)
    this.#tree.touch(inode)
  }

  /**
   * Fetches the content of a file that loses its name while somebody has it open, so that they go
   * on with it. Files over 64 MiB are left to what memory holds of them: fetching them would make
   * unlink(2) take minutes.
   */
  async keepContent(inode: Inode): Promise<void> {
    const open = inode.readers.size > 0 || (inode.writable?.writers ?? 0) > 0
    if (inode.type !== 'file' || inode.unlinked || !open) return
    if (inode.writable === undefined) {
      const [reader] = inode.readers
      if (reader === undefined) return
      inode.writable = this.#newWritable(inode, { stored: reader.entry })
    }
    if (inode.writable.entry().sizeBytes <= maxKeptBytes) await inode.writable.keep()
  }

  async flush(id: HandleId, context: CallContext): Promise<void> {
    const { inode, writable } = this.#handles.file(id)
    if (writable) await this.#await('flush', inode, this.#content(inode).flush(), context)
  }

  async fsync(id: HandleId, context: CallContext): Promise<void> {
    const { inode, writable } = this.#handles.file(id)
    if (writable) await this.#await('fsync', inode, this.#content(inode).commit(), context)
  }

  /** Never rejects for a failed commit: that goes to the fault channel. */
  async release(id: HandleId): Promise<void> {
    const handle = this.#handles.file(id)
    const { inode, reader } = handle
    this.#handles.remove(id)
    if (reader !== undefined) inode.readers.delete(reader)
    reader?.close()
    if (handle.writable) await this.#leaveWriters(inode)
    else await this.#closeKept(inode)
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
      await this.#await('truncate', inode, writable.commit(), context)
    } finally {
      await this.#leaveWriters(inode)
    }
  }

  /**
   * Changes mode, owner or time of modification: with the next commit while the file is open for
   * writing, at once otherwise.
   */
  async setAttributes(inode: Inode, changes: PosixAttributes): Promise<void> {
    const kept = inode.unlinked && inode.writable !== undefined
    if (kept || (inode.writable?.writers ?? 0) > 0)
      return this.#content(inode).setAttributes(changes)
    await this.settle()
    const before = await this.#tree.entryOf(inode)
    const different = withoutStored(changes, before.posix)
    if (Object.keys(different).length === 0) return
    const after = await this.#tree.setAttributes(inode, different)
    this.#tree.reattributed(inode, before, after)
  }

  /** Changing content takes the set-user-id and set-group-id bits away, unless root does it. */
  async dropPrivileges(inode: Inode): Promise<void> {
    const { mode = 0 } = (inode.writable?.entry() ?? (await this.#tree.entryOf(inode))).posix
    const kept = mode & ((mode & 0o010) === 0 ? ~0o4000 : ~0o6000)
    if (kept !== mode) await this.setAttributes(inode, { mode: kept })
  }

  /** Changes metadata that is not POSIX attributes: as `setAttributes` does those. */
  async changeMetadata(
    inode: Inode,
    change: (metadata: Metadata) => Metadata | undefined,
  ): Promise<void> {
    if ((inode.writable?.writers ?? 0) > 0) {
      await this.#content(inode).changeMetadata(change)
    } else {
      await this.settle()
      const path = this.#tree.pathOf(inode)
      if (path.name === '') throw this.#tree.failure('ENOTSUP', 'setxattr', path)
      const before = await this.#tree.entryOf(inode)
      const after = await this.#tree.namespace.changeMetadata(path, change)
      if (before.etag !== after.etag) this.#tree.reattributed(inode, before, after)
    }
    this.#tree.touch(inode)
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
    return this.#copyBytes(id, range, target, context)
  }

  async #copyBytes(
    id: HandleId,
    { start, end }: ByteRange,
    target: CopyTarget,
    context: CallContext,
  ): Promise<number> {
    let done = 0
    for (const piece of splitRange({ start, end: Math.min(end, start + maxCopyBytes) }, 4 * MiB)) {
      const parts = await this.read(id, piece, context)
      const bytes = parts.reduce((sum, { length }) => sum + length, 0)
      for (const part of parts) {
        await this.write(target.handle, target.offsetBytes + done, part, context)
        done += part.length
      }
      if (bytes < lengthOf(piece)) break
    }
    return done
  }

  /** Resolves when every release under way has committed or failed. */
  async settle(): Promise<void> {
    await Promise.all(this.#finishing)
  }

  /** From here on nothing that failed is tried again. */
  giveUp(): void {
    this.#closing.abort()
  }

  /** Commits what open handles hold, as at the end of a mount; failures go to the fault channel. */
  async commitAll(): Promise<void> {
    this.giveUp()
    const inodes = new Set([...this.#handles.files()].map((handle) => handle.inode))
    for (const inode of inodes) {
      if (inode.writable !== undefined) await this.#finish(inode, inode.writable)
    }
    await this.settle()
  }

  async #openToRead(inode: Inode, context: CallContext): Promise<OpenedFile> {
    const entry = await this.#tree.entryOf(inode, { signal: context.signal })
    return this.#opened(inode, entry, constants.O_RDONLY)
  }

  /** `O_TRUNC` of one who will only read. */
  async #empty(inode: Inode, context: CallContext): Promise<void> {
    this.#tree.checkWritable('open', inode)
    await this.truncate(inode, 0, context)
    if (context.uid !== 0) await this.dropPrivileges(inode)
  }

  /** Lets go of what `keepContent` fetched once nobody has the file open. */
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
      posix: { mode: options.mode & 0o7777, ...owner },
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
      const stored = await this.#tree.entryOf(inode, { fresh: true, signal })
      inode.writable ??= this.#newWritable(inode, { stored })
      if (inode.unlinked) await inode.writable.discardLocked()
    }
    inode.writable.writers++
    return inode.writable.entry()
  }

  #newWritable(inode: Inode, start: Pick<WritableStart, 'stored' | 'posix'>): WritableFile {
    return new WritableFile({
      ...start,
      context: this.#options.files,
      path: () => this.#tree.pathOf(inode),
      onCommitted: (before, after, contentChanged) => {
        this.#tree.touch(inode)
        if (contentChanged) inode.cachedEtag = after.etag
        if (contentChanged) this.#tree.replaced(inode, before, after)
        else this.#tree.reattributed(inode, before, after)
      },
    })
  }

  /** Takes a writer off; the last one commits what no flush did. */
  #leaveWriters(inode: Inode): Promise<void> {
    const writable = this.#content(inode)
    writable.writers--
    if (writable.writers > 0) return Promise.resolve()
    const work = this.#finish(inode, writable)
      .then(() => this.#closeUnused(inode, writable))
      .finally(() => this.#finishing.delete(work))
    this.#finishing.add(work)
    return work
  }

  /** Stores what is left. What the journal has promised is tried again while the mount lives. */
  async #finish(inode: Inode, writable: WritableFile): Promise<void> {
    const { signal } = this.#closing
    for (let delayMs = minRetryMs; ; delayMs = Math.min(2 * delayMs, maxRetryMs)) {
      try {
        await writable.finish()
        if (writable.dirty) await this.#preserve(inode, writable, undefined)
        return
      } catch (error) {
        this.#publish('release', inode, error)
        if (!writable.isPromised || signal.aborted) return this.#preserve(inode, writable, error)
      }
      await this.#tree.clock.sleep(delayMs, signal).catch(() => undefined)
    }
  }

  /** Notes what is not stored, for the next who opens the file and for the end of the mount. */
  async #preserve(inode: Inode, writable: WritableFile, cause: unknown): Promise<void> {
    const path = formatPath(this.#tree.pathOf(inode))
    const error = asFailure(cause, path)
    const place = writable.isPromised
      ? this.#options.files.journals?.pending.directory
      : await writable.preserve(error)
    if (cause === undefined && place === undefined) return
    this.unsaved.push({ path, error, place })
    if (cause !== undefined) this.#unheard.set(path, error)
  }

  /** A failure that nobody was told is the first thing that the next one to open the file hears. */
  #tellUnheard(path: BlobPath): void {
    const key = formatPath(path)
    const error = this.#unheard.get(key)
    this.#unheard.delete(key)
    if (error !== undefined) throw error
  }

  async #closeUnused(inode: Inode, writable: WritableFile): Promise<void> {
    if (writable.writers > 0 || inode.writable !== writable) return
    if (inode.unlinked && inode.readers.size > 0) return
    // What the kernel holds of content that was never stored must not be read again.
    if (writable.dirty) inode.cachedEtag = undefined
    if (!writable.dirty) inode.entry = writable.entry()
    inode.writable = undefined
    if (writable.unborn) this.#tree.table.detach(inode)
    await writable.close()
    this.#tree.table.prune(inode)
  }

  #opened(
    inode: Inode,
    entry: Entry | undefined,
    flags: number,
    { writable: writes = accessOf(flags).write }: { readonly writable?: boolean } = {},
  ): OpenedFile {
    const access = accessOf(flags)
    const writable = inode.writable
    const stored = writable === undefined ? entry : (writable.stored ?? writable.entry())
    const reader = access.read && stored !== undefined ? this.#reader(inode, stored) : undefined
    const append = (flags & constants.O_APPEND) !== 0
    const handle: FileHandle = { kind: 'file', inode, reader, writable: writes, append }
    const keepCache =
      writable?.active === true || (stored?.etag !== undefined && stored.etag === inode.cachedEtag)
    if (stored?.etag !== undefined) inode.cachedEtag = stored.etag
    return { handle: this.#handles.add(handle), keepCache, directIo: false }
  }

  #reader(inode: Inode, entry: Entry): PinnedReader {
    const { namespace, chunkCache } = this.#tree
    const reader = new PinnedReader({
      store: namespace.store,
      chunkCache,
      path: () => this.#tree.pathOf(inode),
      entry,
      refresh: () => this.#refresh(inode),
    })
    inode.readers.add(reader)
    return reader
  }

  async #refresh(inode: Inode): Promise<Entry> {
    const path = this.#tree.pathOf(inode)
    if (inode.unlinked) throw this.#tree.failure('ENOENT', 'read', path)
    return this.#tree.namespace.stat(path, { fresh: true })
  }

  /** Waits for a commit; one that fails after its caller was interrupted is published. */
  #await(
    operation: string,
    inode: Inode,
    work: Promise<void>,
    context: CallContext,
  ): Promise<void> {
    work.catch((error: unknown) => {
      if (context.signal.aborted || isConflict(error)) this.#publish(operation, inode, error)
    })
    return interruptible(work, context.signal)
  }

  #publish(operation: string, inode: Inode, cause: unknown): void {
    const path = formatPath(this.#tree.pathOf(inode))
    const error = cause instanceof Error ? cause : new Error(String(cause))
    faultChannel.publish({ operation, path, error } satisfies FaultEvent)
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
/** What one call copies of a file that the service does not: the caller comes back for the rest. */
const maxCopyBytes = 64 * MiB
const minRetryMs = 1000
const maxRetryMs = 60_000

/** The largest file whose content is fetched when it loses its name. */
const maxKeptBytes = 64 * MiB

type WritableStart = ConstructorParameters<typeof WritableFile>[0]

function accessOf(flags: number): { readonly read: boolean; readonly write: boolean } {
  const mode = flags & (constants.O_WRONLY | constants.O_RDWR)
  return { read: mode !== constants.O_WRONLY, write: mode !== constants.O_RDONLY }
}

function isDiskFull(error: unknown): boolean {
  return error instanceof FileSystemError && error.code === 'ENOSPC'
}

function isConflict(error: unknown): boolean {
  return error instanceof FileSystemError && error.code === 'ESTALE'
}

function asFailure(cause: unknown, path: string): FileSystemError {
  if (cause instanceof FileSystemError) return cause
  const detail = 'what was written could not be stored'
  return new FileSystemError('EIO', 'release', { path, detail, cause })
}
