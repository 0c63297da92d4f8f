/**
 * A directory of reports at the top of a mount: files whose text is made when they are opened. It is found by its name and
 * shown in no listing, so that nothing which goes through the mount comes by it.
 */
import { constants } from 'node:fs'
import type { ByteRange } from '../byte-range.ts'
import type { Clock } from '../clock.ts'
import { FileSystemError } from '../errors.ts'
import { millisecondsToNs } from './attributes.ts'
import {
  type Attributes,
  type CopyTarget,
  type DirectoryEntry,
  type FileOperations,
  type HandleId,
  type Ino,
  type InodeEntry,
  type KnownNames,
  type OpenedDirectory,
  type OpenedFile,
  type RenameTarget,
  rootIno,
  toHandleId,
  toIno,
} from './operations.ts'

/** What a directory of reports is called, holds, and whose it is. */
export interface ReportDirectoryOptions {
  readonly name: string
  /** What gives the text of each file. */
  readonly files: Readonly<Record<string, () => string>>
  /** Nobody else may read: reports name files. */
  readonly uid: number
  readonly gid: number
  readonly clock: Clock
  /** Called once, when something of this name lies in the top directory, which is not shown. */
  readonly onHidden: () => void
}

/** `operations` with the directory at their root. Calls that concern it reach none of them. */
export function withReportDirectory(
  operations: FileOperations,
  options: ReportDirectoryOptions,
): FileOperations {
  const reports = new ReportDirectory(options)
  const top = new TopListing(options)
  const routed = new Map<string | symbol, unknown>()
  return new Proxy(operations, {
    get: (target, name) => {
      const known = routed.get(name)
      if (known !== undefined) return known
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      const pass = (args: unknown[]): unknown => Reflect.apply(value, target, args)
      const route = (...args: unknown[]): unknown => {
        if (concerns(name, args, options.name)) return reports.call(String(name), args, pass)
        return top.watch(name, args, pass)
      }
      routed.set(name, route)
      return route
    },
  })
}

/** `Vfs` counts inodes and handles from 1 on, and gets to these never. */
const firstOwn = 2 ** 52

const isOwn = (value: unknown): boolean => typeof value === 'number' && value >= firstOwn

/** Whether a call is about the directory, a file in it, or its name. */
function concerns(call: string | symbol, args: readonly unknown[], name: string): boolean {
  const [first, second, third] = args
  if (isOwn(first)) return true
  if (call === 'copyRange') return isOwn((third as CopyTarget).handle)
  if (!ofNames.has(call)) return false
  if (first === rootIno && second === name) return true
  if (call !== 'rename') return false
  const target = third as RenameTarget
  return isOwn(target.parent) || (target.parent === rootIno && target.name === name)
}

/** Calls with a directory and a name in it. */
const ofNames: ReadonlySet<string | symbol> = new Set([
  ...['lookup', 'create', 'mknod', 'mkdir', 'symlink', 'unlink', 'rmdir', 'rename'],
])

/** The top directory is listed without a blob that has the name of the reports, and has that name. */
class TopListing {
  readonly #options: ReportDirectoryOptions
  readonly #handles = new Set<unknown>()
  #isTold = false

  constructor(options: ReportDirectoryOptions) {
    this.#options = options
  }

  watch(call: string | symbol, args: unknown[], pass: (args: unknown[]) => unknown): unknown {
    const result = pass(args)
    const [first] = args
    if (call === 'opendir' && first === rootIno) return this.#note(result)
    if (call === 'releasedir') this.#handles.delete(first)
    if (call === 'namesNow' && first === rootIno) return this.#withOwn(result)
    return call === 'readdir' && this.#handles.has(first) ? this.#without(result) : result
  }

  /** The reports are found by their name: it is among those that the directory has. */
  #withOwn(known: unknown): KnownNames | undefined {
    if (known === undefined) return undefined
    const { names, believedMs } = known as KnownNames
    return { names: [...names, this.#options.name], believedMs }
  }

  async #note(opening: unknown): Promise<unknown> {
    const opened = (await opening) as OpenedDirectory
    this.#handles.add(opened.handle)
    return opened
  }

  async #without(reading: unknown): Promise<Iterable<DirectoryEntry>> {
    return this.#shown((await reading) as Iterable<DirectoryEntry>)
  }

  *#shown(entries: Iterable<DirectoryEntry>): Generator<DirectoryEntry, void, undefined> {
    for (const entry of entries) {
      if (entry.name !== this.#options.name) yield entry
      else if (!this.#isTold) {
        this.#isTold = true
        this.#options.onHidden()
      }
    }
  }
}

/** What is answered of the directory and its files. */
class ReportDirectory {
  readonly #options: ReportDirectoryOptions
  readonly #names: readonly string[]
  readonly #texts = new Map<HandleId, Uint8Array>()
  #lastHandle = firstOwn
  readonly #answers: Partial<FileOperations> = {
    lookup: async (parent, name) => this.#lookup(parent, name),
    forget: () => {},
    getattr: async (ino) => this.#attributes(ino),
    attributesNow: () => undefined,
    namesNow: () => undefined,
    open: async (ino, flags) => this.#open(ino, flags),
    read: async (handle, range) => this.#read(handle, range),
    flush: async () => {},
    fsync: async () => {},
    flock: async () => {},
    release: async (handle) => void this.#texts.delete(handle),
    opendir: async () => ({ handle: this.#newHandle(), nameCount: this.#names.length }),
    readdir: async (_, offset) => this.#entries().slice(offset),
    releasedir: async () => {},
    fsyncdir: async () => {},
    getxattr: async () => undefined,
    listxattr: async () => [],
  }

  constructor(options: ReportDirectoryOptions) {
    this.#options = options
    this.#names = Object.keys(options.files)
  }

  /** What is answered nowhere here would change something. */
  call(name: string, args: readonly unknown[], pass: (args: unknown[]) => unknown): unknown {
    // Of the whole mount; copies of what has no size are made by the kernel, by reading.
    if (name === 'statfs') return pass([rootIno, ...args.slice(1)])
    if (name === 'copyRange' || name === 'seek') return this.#refuse('ENOTSUP', name)
    const answer: unknown = Reflect.get(this.#answers, name)
    return typeof answer === 'function'
      ? Reflect.apply(answer, undefined, [...args])
      : this.#refuse('EROFS', name)
  }

  async #refuse(code: 'EROFS' | 'ENOTSUP', syscall: string): Promise<never> {
    throw this.#failure(code, syscall)
  }

  #failure(code: 'EROFS' | 'ENOTSUP' | 'ENOENT' | 'EBADF', syscall: string): FileSystemError {
    return new FileSystemError(code, syscall, { path: this.#options.name })
  }

  #lookup(parent: Ino, name: string): InodeEntry {
    if (parent === rootIno) return this.#entry(directoryIno)
    const index = this.#names.indexOf(name)
    if (index < 0) throw this.#failure('ENOENT', 'lookup')
    return this.#entry(fileIno(index))
  }

  #entry(ino: Ino): InodeEntry {
    const attributes = this.#attributes(ino)
    return { kind: 'entry', attributes, generation: 0, entryTtlMs: attributes.attrTtlMs }
  }

  /** Sizes are those of /proc: 0, as a text is made when it is opened. */
  #attributes(ino: Ino): Attributes {
    const { uid, gid, clock } = this.#options
    const nowNs = millisecondsToNs(clock.nowMs())
    return {
      ...{ ino, sizeBytes: 0, nlink: 1, uid, gid, rdev: 0, blockBytes: 4096, attrTtlMs: 1000 },
      ...{ atimeNs: nowNs, mtimeNs: nowNs, ctimeNs: nowNs },
      mode: ino === directoryIno ? constants.S_IFDIR | 0o500 : constants.S_IFREG | 0o400,
    }
  }

  #open(ino: Ino, flags: number): OpenedFile {
    const { O_WRONLY, O_RDWR, O_TRUNC } = constants
    if ((flags & (O_WRONLY | O_RDWR | O_TRUNC)) !== 0) throw this.#failure('EROFS', 'open')
    const text = this.#options.files[this.#names[ino - directoryIno - 1] ?? '']
    if (text === undefined) throw this.#failure('ENOENT', 'open')
    const handle = this.#newHandle()
    this.#texts.set(handle, Buffer.from(text()))
    return { handle, keepCache: false, directIo: true }
  }

  #read(handle: HandleId, { start, end }: ByteRange): readonly Uint8Array[] {
    const text = this.#texts.get(handle)
    if (text === undefined) throw this.#failure('EBADF', 'read')
    return [text.subarray(start, end)]
  }

  #newHandle(): HandleId {
    return toHandleId(++this.#lastHandle)
  }

  #entries(): DirectoryEntry[] {
    const own = this.#names.map((name, index) => {
      const ino = fileIno(index)
      return { name, ino, mode: constants.S_IFREG, lookup: () => this.#entry(ino) }
    })
    const special = ['.', '..'].map((name, index) => {
      return { name, ino: index === 0 ? directoryIno : rootIno, mode: constants.S_IFDIR }
    })
    return [...special, ...own].map((entry, index) => ({ ...entry, nextOffset: index + 1 }))
  }
}

const directoryIno: Ino = toIno(firstOwn)

const fileIno = (index: number): Ino => toIno(firstOwn + 1 + index)
