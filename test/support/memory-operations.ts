import { constants } from 'node:fs'
import type { ByteRange } from '../../src/byte-range.ts'
import { FileSystemError } from '../../src/errors.ts'
import {
  type AttributeChanges,
  type Attributes,
  type CallContext,
  type CreatedFile,
  type CreateOptions,
  type DirectoryEntry,
  type FileOperations,
  type FileSystemStatistics,
  type HandleId,
  type Ino,
  type InodeEntry,
  type OpenedDirectory,
  type OpenedFile,
  type RenameTarget,
  rootIno,
  toHandleId,
  toIno,
} from '../../src/vfs/operations.ts'

interface Node {
  readonly ino: Ino
  mode: number
  uid: number
  gid: number
  mtimeNs: bigint
  data: Buffer
  sizeBytes: number
  readonly children: Map<string, Node>
}

/** How the file system of a test behaves. */
export interface MemoryOptions {
  /** How long the kernel may remember; milliseconds. */
  readonly ttlMs?: number
  readonly directIo?: boolean
}

/**
 * A file system in memory, as small as a mount needs. Names with a meaning: a file `zeros` reads as
 * zeros of its size without holding them, one called `sink` forgets what is written, one called
 * `stuck` answers a read when the reader is interrupted, `broken` throws what is no FileSystemError,
 * `refuses-close` fails flush with ENOSPC.
 */
export class MemoryOperations implements FileOperations {
  readonly calls: string[] = []
  readonly lookups = new Map<Ino, number>()
  readonly openHandles = new Map<HandleId, Node>()
  wasUnmounted = false
  readonly #nodes = new Map<Ino, Node>()
  readonly #options: Required<MemoryOptions>
  #lastIno = 0
  #lastHandle = 0
  #abortedReads = 0

  constructor(options: MemoryOptions = {}) {
    this.#options = { ttlMs: 0, directIo: false, ...options }
    this.#add(constants.S_IFDIR | 0o777, { uid: 0, gid: 0 })
  }

  get abortedReads(): number {
    return this.#abortedReads
  }

  /** Puts a file below the root. */
  addFile(name: string, data: Buffer, sizeBytes: number = data.length): Ino {
    const node = this.#add(constants.S_IFREG | 0o666, { uid: 0, gid: 0 })
    node.data = data
    node.sizeBytes = sizeBytes
    this.#node(rootIno).children.set(name, node)
    return node.ino
  }

  async unmounted(): Promise<void> {
    this.wasUnmounted = true
  }

  async lookup(parent: Ino, name: string): Promise<InodeEntry> {
    return this.#entry(this.#child(parent, name))
  }

  forget(ino: Ino, lookupCount: number): void {
    this.lookups.set(ino, (this.lookups.get(ino) ?? 0) - lookupCount)
  }

  async getattr(ino: Ino): Promise<Attributes> {
    return this.#attributes(this.#node(ino))
  }

  async setattr(ino: Ino, changes: AttributeChanges): Promise<Attributes> {
    const node = this.#node(ino)
    if (changes.mode !== undefined) node.mode = (node.mode & constants.S_IFMT) | changes.mode
    node.uid = changes.uid ?? node.uid
    node.gid = changes.gid ?? node.gid
    if (changes.mtimeNs !== undefined) {
      node.mtimeNs = changes.mtimeNs === 'now' ? 1n : changes.mtimeNs
    }
    if (changes.sizeBytes !== undefined) this.#resize(node, changes.sizeBytes)
    return this.#attributes(node)
  }

  async readlink(ino: Ino): Promise<string> {
    return this.#node(ino).data.toString()
  }

  async symlink(
    parent: Ino,
    name: string,
    target: string,
    context: CallContext,
  ): Promise<InodeEntry> {
    const node = this.#create(parent, name, constants.S_IFLNK | 0o777, context)
    node.data = Buffer.from(target)
    node.sizeBytes = node.data.length
    return this.#entry(node)
  }

  async mkdir(parent: Ino, name: string, mode: number, context: CallContext): Promise<InodeEntry> {
    return this.#entry(this.#create(parent, name, constants.S_IFDIR | mode, context))
  }

  async unlink(parent: Ino, name: string): Promise<void> {
    this.#child(parent, name)
    this.#node(parent).children.delete(name)
  }

  async rmdir(parent: Ino, name: string): Promise<void> {
    if (this.#child(parent, name).children.size > 0) throw new FileSystemError('ENOTEMPTY', 'rmdir')
    this.#node(parent).children.delete(name)
  }

  async rename(parent: Ino, name: string, target: RenameTarget): Promise<void> {
    const node = this.#child(parent, name)
    const targets = this.#node(target.parent).children
    if (target.exchange) throw new FileSystemError('EINVAL', 'rename')
    if (target.noReplace && targets.has(target.name)) throw new FileSystemError('EEXIST', 'rename')
    this.#node(parent).children.delete(name)
    targets.set(target.name, node)
  }

  async open(ino: Ino, flags: number): Promise<OpenedFile> {
    const node = this.#node(ino)
    if ((flags & constants.O_TRUNC) !== 0) this.#resize(node, 0)
    return this.#open(node)
  }

  async create(
    parent: Ino,
    name: string,
    options: CreateOptions,
    context: CallContext,
  ): Promise<CreatedFile> {
    const node = this.#create(parent, name, constants.S_IFREG | options.mode, context)
    return { entry: this.#entry(node), file: this.#open(node) }
  }

  async read(
    handle: HandleId,
    range: ByteRange,
    context: CallContext,
  ): Promise<readonly Uint8Array[]> {
    const node = this.#opened(handle)
    const name = this.#nameOf(node)
    if (name === 'broken') throw new Error('a bug')
    if (name === 'stuck') await this.#untilAborted(context.signal)
    const end = Math.min(range.end, node.sizeBytes)
    if (end <= range.start) return []
    if (name === 'zeros') return [zeros.subarray(0, end - range.start)]
    const middle = Math.floor((range.start + end) / 2)
    return [node.data.subarray(range.start, middle), node.data.subarray(middle, end)]
  }

  async write(handle: HandleId, offsetBytes: number, data: Uint8Array): Promise<number> {
    const node = this.#opened(handle)
    const end = offsetBytes + data.length
    if (this.#nameOf(node) === 'sink') {
      node.sizeBytes = Math.max(node.sizeBytes, end)
      return data.length
    }
    if (end > node.sizeBytes) this.#resize(node, end)
    node.data.set(data, offsetBytes)
    return data.length
  }

  async flush(handle: HandleId): Promise<void> {
    this.calls.push('flush')
    if (this.#nameOf(this.#opened(handle)) === 'refuses-close') {
      throw new FileSystemError('ENOSPC', 'flush')
    }
  }

  async release(handle: HandleId): Promise<void> {
    this.calls.push('release')
    this.openHandles.delete(handle)
  }

  async fsync(): Promise<void> {
    this.calls.push('fsync')
  }

  async opendir(ino: Ino): Promise<OpenedDirectory> {
    return this.#open(this.#node(ino))
  }

  async readdir(handle: HandleId, offset: number): Promise<Iterable<DirectoryEntry>> {
    const node = this.#opened(handle)
    const dots = ['.', '..'].map((name) => ({ name, node, listed: false }))
    const names = [...node.children].map(([name, child]) => ({ name, node: child, listed: true }))
    return [...dots, ...names].slice(offset).map((item, index) => ({
      name: item.name,
      ino: item.node.ino,
      mode: item.node.mode,
      nextOffset: offset + index + 1,
      lookup: item.listed ? () => this.#entry(item.node) : undefined,
    }))
  }

  async releasedir(handle: HandleId): Promise<void> {
    this.openHandles.delete(handle)
  }

  async statfs(): Promise<FileSystemStatistics> {
    return {
      blockBytes: 4096,
      totalBlocks: 2 ** 40,
      freeBlocks: 2 ** 39,
      availableBlocks: 2 ** 38,
      totalFiles: 1000,
      freeFiles: 500,
      maxNameBytes: 255,
    }
  }

  #add(mode: number, owner: { readonly uid: number; readonly gid: number }): Node {
    this.#lastIno += 1
    const ino = toIno(this.#lastIno)
    const empty = { mtimeNs: 0n, data: Buffer.alloc(0), sizeBytes: 0 }
    const node: Node = { ino, mode, ...empty, uid: owner.uid, gid: owner.gid, children: new Map() }
    this.#nodes.set(ino, node)
    return node
  }

  #create(parent: Ino, name: string, mode: number, context: CallContext): Node {
    const { children } = this.#node(parent)
    if (children.has(name)) throw new FileSystemError('EEXIST', 'create')
    const node = this.#add(mode, context)
    children.set(name, node)
    return node
  }

  #open(node: Node): OpenedFile {
    this.#lastHandle += 1
    const handle = toHandleId(this.#lastHandle)
    this.openHandles.set(handle, node)
    return { handle, keepCache: false, directIo: this.#options.directIo }
  }

  #entry(node: Node): InodeEntry {
    this.lookups.set(node.ino, (this.lookups.get(node.ino) ?? 0) + 1)
    const entryTtlMs = this.#options.ttlMs
    return { kind: 'entry', attributes: this.#attributes(node), generation: 0, entryTtlMs }
  }

  #attributes(node: Node): Attributes {
    const { ino, mode, uid, gid, mtimeNs, sizeBytes } = node
    const times = { atimeNs: mtimeNs, mtimeNs, ctimeNs: mtimeNs }
    const rest = { nlink: 1, rdev: 0, blockBytes: 4096, attrTtlMs: this.#options.ttlMs }
    return { ino, mode, uid, gid, sizeBytes, ...times, ...rest }
  }

  #resize(node: Node, sizeBytes: number): void {
    node.sizeBytes = sizeBytes
    if (sizeBytes <= node.data.length) return
    const grown = Buffer.alloc(Math.max(sizeBytes, node.data.length * 2))
    node.data.copy(grown)
    node.data = grown
  }

  #untilAborted(signal: AbortSignal): Promise<never> {
    return new Promise((_, reject) => {
      const onAbort = (): void => {
        this.#abortedReads += 1
        reject(signal.reason)
      }
      if (signal.aborted) onAbort()
      else signal.addEventListener('abort', onAbort)
    })
  }

  #node(ino: Ino): Node {
    const node = this.#nodes.get(ino)
    if (node === undefined) throw new FileSystemError('ESTALE', 'node')
    return node
  }

  #child(parent: Ino, name: string): Node {
    const node = this.#node(parent).children.get(name)
    if (node === undefined) throw new FileSystemError('ENOENT', 'lookup')
    return node
  }

  #opened(handle: HandleId): Node {
    const node = this.openHandles.get(handle)
    if (node === undefined) throw new FileSystemError('EBADF', 'handle')
    return node
  }

  #nameOf(node: Node): string | undefined {
    const names = [...this.#node(rootIno).children]
    return names.find(([, child]) => child === node)?.[0]
  }
}

const zeros = Buffer.alloc(2 ** 20)
