import type { CallOptions } from '../blob/store.ts'
import { GatheredDeletes } from '../namespace/gathered-deletes.ts'
import type { BlobPath } from '../path.ts'
import { pathOf } from './file-info.ts'
import type { Remote } from './remote.ts'

interface FileRemovalOptions extends CallOptions {
  /** Of the lock that the caller holds on the one file. */
  readonly leaseId?: string | undefined
}

/** Deletes files by name; on flat accounts those that are asked for at the same time share requests. */
export class FileRemovals {
  /** How many are to be under way, so that requests become full. */
  readonly limit: number
  readonly #remote: Remote
  readonly #options: FileRemovalOptions
  /** By container. */
  readonly #shared: ReadonlyMap<string, GatheredDeletes>

  private constructor(
    remote: Remote,
    shared: ReadonlyMap<string, GatheredDeletes>,
    options: FileRemovalOptions,
  ) {
    this.#remote = remote
    this.#shared = shared
    this.#options = options
    const limits = [...shared.values()].map(({ limit }) => limit)
    this.limit = Math.max(remote.concurrency, ...limits)
  }

  /** Who deletes one file shares with nobody, nor does a holder of a lock. */
  static async of(
    remote: Remote,
    files: readonly { readonly name: string }[],
    options: FileRemovalOptions,
  ): Promise<FileRemovals> {
    const shared = new Map<string, GatheredDeletes>()
    const { signal, leaseId } = options
    if (files.length > 1 && leaseId === undefined) {
      for (const container of new Set(files.map(({ name }) => pathOf(name).container))) {
        if (await remote.namespace.isHierarchical(container, { signal })) continue
        const { store, concurrency } = remote
        shared.set(container, new GatheredDeletes(store, { signal, concurrency }))
      }
    }
    return new FileRemovals(remote, shared, { signal, leaseId })
  }

  /** Whether its deletion may share a request with others. */
  isShared(path: BlobPath): boolean {
    return this.#shared.has(path.container)
  }

  /** As `Namespace.removeFile`. */
  remove(path: BlobPath): Promise<void> {
    const deletes = this.#shared.get(path.container)
    return this.#remote.namespace.removeFile(path, { ...this.#options, deletes })
  }
}
