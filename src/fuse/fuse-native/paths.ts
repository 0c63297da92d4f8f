import { FileSystemError, isFileSystemError } from '../../errors.ts'
import {
  type Attributes,
  type CallContext,
  type FileOperations,
  type Ino,
  rootIno,
} from '../../vfs/operations.ts'

/** An inode that is held for the time of a call. */
export interface Held {
  readonly ino: Ino
  /** What its lookup told; `undefined` for the root. */
  readonly attributes: Attributes | undefined
}

/** Finds the inodes of paths. Each step is a lookup, which is given back when the call has ended. */
export class Paths {
  readonly #operations: FileOperations
  readonly #context: CallContext

  constructor(operations: FileOperations, context: CallContext) {
    this.#operations = operations
    this.#context = context
  }

  /**
   * Runs `work` with the inode of `path`; `ENOENT` when there is none. Once more where others have replaced what was
   * found, as the kernel does.
   */
  async at<T>(path: string, work: (held: Held) => Promise<T>): Promise<T> {
    try {
      return await this.#at(path, work)
    } catch (error) {
      if (!isFileSystemError(error, 'ESTALE')) throw error
      return this.#at(path, work)
    }
  }

  async #at<T>(path: string, work: (held: Held) => Promise<T>): Promise<T> {
    const walked: Held[] = [{ ino: rootIno, attributes: undefined }]
    try {
      for (const name of namesOf(path)) walked.push(await this.#step(walked, name, path))
      return await work(walked.at(-1) ?? { ino: rootIno, attributes: undefined })
    } finally {
      for (const { ino } of walked.slice(1)) this.#operations.forget(ino, 1)
    }
  }

  /** Runs `work` with the directory that holds `path`, and the name in it. */
  async in<T>(path: string, work: (parent: Ino, name: string) => Promise<T>): Promise<T> {
    const names = namesOf(path)
    const name = names.pop()
    if (name === undefined) throw new FileSystemError('EBUSY', 'lookup', { path })
    return this.at(names.join('/'), ({ ino }) => work(ino, name))
  }

  async #step(walked: readonly Held[], name: string, path: string): Promise<Held> {
    const parent = walked.at(-1)?.ino ?? rootIno
    const found = await this.#operations.lookup(parent, name, this.#context)
    if (found.kind === 'absent') throw new FileSystemError('ENOENT', 'lookup', { path })
    return { ino: found.attributes.ino, attributes: found.attributes }
  }
}

function namesOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '')
}
