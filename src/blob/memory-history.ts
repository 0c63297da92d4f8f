import type { BlobPath } from '../path.ts'
import type { BlobHistory, SnapshotOptions } from './administration.ts'
import type { MemoryAccount } from './memory-account.ts'
import { MemoryTree, refusal } from './memory-tree.ts'
import type { BlobStore, CallOptions, FormerId } from './store.ts'

/** Former states of what a store in memory holds. */
export class MemoryHistory implements BlobHistory {
  readonly #store: BlobStore
  readonly #tree: MemoryTree

  /** `state` is what `store` works on. */
  constructor(store: BlobStore, state: MemoryAccount) {
    this.#store = store
    this.#tree = new MemoryTree(state)
  }

  async createSnapshot(path: BlobPath, options: SnapshotOptions = {}): Promise<string> {
    const subject = { path, syscall: 'blob.createSnapshot' }
    await this.#store.get(path, { ...options, range: { start: 0, end: 0 } })
    const blob = this.#tree.existing(subject, 'BlobNotFound')
    return this.#tree.container(subject).past.takeSnapshot(path.name, blob, options.metadata)
  }

  async restore(path: BlobPath, former: FormerId, options: CallOptions = {}): Promise<void> {
    const { data, properties } = await this.#store.get(path, { ...options, former })
    const { metadata, contentType, headers } = properties
    await this.#store.put(path, data, { ...options, metadata, contentType, headers })
  }

  async deleteFormer(path: BlobPath, former: FormerId, options: CallOptions = {}): Promise<void> {
    const subject = { path, syscall: 'blob.deleteFormer' }
    await this.#store.head(path, { ...options, former })
    const { past } = this.#tree.container(subject)
    if (past.remove(path.name, former)) return
    throw refusal('EACCES', subject, 'OperationNotAllowedOnRootBlob')
  }

  async undelete(path: BlobPath, options: CallOptions = {}): Promise<void> {
    options.signal?.throwIfAborted()
    const subject = { path, syscall: 'blob.undelete' }
    const container = this.#tree.container(subject)
    const current = container.get(path.name)
    if (current === undefined && !container.past.has(path.name)) {
      throw refusal('ENOENT', subject, 'BlobNotFound')
    }
    const back = container.past.undelete(path.name)
    if (current !== undefined || back === undefined) return
    if (this.#tree.account.hierarchical) this.#tree.makeParents(subject)
    container.set(path.name, back)
  }
}
