import type { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { posix } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import type { CallOptions } from '../blob/store.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { expectCall, expectOptions } from '../expect-option.ts'
import { refuseReserved } from '../namespace/blob-name.ts'
import type { PosixAttributes } from '../namespace/entry.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { appendFile as appendToEnd } from './append-file.ts'
import { collectByName, sortedByName } from './by-name.ts'
import { catFile } from './cat.ts'
import { copyTree } from './copy-tree.ts'
import { makeDirectories, makeDirectory, removeDirectory } from './directories.ts'
import { type FileInfo, fullName } from './file-info.ts'
import { innerName } from './inner-name.ts'
import { locate, locateFile } from './location.ts'
import {
  modeChange,
  type NodeMode,
  type NodeTime,
  ownerChange,
  timeChange,
} from './node-changes.ts'
import { NodeDirectory } from './node-directory.ts'
import { NodeFileHandle, type NodeOpenFlags } from './node-file-handle.ts'
import { NodeDirent, NodeStats } from './node-stats.ts'
import {
  type NodeReadStreamOptions,
  type NodeWriteStreamOptions,
  nodeReadStream,
  nodeWriteStream,
} from './node-streams.ts'
import { pipeFile } from './pipe.ts'
import type { Remote } from './remote.ts'
import { remove, removeFile } from './remove.ts'
import { parentName, relativeName } from './tree-view.ts'

/** A path as Node's calls take it: `/container/path`, with or without the slash, or a URL. */
export type NodePath = string | URL | Buffer

/** What is written, as Node's calls take it. */
export type NodeData = string | Uint8Array

type EncodingOption = BufferEncoding | { readonly encoding?: BufferEncoding | null } | null

interface ReaddirOptions {
  readonly recursive?: boolean
  readonly withFileTypes?: boolean
}

type ReadFileOptions = { readonly encoding?: BufferEncoding | null; readonly signal?: AbortSignal }

type WriteFileOptions = {
  readonly encoding?: BufferEncoding | null
  readonly flag?: string
  readonly signal?: AbortSignal
}

export interface NodeFileSystemOptions {
  /** The directory that is `/`, which no path leaves. Absent: the account. */
  readonly root?: string | URL | undefined
}

/**
 * An account in the shape of `node:fs/promises`, for libraries that take one. Containers are the
 * directories of `/`. Errors have Node's fields (`code`, `errno`, `syscall`, `path`); semantics are
 * Node's where they differ from the file system's: `rename` replaces and never moves inside, `mkdir`
 * demands the parent, nothing is a pattern. Nobody can lock or watch a file.
 */
export class NodeFileSystem {
  /** Those of `node:fs`. */
  readonly constants: typeof constants = constants
  readonly #remote: Remote
  readonly #root: string | undefined

  constructor(remote: Remote, options: NodeFileSystemOptions = {}) {
    expectOptions(options, 'an object such as { root }')
    const { root } = options
    this.#remote = remote
    this.#root =
      root === undefined ? undefined : fullName(locate(remote.store.account, root, 'open'))
  }

  /** The bytes, or with an encoding the text. */
  async readFile(
    path: NodePath,
    options?: null | (ReadFileOptions & { encoding?: null }),
  ): Promise<Buffer>
  async readFile(
    path: NodePath,
    options: BufferEncoding | (ReadFileOptions & { readonly encoding: BufferEncoding }),
  ): Promise<string>
  async readFile(
    path: NodePath,
    options?: BufferEncoding | ReadFileOptions | null,
  ): Promise<Buffer | string> {
    const { signal } = given(options)
    const data = await catFile(this.#remote, this.#file(path, 'open'), { signal })
    const buffer = globalThis.Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    const encoding = encodingOf(options)
    return encoding === undefined ? buffer : buffer.toString(encoding)
  }

  /** Makes `data` the file, whole or not at all. Flags `w`, `wx` (`EEXIST`) and `a`. */
  async writeFile(
    path: NodePath,
    data: NodeData,
    options?: BufferEncoding | WriteFileOptions | null,
  ): Promise<void> {
    const { flag = 'w', signal } = given(options)
    if (flag === 'a') return this.appendFile(path, data, options)
    if (flag !== 'w' && flag !== 'wx') throw badFlag(flag)
    const mode = flag === 'wx' ? 'create' : 'overwrite'
    await pipeFile(this.#remote, this.#file(path, 'open'), bytesOf(data, options), { mode, signal })
  }

  /** Adds to the end, by one commit; `ESTALE` when somebody else wrote the file meanwhile. */
  async appendFile(
    path: NodePath,
    data: NodeData,
    options?: BufferEncoding | WriteFileOptions | null,
  ): Promise<void> {
    const { signal } = given(options)
    const place = this.#file(path, 'open')
    await using writer = await appendToEnd(this.#remote, place, { signal })
    await writer.write(bytesOf(data, options))
    await writer.close()
  }

  /** Opens a file; see {@link NodeFileHandle}. Flags `r` (default), `r+`, `w`, `wx` and `a`. */
  async open(path: NodePath, flags: NodeOpenFlags = 'r'): Promise<NodeFileHandle> {
    return NodeFileHandle.open(this.#remote, this.#file(path, 'open'), { flags })
  }

  /** Cuts a file, or adds zeros. */
  async truncate(path: NodePath, length = 0): Promise<void> {
    await using file = await this.open(path, 'r+')
    await file.truncate(length)
  }

  /** Links are not followed by either of the two. */
  async stat(path: NodePath): Promise<NodeStats> {
    return new NodeStats(await this.#info(path, 'stat'))
  }

  async lstat(path: NodePath): Promise<NodeStats> {
    return new NodeStats(await this.#info(path, 'lstat'))
  }

  /** Rejects with `ENOENT` when nothing has that name. Who may do what shows when it is done. */
  async access(path: NodePath, _mode?: number): Promise<void> {
    await this.#info(path, 'access')
  }

  async readdir(
    path: NodePath,
    options?: ReaddirOptions & { readonly withFileTypes?: false },
  ): Promise<string[]>
  async readdir(
    path: NodePath,
    options: ReaddirOptions & { readonly withFileTypes: true },
  ): Promise<NodeDirent[]>
  async readdir(path: NodePath, options: ReaddirOptions = {}): Promise<string[] | NodeDirent[]> {
    const { withFileTypes, recursive } = options
    const info = await this.#info(path, 'scandir')
    if (info.type !== 'directory')
      throw new FileSystemError('ENOTDIR', 'scandir', { path: String(path) })
    const { view } = this.#remote
    const entries = recursive
      ? await collectByName(view.listTree(info.name))
      : await sortedByName(await view.list(info.name))
    if (withFileTypes) return entries.map((entry) => this.#dirent(entry))
    return entries.map(({ name }) => relativeName(info.name, name))
  }

  /** A directory to go through entry by entry. */
  async opendir(path: NodePath): Promise<NodeDirectory> {
    return new NodeDirectory(String(path), await this.readdir(path, { withFileTypes: true }))
  }

  /**
   * With `recursive` those above it too, and one that exists is no error; then tells the first that was made, `undefined` where
   * none was.
   */
  mkdir(path: NodePath, options: { readonly recursive: true }): Promise<string | undefined>
  mkdir(
    path: NodePath,
    options?: number | { readonly recursive?: false | undefined } | null,
  ): Promise<undefined>
  mkdir(
    path: NodePath,
    options?: number | { readonly recursive?: boolean | undefined } | null,
  ): Promise<string | undefined>
  async mkdir(
    path: NodePath,
    options?: number | { readonly recursive?: boolean | undefined } | null,
  ): Promise<string | undefined> {
    const place = this.#place(path, 'mkdir')
    if (typeof options !== 'object' || options?.recursive !== true) {
      await makeDirectory(this.#remote, place, { createParents: false })
      return undefined
    }
    const missing = await this.#missing(String(path))
    await makeDirectories(this.#remote, place, { existOk: true })
    return missing.at(-1)
  }

  /** `path` and those above it that are not there, the outermost last. */
  async #missing(path: string): Promise<readonly string[]> {
    const missing: string[] = []
    for (let at = posix.resolve('/', path); at !== '/'; at = posix.dirname(at)) {
      if (await this.#exists(at)) break
      missing.push(at)
    }
    return missing
  }

  async #exists(path: string): Promise<boolean> {
    try {
      await this.stat(path)
      return true
    } catch (error) {
      if (isFileSystemError(error, 'ENOENT', 'ENOTDIR')) return false
      throw error
    }
  }

  /** Makes a directory of the name `prefix` and six letters or digits more that nothing has, and tells it. */
  async mkdtemp(prefix: NodePath): Promise<string> {
    for (let attemptsLeft = maxNames; ; attemptsLeft -= 1) {
      const path = `${prefix}${randomBytes(3).toString('hex')}`
      try {
        await this.mkdir(path)
        return path
      } catch (error) {
        if (attemptsLeft <= 1 || !isFileSystemError(error, 'EEXIST')) throw error
      }
    }
  }

  async rmdir(path: NodePath): Promise<void> {
    await removeDirectory(this.#remote, this.#place(path, 'rmdir'))
  }

  async unlink(path: NodePath): Promise<void> {
    await removeFile(this.#remote, this.#file(path, 'unlink'), {})
  }

  /** `force`: a missing name is no error. Containers are never removed. */
  async rm(
    path: NodePath,
    options: { readonly recursive?: boolean; readonly force?: boolean } = {},
  ): Promise<void> {
    const { recursive, force } = options
    try {
      await remove(this.#remote, fullName(this.#place(path, 'rm')), { recursive, literal: true })
    } catch (error) {
      if (force !== true || !isFileSystemError(error, 'ENOENT')) throw error
    }
  }

  async rename(from: NodePath, to: NodePath): Promise<void> {
    const [source, target] = [this.#file(from, 'rename'), this.#file(to, 'rename')]
    const { namespace, concurrency } = this.#remote
    await namespace.rename(source, target, { concurrency })
  }

  /** On the server's side, with metadata; `COPYFILE_EXCL` looks whether the target exists first. */
  async copyFile(from: NodePath, to: NodePath, mode = 0): Promise<void> {
    const [source, target] = [this.#file(from, 'copyfile'), this.#file(to, 'copyfile')]
    const taken =
      (mode & constants.COPYFILE_EXCL) !== 0 && (await this.#remote.view.stat(fullName(target)))
    if (taken) throw new FileSystemError('EEXIST', 'copyfile', { path: String(to) })
    await this.#remote.namespace.copyFile(source, target, {})
  }

  /** A tree with `recursive`; its contents go into `to`, as Node's do. */
  async cp(
    from: NodePath,
    to: NodePath,
    options: { readonly recursive?: boolean } = {},
  ): Promise<void> {
    const source = await this.#info(from, 'cp')
    if (source.type !== 'directory') return this.copyFile(from, to)
    if (options.recursive !== true) {
      const detail = 'is a directory; pass recursive: true to copy it with all that it holds'
      throw new FileSystemError('EISDIR', 'cp', { path: String(from), detail })
    }
    const request = { source: `${source.name}/`, target: fullName(this.#place(to, 'cp')) }
    await copyTree(this.#remote, request, { recursive: true, literal: true })
  }

  /** Keeps permission bits in metadata, or on hierarchical accounts with the service. Links are not followed. */
  async chmod(path: NodePath, mode: NodeMode): Promise<void> {
    await this.#change(path, 'chmod', modeChange(mode))
  }

  /** Keeps owner and group in metadata; -1 leaves one as it is. Links are not followed. */
  async chown(path: NodePath, uid: number, gid: number): Promise<void> {
    await this.#change(path, 'chown', ownerChange(uid, gid))
  }

  /** The same as {@link chown}. */
  lchown(path: NodePath, uid: number, gid: number): Promise<void> {
    return this.chown(path, uid, gid)
  }

  /** Keeps the time of modification in metadata, to the microsecond; that of access is not kept. Links are not followed. */
  async utimes(path: NodePath, _atime: NodeTime, mtime: NodeTime): Promise<void> {
    await this.#change(path, 'utime', timeChange(mtime))
  }

  /** The same as {@link utimes}. */
  lutimes(path: NodePath, atime: NodeTime, mtime: NodeTime): Promise<void> {
    return this.utimes(path, atime, mtime)
  }

  /** A link that drives follow, and that reading here does not. `EEXIST` where the name is taken. */
  async symlink(target: NodePath, path: NodePath, _type?: string | null): Promise<void> {
    const place = this.#file(path, 'symlink')
    refuseReserved(place, 'symlink')
    await this.#remote.namespace.createSymlink(place, String(target))
  }

  /** `EPERM`: a blob has one name. */
  async link(from: NodePath, to: NodePath): Promise<never> {
    const dest = formatPath(this.#file(to, 'link'))
    const detail = 'a blob has one name: copy it, or make a symbolic link'
    throw new FileSystemError('EPERM', 'link', { path: String(from), dest, detail })
  }

  async readlink(path: NodePath): Promise<string> {
    return this.#remote.namespace.readSymlink(this.#file(path, 'readlink'), {})
  }

  /** The path with a slash in front; `ENOENT` when nothing has that name. */
  async realpath(path: NodePath): Promise<string> {
    return this.#shown((await this.#info(path, 'realpath')).name)
  }

  /** As Node's: `end` is the last byte that is read. Of one version; see `readStream`. */
  createReadStream(path: NodePath, options?: BufferEncoding | NodeReadStreamOptions): Readable {
    return nodeReadStream(this.#remote, this.#file(path, 'open'), options)
  }

  createWriteStream(path: NodePath, options?: BufferEncoding | NodeWriteStreamOptions): Writable {
    return nodeWriteStream(this.#remote, this.#file(path, 'open'), options)
  }

  async #change(path: NodePath, syscall: string, attributes: PosixAttributes): Promise<void> {
    const place = this.#place(path, syscall)
    await this.#remote.namespace.setAttributes(place, attributes)
  }

  #dirent(info: FileInfo): NodeDirent {
    return new NodeDirent(info, this.#shown(parentName(info.name)))
  }

  /** A name of the account as paths here have it. */
  #shown(name: string): string {
    return `/${relativeName(this.#root ?? '', name)}`
  }

  async #info(path: NodePath, syscall: string): Promise<FileInfo> {
    return this.#remote.view.info(fullName(this.#place(path, syscall)), {})
  }

  #place(path: NodePath, syscall: string): BlobPath {
    return locate(this.#remote.store.account, this.#plain(path, syscall), syscall)
  }

  #file(path: NodePath, syscall: string): BlobPath {
    return locateFile(this.#remote.store.account, this.#plain(path, syscall), syscall)
  }

  #plain(path: NodePath, syscall: string): string | URL {
    if (this.#root !== undefined) return innerName(this.#root, String(path), syscall)
    return path instanceof URL ? path : String(path).replace(/^\/+/, '')
  }
}

/** Of 16 million: who finds so many taken finds no free one. */
const maxNames = 20

/** What a call is given beside an encoding alone, with a signal that was looked at. */
function given<T extends CallOptions>(options: BufferEncoding | T | null | undefined): Partial<T> {
  const all = typeof options === 'string' ? {} : (options ?? {})
  expectCall(all)
  return all
}

function encodingOf(options: EncodingOption | undefined): BufferEncoding | undefined {
  const given = typeof options === 'object' ? options?.encoding : options
  if (given === undefined || given === null) return undefined
  if (typeof given === 'string' && globalThis.Buffer.isEncoding(given)) return given
  throw new TypeError(`encoding: expected one that Buffer knows, got ${String(given)}`)
}

function bytesOf(data: NodeData, options: EncodingOption | undefined): Uint8Array {
  return typeof data === 'string' ? globalThis.Buffer.from(data, encodingOf(options)) : data
}

function badFlag(flag: string): TypeError {
  return new TypeError(`flag: expected 'w', 'wx' or 'a', got '${flag}'`)
}
