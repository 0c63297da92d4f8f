import type { NodeDirent } from './node-stats.ts'

/** An open directory in the shape of Node's `Dir`: what is in it, as it was when it was opened. */
export class NodeDirectory {
  /** The path that it was opened by. */
  readonly path: string
  readonly #entries: Iterator<NodeDirent>

  constructor(path: string, entries: Iterable<NodeDirent>) {
    this.path = path
    this.#entries = entries[Symbol.iterator]()
  }

  /** The next entry; `null` after the last. */
  async read(): Promise<NodeDirent | null> {
    const { done, value } = this.#entries.next()
    return done ? null : value
  }

  async close(): Promise<void> {}

  async *[Symbol.asyncIterator](): AsyncGenerator<NodeDirent, void> {
    for (let entry = await this.read(); entry !== null; entry = await this.read()) yield entry
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
