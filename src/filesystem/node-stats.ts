import { createHash } from 'node:crypto'
import type { FileInfo } from './file-info.ts'
import { baseName, parentName } from './tree-view.ts'

const fileKind = 0o100_000
const directoryKind = 0o040_000
const linkKind = 0o120_000

/** What kind of entry a name is, in the shape of Node's `Dirent`. */
export class NodeDirent {
  readonly name: string
  /** The directory that it is in, with a slash in front. */
  readonly parentPath: string
  readonly #info: FileInfo

  constructor(info: FileInfo, parentPath = `/${parentName(info.name)}`) {
    this.name = baseName(info.name)
    this.parentPath = parentPath
    this.#info = info
  }

  isFile(): boolean {
    return this.#info.type === 'file'
  }

  isDirectory(): boolean {
    return this.#info.type === 'directory'
  }

  isSymbolicLink(): boolean {
    return this.#info.isLink
  }

  isBlockDevice(): boolean {
    return false
  }

  isCharacterDevice(): boolean {
    return false
  }

  isFIFO(): boolean {
    return this.#info.entryType === 'fifo'
  }

  isSocket(): boolean {
    return this.#info.entryType === 'socket'
  }
}

/** What is known of a name, in the shape of Node's `Stats`. Modes and owners are those of metadata. */
export class NodeStats extends NodeDirent {
  readonly dev = 0
  /** The same for the same name, in every process. */
  readonly ino: number
  readonly mode: number
  readonly nlink = 1
  readonly uid: number
  readonly gid: number
  readonly rdev = 0
  readonly size: number
  readonly blksize = 4096
  readonly blocks: number
  readonly mtimeMs: number
  readonly birthtimeMs: number

  constructor(info: FileInfo) {
    super(info)
    const kind = info.isLink ? linkKind : info.type === 'directory' ? directoryKind : fileKind
    this.ino = inodeOf(info.name)
    this.mode = kind | (info.mode ?? (kind === directoryKind ? 0o755 : 0o644))
    this.uid = info.uid ?? 0
    this.gid = info.gid ?? 0
    this.size = info.size
    this.blocks = Math.ceil(info.size / 512)
    const changedMs = info.lastModified?.getTime() ?? 0
    this.mtimeMs = info.mtimeNs === undefined ? changedMs : Number(info.mtimeNs) / 1e6
    this.birthtimeMs = info.created?.getTime() ?? changedMs
  }

  get atimeMs(): number {
    return this.mtimeMs
  }

  get ctimeMs(): number {
    return this.mtimeMs
  }

  get mtime(): Date {
    return new Date(this.mtimeMs)
  }

  get atime(): Date {
    return this.mtime
  }

  get ctime(): Date {
    return this.mtime
  }

  get birthtime(): Date {
    return new Date(this.birthtimeMs)
  }
}

/** 48 bits, so that it is a safe integer. */
function inodeOf(name: string): number {
  return createHash('sha256').update(name).digest().readUIntBE(0, 6)
}
