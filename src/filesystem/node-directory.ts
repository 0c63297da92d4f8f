import { FileSystemError } from '../errors.ts'
import type { NodeDirent } from './node-stats.ts'

/** An open directory in the shape of Node's `Dir`: what is in it, as it was when it was opened. */
export class NodeDirectory {
  /** The path that it was opened by. */
  readonly path: string
  readonly #entries: Iterator<NodeDirent>
  #isClosed = false

  constructor(path: string, entries: Iterable<NodeDirent>) {
    this.path = path
    this.#entries = entries[Symbol.iterator]()
  }

  /** The next entry; `null` after the last. `EBADF` once it is closed. */
  async read(): Promise<NodeDirent | null> {
    if (this.#isClosed) throw new FileSystemError('EBADF', 'readdir', { path: this.path })
    const { done, value } = this.#entries.next()
    return done ? null : value
  }

  /** Ends reading; iterating to the end does not. Twice is once. */
  async close(): Promise<void> {
    this.#isClosed = true
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<NodeDirent, void> {
    for (let entry = await this.read(); entry !== null; entry = await this.read()) yield entry
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
