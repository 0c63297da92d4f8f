import type { BlobProperties, CallOptions } from '../blob/store.ts'
import { FileSystemError } from '../errors.ts'
import { entryFromBlob } from '../namespace/blob-entry.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { readRange } from './cat.ts'
import { restarting } from './consistency.ts'
import { type FileInfo, toFileInfo } from './file-info.ts'
import type { Remote } from './remote.ts'

/** A file whose every read asks for the version that is there; nothing is kept. */
export class LatestVersion {
  readonly #remote: Remote
  readonly #path: BlobPath
  #info: FileInfo
  #isOpen = true

  constructor(remote: Remote, path: BlobPath, info: FileInfo) {
    this.#remote = remote
    this.#path = path
    this.#info = info
  }

  /** Of the version that was read last. */
  get info(): FileInfo {
    return this.#info
  }

  /** The bytes from `start` on, of one version: fewer than `length` where it ends. */
  async read(start: number, length: number, { signal }: CallOptions): Promise<Uint8Array> {
    if (!this.#isOpen) {
      throw new FileSystemError('EBADF', 'read', { path: formatPath(this.#path) })
    }
    if (length === 0) return new Uint8Array()
    const range = { start, end: Math.min(start + length, Number.MAX_SAFE_INTEGER) }
    const read = () => readRange(this.#remote, this.#path, range, { signal })
    const { data, properties } = await restarting(read, { signal })
    this.#note(properties)
    return data
  }

  close(): void {
    this.#isOpen = false
  }

  #note(properties: BlobProperties): void {
    if (properties.etag === this.#info.etag) return
    const entry = entryFromBlob(this.#path.name, properties)
    this.#info = toFileInfo(this.#path.container, entry)
  }
}
