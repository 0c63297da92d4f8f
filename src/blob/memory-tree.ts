import { type ErrnoCode, FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { aclOfMode } from './acl.ts'
import type { MemoryAccount } from './memory-account.ts'
import type { MemoryAccess, MemoryBlob, MemoryContainer } from './memory-container.ts'
import type { Metadata } from './store.ts'
import { checkContainer } from './validate.ts'

/** Who owns what nobody has given away, as Azure calls whoever holds the account's key. */
const superuser = '$superuser'
const folderFlag = 'hdi_isfolder'

/** One call on a path, for its errors. */
export interface TreeSubject {
  readonly path: BlobPath
  readonly syscall: string
  readonly dest?: BlobPath
  /** What to say beside the service's code. */
  readonly detail?: string
}

/** How a path is made. */
export interface NewAccess {
  readonly isDirectory: boolean
  readonly writtenBy: 'blob' | 'dfs'
  readonly mode?: number | undefined
}

/** Directories and owners over the blobs of an account in memory, for both of its faces. */
export class MemoryTree {
  readonly account: MemoryAccount

  constructor(account: MemoryAccount) {
    this.account = account
  }

  /** `ENOENT` when the container is missing. */
  container({ path, syscall }: TreeSubject): MemoryContainer {
    checkContainer(path.container, syscall)
    const container = this.account.containers.get(path.container)
    if (container !== undefined) return container
    throw refusal('ENOENT', { path, syscall }, 'FilesystemNotFound')
  }

  /** What is at `path`; a file whose time has come is not. */
  find(subject: TreeSubject): MemoryBlob | undefined {
    const container = this.container(subject)
    const found = container.get(subject.path.name)
    const expiresMs = found?.access?.expiresMs
    if (expiresMs === undefined || expiresMs > this.account.nowMs()) return found
    container.delete(subject.path.name)
    return undefined
  }

  /** `ENOENT` when nothing is at `path`. */
  existing(subject: TreeSubject, serviceCode = 'PathNotFound'): MemoryBlob {
    const found = subject.path.name === '' ? this.#root(subject) : this.find(subject)
    if (found !== undefined) return found
    throw refusal('ENOENT', subject, serviceCode)
  }

  /** `ENOTDIR` when something above `path` is a file. */
  checkParents(subject: TreeSubject): void {
    for (const name of ancestors(subject.path.name)) {
      const above = this.find({ ...subject, path: { ...subject.path, name } })
      if (above !== undefined && !isDirectory(above))
        throw refusal('ENOTDIR', subject, 'PathConflict')
    }
  }

  /** Makes the directories above `path` that are missing. */
  makeParents(subject: TreeSubject): void {
    for (const name of ancestors(subject.path.name)) {
      const path = { ...subject.path, name }
      if (this.find({ ...subject, path }) !== undefined) continue
      this.put(path, this.empty({ isDirectory: true, writtenBy: 'dfs' }, { path, metadata: {} }))
    }
  }

  /** Whether anything is in the directory at `path`. */
  isEmpty(path: BlobPath): boolean {
    return this.below(path).length === 0
  }

  /** The names of all that is below `path`, in order. */
  below(path: BlobPath): string[] {
    const container = this.container({ path, syscall: 'tree' })
    return container.namesFrom(path.name === '' ? '' : `${path.name}/`)
  }

  put(path: BlobPath, blob: MemoryBlob): MemoryBlob {
    const container = this.container({ path, syscall: 'tree' })
    if (path.name === '') container.root = blob
    else container.set(path.name, blob)
    return blob
  }

  /** Another version of what is at `path`. */
  change(path: BlobPath, blob: MemoryBlob, changes: Partial<MemoryBlob>): MemoryBlob {
    const properties = {
      ...blob.properties,
      ...changes.properties,
      etag: this.account.nextEtag(),
      lastModifiedMs: this.account.nowMs(),
    }
    return this.put(path, { ...blob, ...changes, properties })
  }

  /** As {@link remove}, for whoever wants it gone: an account may keep a file for some days. */
  delete(path: BlobPath): void {
    this.container({ path, syscall: 'tree' }).retire(path.name, 'delete')
    this.remove(path)
  }

  remove(path: BlobPath): void {
    const container = this.container({ path, syscall: 'tree' })
    container.delete(path.name)
    container.uncommitted.delete(path.name)
  }

  /** A directory or an empty file. */
  empty(made: NewAccess, at: { readonly path: BlobPath; readonly metadata: Metadata }): MemoryBlob {
    const metadata = made.isDirectory ? { ...at.metadata, [folderFlag]: 'true' } : at.metadata
    return this.#record(this.newAccess(at.path, made), metadata)
  }

  #record(access: MemoryAccess, metadata: Metadata): MemoryBlob {
    const nowMs = this.account.nowMs()
    return {
      data: new Uint8Array(0),
      blocks: [],
      metadata,
      access,
      properties: {
        sizeBytes: 0,
        etag: this.account.nextEtag(),
        lastModifiedMs: nowMs,
        createdMs: nowMs,
        contentType: 'application/octet-stream',
        blobType: 'BlockBlob',
      },
    }
  }

  /** What a path begins with: the mode asked for, the defaults of its directory, or Azure's own. */
  newAccess(path: BlobPath, made: NewAccess): MemoryAccess {
    const { isDirectory, writtenBy, mode } = made
    const parent = this.#root({ path: parentOf(path), syscall: 'tree' })
    const defaults = (parent?.access?.acl ?? []).filter((entry) => entry.isDefault)
    const inherited = defaults.map((entry) => ({ ...entry, isDefault: false }))
    const plain = aclOfMode(mode ?? (isDirectory ? 0o750 : 0o640))
    const own = inherited.length > 0 && mode === undefined ? inherited : plain
    return {
      isDirectory,
      writtenBy,
      owner: superuser,
      group: parent?.access?.group ?? superuser,
      acl: isDirectory ? [...own, ...defaults] : own,
      sticky: isDirectory && ((mode ?? 0) & 0o1000) !== 0,
    }
  }

  /** Moves `from` and all that is below; the destination is free or may go. */
  move(from: BlobPath, to: BlobPath): void {
    const names = [from.name, ...this.below(from)]
    this.remove(to)
    for (const name of names) {
      const moved = this.existing({ path: { ...from, name }, syscall: 'tree' })
      this.remove({ ...from, name })
      this.put({ ...to, name: to.name + name.slice(from.name.length) }, moved)
    }
  }

  #makeRoot(): MemoryBlob {
    const acl = aclOfMode(0o750)
    const owners = { owner: superuser, group: superuser, acl, sticky: false }
    return this.#record({ ...owners, isDirectory: true, writtenBy: 'dfs' }, {})
  }

  /** The record at `path`; the root's is made when it is first needed. */
  #root(subject: TreeSubject): MemoryBlob | undefined {
    if (subject.path.name !== '') return this.find(subject)
    const container = this.container(subject)
    container.root ??= this.#makeRoot()
    return container.root
  }
}

/** Whether a record is a directory. */
export function isDirectory(blob: MemoryBlob | undefined): boolean {
  return blob?.access?.isDirectory === true
}

/** The path of the directory above. */
export function parentOf(path: BlobPath): BlobPath {
  return { ...path, name: path.name.slice(0, Math.max(0, path.name.lastIndexOf('/'))) }
}

/** An answer of the service that refuses. */
export function refusal(
  code: ErrnoCode,
  subject: TreeSubject,
  serviceCode: string,
): FileSystemError {
  return new FileSystemError(code, subject.syscall, {
    path: formatPath(subject.path),
    ...(subject.dest === undefined ? {} : { dest: formatPath(subject.dest) }),
    ...(subject.detail === undefined ? {} : { detail: subject.detail }),
    serviceCode,
  })
}

function ancestors(name: string): string[] {
  const segments = name.split('/')
  return segments.slice(1).map((_, index) => segments.slice(0, index + 1).join('/'))
}
