import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { BlobStore } from './store.ts'
import { StoreView } from './store-view.ts'

/** Another view of a store, for those who only read: whatever would change it is `EROFS`. */
export abstract class ReadOnlyStore extends StoreView implements BlobStore {
  readonly #why: string

  constructor(store: BlobStore, why: string) {
    super(store)
    this.#why = why
  }

  put = (path: BlobPath): Promise<never> => this.#refuse(path, 'blob.put')
  stageBlock = (path: BlobPath): Promise<never> => this.#refuse(path, 'blob.stageBlock')
  stageBlockFrom = (path: BlobPath): Promise<never> => this.#refuse(path, 'blob.stageBlockFrom')
  getBlocks = (path: BlobPath): Promise<never> => this.#refuse(path, 'blob.getBlocks')
  getStagedBlocks = (path: BlobPath): Promise<never> => this.#refuse(path, 'blob.getStagedBlocks')
  commitBlocks = (path: BlobPath): Promise<never> => this.#refuse(path, 'blob.commitBlocks')
  appendBlock = (path: BlobPath): Promise<never> => this.#refuse(path, 'blob.appendBlock')
  setMetadata = (path: BlobPath): Promise<never> => this.#refuse(path, 'blob.setMetadata')
  copy = (_from: BlobPath, to: BlobPath): Promise<never> => this.#refuse(to, 'blob.copy')
  delete = (path: BlobPath): Promise<never> => this.#refuse(path, 'blob.delete')
  createContainer = (container: string): Promise<never> =>
    this.#refuse({ container, name: '' }, 'container.create')
  deleteContainer = (container: string): Promise<never> =>
    this.#refuse({ container, name: '' }, 'container.delete')

  #refuse(path: BlobPath, syscall: string): Promise<never> {
    const detail = this.#why
    return Promise.reject(new FileSystemError('EROFS', syscall, { path: formatPath(path), detail }))
  }
}
