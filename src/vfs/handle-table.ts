import { FileSystemError } from '../errors.ts'
import type { DirectoryHandle } from './directory-handle.ts'
import type { Inode } from './inode-table.ts'
import { type HandleId, type Ino, type OpenedFile, toHandleId } from './operations.ts'
import type { PinnedReader } from './pinned-reader.ts'

/** An open file. */
export interface FileHandle {
  readonly kind: 'file'
  readonly inode: Inode
  /** `undefined` when the handle may not read. */
  readonly reader: PinnedReader | undefined
  /** It may write, or it made the file: what is unsaved is committed when it closes. */
  readonly writable: boolean
  /** Writes go to the end, wherever they say. */
  readonly append: boolean
}

/** An open file or directory. */
export type Handle = FileHandle | DirectoryHandle

/** Which number stands for which open file or directory. An open handle keeps its inode. */
export class HandleTable {
  readonly #handles = new Map<HandleId, Handle>()
  /** Hears of handles that are new, read something else, or are gone. */
  onChanged: ((id: HandleId) => void) | undefined
  #last = 0

  get size(): number {
    return this.#handles.size
  }

  add(handle: Handle): HandleId {
    const id = toHandleId(++this.#last)
    this.#handles.set(id, handle)
    handle.inode.handles++
    this.onChanged?.(id)
    return id
  }

  /** The highest number that was given so far. */
  get last(): number {
    return this.#last
  }

  /** Takes over the handle `id` of an earlier process. */
  adopt(id: HandleId, handle: Handle): void {
    this.#handles.set(id, handle)
    handle.inode.handles++
    this.startAfter(id)
  }

  /** No number up to `last` is given any more. */
  startAfter(last: number): void {
    this.#last = Math.max(this.#last, last)
  }

  find(id: HandleId): Handle | undefined {
    return this.#handles.get(id)
  }

  /** All of them, by number. */
  entries(): IterableIterator<[HandleId, Handle]> {
    return this.#handles.entries()
  }

  /** What `id` reads is another than it was. */
  changed(id: HandleId): void {
    this.onChanged?.(id)
  }

  /** `EBADF` when `id` is not an open file. */
  file(id: HandleId): FileHandle {
    const handle = this.#handles.get(id)
    if (handle?.kind === 'file') return handle
    throw new FileSystemError('EBADF', 'read', { detail: `handle ${id} is not an open file` })
  }

  /** `EBADF` when `id` is not an open directory. */
  directory(id: HandleId): DirectoryHandle {
    const handle = this.#handles.get(id)
    if (handle?.kind === 'directory') return handle
    throw new FileSystemError('EBADF', 'readdir', {
      detail: `handle ${id} is not an open directory`,
    })
  }

  remove(id: HandleId): void {
    const handle = this.#handles.get(id)
    if (handle !== undefined) handle.inode.handles--
    this.#handles.delete(id)
    this.onChanged?.(id)
  }

  /** All open files, with the versions that are read. */
  *opened(): Generator<Pick<OpenedFile, 'handle' | 'version'> & { readonly ino: Ino }> {
    for (const [handle, open] of this.#handles.entries()) {
      if (open.kind !== 'file') continue
      yield { ino: open.inode.ino, handle, version: open.reader?.entry.etag }
    }
  }

  /** All open files. */
  *files(): Generator<FileHandle, void, undefined> {
    for (const handle of this.#handles.values()) if (handle.kind === 'file') yield handle
  }
}
