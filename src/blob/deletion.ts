import type { FileSystemError } from '../errors.ts'
import type { BlobPath } from '../path.ts'
import type { CallOptions, Conditions } from './store.ts'

/** A blob that is to go, and what must be true of it. */
export interface Deletion extends Pick<Conditions, 'ifMatch'> {
  readonly path: BlobPath
}

export interface DeleteManyOptions extends CallOptions {
  /** Of requests for single blobs, where it takes these, how many at once. */
  readonly concurrency?: number | undefined
}

/** As {@link BlobStore.deleteMany}. */
export type DeleteMany = (
  deletions: readonly Deletion[],
  options?: DeleteManyOptions,
) => Promise<readonly (FileSystemError | undefined)[]>
