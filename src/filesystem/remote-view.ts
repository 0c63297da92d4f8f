import { isFileSystemError } from '../errors.ts'
import type { Namespace, StatOptions } from '../namespace/namespace.ts'
import { collectPages, inTurns } from '../turns.ts'
import { collectByName } from './by-name.ts'
import { bareDirectory, type FileInfo, pathOf, toFileInfo } from './file-info.ts'
import { prefixInside, type TreeListing, type TreeView } from './tree-view.ts'

/** The account as a tree: containers at the root, then directories and files. */
export class RemoteView implements TreeView<FileInfo> {
  readonly #namespace: Namespace
  readonly #metadata: boolean

  /** With `metadata` listings always tell it, whatever a call says; see `StatOptions`. */
  constructor(namespace: Namespace, options: { readonly metadata?: boolean } = {}) {
    this.#namespace = namespace
    this.#metadata = options.metadata ?? false
  }

  /** `ENOENT` when nothing has that name. */
  async info(name: string, options: StatOptions = {}): Promise<FileInfo> {
    options.signal?.throwIfAborted()
    if (name === '') return bareDirectory('')
    const path = pathOf(name)
    return toFileInfo(path.container, await this.#namespace.stat(path, options))
  }

  async stat(name: string, options: StatOptions = {}): Promise<FileInfo | undefined> {
    try {
      return await this.info(name, options)
    } catch (error) {
      return undefinedIfMissing(error)
    }
  }

  async list(name: string, options: StatOptions = {}): Promise<readonly FileInfo[]> {
    try {
      return await collectPages(this.#children(name, options))
    } catch (error) {
      return undefinedIfMissing(error) ?? []
    }
  }

  /** The children by name; a file's own entry. `ENOENT` when nothing has that name. */
  async listOrSelf(name: string, options: StatOptions = {}): Promise<FileInfo[]> {
    try {
      return await collectByName(this.#children(name, options))
    } catch (error) {
      if (isFileSystemError(error, 'ENOTDIR')) return [await this.info(name, options)]
      throw error
    }
  }

  async *listTree(
    name: string,
    options: StatOptions & TreeListing = {},
  ): AsyncGenerator<readonly FileInfo[], void> {
    if (name === '') return yield* this.#listContainers(options)
    const path = pathOf(name)
    const { signal, prefix } = options
    const metadata = this.#metadata || options.metadata
    const tree = { signal, metadata, prefix, directories: true }
    try {
      for await (const page of this.#namespace.listTreePages(path, tree)) {
        signal?.throwIfAborted()
        yield page.map((entry) => toFileInfo(path.container, entry))
      }
    } catch (error) {
      undefinedIfMissing(error)
    }
  }

  async *#listContainers(
    options: StatOptions & TreeListing,
  ): AsyncGenerator<readonly FileInfo[], void> {
    for (const container of await this.#containers(options)) {
      const prefix = prefixInside(container.name, options.prefix ?? '')
      if (prefix === undefined) continue
      yield [container]
      yield* this.listTree(container.name, { ...options, prefix })
    }
  }

  async *#children(name: string, options: StatOptions): AsyncGenerator<readonly FileInfo[], void> {
    // What is remembered asks nobody who would look.
    options.signal?.throwIfAborted()
    if (name === '') return yield await this.#containers(options)
    const path = pathOf(name)
    const metadata = this.#metadata || options.metadata
    for await (const entries of this.#namespace.listPages(path, { ...options, metadata })) {
      for await (const part of inTurns(entries)) {
        yield part.map((entry) => toFileInfo(path.container, entry))
      }
    }
  }

  async #containers(options: StatOptions): Promise<FileInfo[]> {
    const containers: FileInfo[] = []
    const { signal } = options
    for await (const { name, lastModifiedMs } of this.#namespace.store.listContainers({ signal })) {
      containers.push(bareDirectory(name, lastModifiedMs))
    }
    return containers
  }
}

/** `undefined` for ENOENT and ENOTDIR; throws all others. */
function undefinedIfMissing(error: unknown): undefined {
  if (isFileSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined
  throw error
}
