import type { CallOptions } from '../blob/store.ts'
import type { BulkResult } from '../bulk.ts'
import { FileSystemError } from '../errors.ts'
import type { OpenedFile, OpenMode } from './account-content.ts'
import type { InfoOptions, ListingOptions, Preference } from './account-tree.ts'
import type { AppendFileOptions } from './append-file.ts'
import type { AzureBlobFileSystem } from './azure-blob-file-system.ts'
import type { BlobFileEditor, EditOptions } from './blob-file-editor.ts'
import type { BlobFileReader, OpenOptions } from './blob-file-reader.ts'
import type { BlobFileWriter } from './blob-file-writer.ts'
import type { BlobMap } from './blob-map.ts'
import type { CatOptions } from './cat-paths.ts'
import type { DecodedFileReader } from './decoded-file-reader.ts'
import type { EncodedFileWriter } from './encoded-file-writer.ts'
import type { ExpandOptions } from './expand-path.ts'
import type { CodingOptions } from './file-coding.ts'
import { changedInfo, type FileInfo } from './file-info.ts'
import type { FileData } from './given-bytes.ts'
import type { StateChoice } from './list-states.ts'
import type { LocalFileOptions } from './local-file.ts'
import type { MoveOptions } from './move.ts'
import type { PipeOptions, WriteOptions } from './pipe.ts'
import type { RemoveOptions } from './remove.ts'
import type { TransferOptions, TransferResult } from './transfer-run.ts'
import { joinName, relativeName } from './tree-view.ts'
import type { FindOptions, WalkOptions, WalkStep } from './walk.ts'

type Paths = string | readonly string[]

/**
 * One directory of an account as a file system of its own. Paths go in and names come out relative
 * to it, with or without a slash in front; the root is `''`. Nothing outside can be reached: `..` and
 * URLs are `EINVAL`. It has no lifetime of its own and shares everything with the file system it is of.
 */
export class DirFileSystem {
  readonly #fs: AzureBlobFileSystem
  /** The directory, as `container/path`. */
  readonly root: string

  constructor(fs: AzureBlobFileSystem, root: string) {
    this.#fs = fs
    this.root = root
  }

  /** See `AzureBlobFileSystem.ls`; so for all that follow. */
  async ls(path = '', options?: ListingOptions): Promise<FileInfo[]> {
    return this.#all(await this.#fs.ls(this.#inside(path, 'ls'), options))
  }

  async info(path = '', options?: InfoOptions & Preference): Promise<FileInfo> {
    return this.#outside(await this.#fs.info(this.#inside(path, 'info'), options))
  }

  stat(path = '', options?: InfoOptions & Preference): Promise<FileInfo> {
    return this.info(path, options)
  }

  exists(path = '', options?: InfoOptions): Promise<boolean> {
    return this.#fs.exists(this.#inside(path, 'info'), options)
  }

  isDir(path = '', options?: InfoOptions): Promise<boolean> {
    return this.#fs.isDir(this.#inside(path, 'info'), options)
  }

  isFile(path = '', options?: InfoOptions): Promise<boolean> {
    return this.#fs.isFile(this.#inside(path, 'info'), options)
  }

  size(path: string, options?: InfoOptions): Promise<number> {
    return this.#fs.size(this.#inside(path, 'info'), options)
  }

  modified(path: string, options?: InfoOptions): Promise<Date> {
    return this.#fs.modified(this.#inside(path, 'info'), options)
  }

  checksum(path: string, options?: InfoOptions): Promise<string> {
    return this.#fs.checksum(this.#inside(path, 'info'), options)
  }

  crc64(path: string, options?: CallOptions): Promise<string> {
    return this.#fs.crc64(this.#inside(path, 'crc64'), options)
  }

  ukey(path: string, options?: InfoOptions): Promise<string> {
    return this.#fs.ukey(this.#inside(path, 'info'), options)
  }

  async find(path = '', options?: FindOptions & StateChoice): Promise<FileInfo[]> {
    return this.#all(await this.#fs.find(this.#inside(path, 'find'), options))
  }

  /** The arrays of a step may be changed, as those of the whole file system. */
  async *walk(path = '', options?: WalkOptions): AsyncGenerator<WalkStep<FileInfo>, void> {
    for await (const step of this.#fs.walk(this.#inside(path, 'walk'), options)) {
      const dirs = this.#all(step.dirs)
      yield { path: this.#name(step.path), dirs, files: this.#all(step.files) }
      const kept = dirs.map(({ name }) => joinName(this.root, name))
      const byName = new Map(step.dirs.map((dir) => [dir.name, dir]))
      const chosen = kept.map((name) => byName.get(name)).filter((dir) => dir !== undefined)
      step.dirs.splice(0, step.dirs.length, ...chosen)
    }
  }

  async glob(
    pattern: string,
    options?: CallOptions & { readonly maxDepth?: number | undefined },
  ): Promise<FileInfo[]> {
    return this.#all(await this.#fs.glob(this.#pattern(pattern, 'glob'), options))
  }

  async expandPath(paths: Paths, options?: ExpandOptions): Promise<FileInfo[]> {
    return this.#all(await this.#fs.expandPath(this.#patterns(paths, 'expandPath'), options))
  }

  du(path = '', options?: FindOptions): Promise<number> {
    return this.#fs.du(this.#inside(path, 'du'), options)
  }

  catFile(
    path: string,
    options?: CallOptions & { readonly start?: number; readonly end?: number },
  ): Promise<Uint8Array> {
    return this.#fs.catFile(this.#inside(path, 'catFile'), options)
  }

  async cat(paths: Paths, options?: Omit<CatOptions, 'onError'>): Promise<Map<string, Uint8Array>> {
    const found = await this.#fs.cat(this.#patterns(paths, 'cat'), options)
    return new Map([...found].map(([name, content]) => [this.#name(name), content]))
  }

  readText(path: string, options?: CallOptions): Promise<string> {
    return this.#fs.readText(this.#inside(path, 'catFile'), options)
  }

  async writeText(path: string, text: string, options?: PipeOptions): Promise<FileInfo> {
    return this.#outside(await this.#fs.writeText(this.#inside(path, 'pipeFile'), text, options))
  }

  async pipeFile(path: string, data: FileData, options?: PipeOptions): Promise<FileInfo> {
    return this.#outside(await this.#fs.pipeFile(this.#inside(path, 'pipeFile'), data, options))
  }

  async touch(
    path: string,
    options?: CallOptions & { readonly truncate?: boolean },
  ): Promise<FileInfo> {
    return this.#outside(await this.#fs.touch(this.#inside(path, 'touch'), options))
  }

  async open(
    path: string,
    mode: 'r',
    options: OpenOptions & CodingOptions,
  ): Promise<DecodedFileReader>
  async open(
    path: string,
    mode: 'w' | 'x' | 'a',
    options: AppendFileOptions & CodingOptions,
  ): Promise<EncodedFileWriter>
  async open(path: string, mode?: 'r', options?: OpenOptions): Promise<BlobFileReader>
  async open(
    path: string,
    mode: 'w' | 'x' | 'a',
    options?: AppendFileOptions,
  ): Promise<BlobFileWriter>
  async open(path: string, mode: 'r+', options?: EditOptions): Promise<BlobFileEditor>
  async open(
    path: string,
    mode: OpenMode = 'r',
    options: AppendFileOptions & OpenOptions & Partial<CodingOptions> = {},
  ): Promise<OpenedFile> {
    return this.#fs.openAs(this.#inside(path, 'open'), mode, options)
  }

  getFile(remotePath: string, localPath: string | URL, options?: LocalFileOptions): Promise<void> {
    return this.#fs.getFile(this.#inside(remotePath, 'getFile'), localPath, options)
  }

  async putFile(
    localPath: string | URL,
    remotePath: string,
    options?: LocalFileOptions & WriteOptions,
  ): Promise<FileInfo> {
    const path = this.#inside(remotePath, 'putFile')
    return this.#outside(await this.#fs.putFile(localPath, path, options))
  }

  get(source: Paths, target: Paths, options?: TransferOptions): Promise<TransferResult> {
    return this.#fs.get(this.#patterns(source, 'get'), target, options)
  }

  put(source: Paths, target: Paths, options?: TransferOptions): Promise<TransferResult> {
    return this.#fs.put(source, this.#patterns(target, 'put'), options)
  }

  copy(source: Paths, target: Paths, options?: TransferOptions): Promise<TransferResult> {
    const from = this.#patterns(source, 'copy')
    return this.#fs.copy(from, this.#patterns(target, 'copy'), options)
  }

  async cpFile(from: string, to: string, options?: CallOptions): Promise<FileInfo> {
    const source = this.#inside(from, 'cpFile')
    return this.#outside(await this.#fs.cpFile(source, this.#inside(to, 'cpFile'), options))
  }

  mv(from: string, to: string, options?: MoveOptions): Promise<void> {
    return this.#fs.mv(this.#pattern(from, 'mv'), this.#pattern(to, 'mv'), options)
  }

  rm(paths: Paths, options?: Omit<RemoveOptions, 'allowContainer'>): Promise<BulkResult> {
    return this.#fs.rm(this.#patterns(paths, 'rm'), options)
  }

  rmFile(path: string, options?: CallOptions): Promise<void> {
    return this.#fs.rmFile(this.#inside(path, 'rmFile'), options)
  }

  mkdir(path: string, options?: CallOptions & { readonly createParents?: boolean }): Promise<void> {
    return this.#fs.mkdir(this.#inside(path, 'mkdir'), options)
  }

  makedirs(path: string, options?: CallOptions & { readonly existOk?: boolean }): Promise<void> {
    return this.#fs.makedirs(this.#inside(path, 'makedirs'), options)
  }

  rmdir(path: string, options?: CallOptions): Promise<void> {
    return this.#fs.rmdir(this.#inside(path, 'rmdir'), options)
  }

  getMapper(root = ''): BlobMap {
    return this.#fs.getMapper(this.#inside(root, 'getMapper'))
  }

  /** A directory of this one. */
  sub(path: string): DirFileSystem {
    return new DirFileSystem(this.#fs, this.#inside(path, 'sub'))
  }

  invalidateCache(path = ''): void {
    this.#fs.invalidateCache(this.#inside(path, 'invalidateCache'))
  }

  #inside(path: string, syscall: string): string {
    return this.#pattern(path, syscall).replace(/\/$/, '')
  }

  /** With the slash at its end, which has a meaning in patterns and destinations. */
  #pattern(path: string, syscall: string): string {
    const relative = path.replace(/^\/+/, '')
    const segments = relative.split('/')
    if (relative.includes('://') || segments.includes('..') || segments.includes('.')) {
      const detail = 'expected a path relative to the directory, without "." and ".." segments'
      throw new FileSystemError('EINVAL', syscall, { path, detail })
    }
    return joinName(this.root, relative)
  }

  #patterns(paths: Paths, syscall: string): string | string[] {
    if (typeof paths === 'string') return this.#pattern(paths, syscall)
    return paths.map((path) => this.#pattern(path, syscall))
  }

  #name(name: string): string {
    return relativeName(this.root, name)
  }

  #outside(info: FileInfo): FileInfo {
    return changedInfo(info, { name: this.#name(info.name) })
  }

  #all(infos: readonly FileInfo[]): FileInfo[] {
    return infos.map((info) => this.#outside(info))
  }
}
