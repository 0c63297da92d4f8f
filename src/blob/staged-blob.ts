import type { BlobPath } from '../path.ts'
import type { CommitOptions } from './store.ts'

/** A blob whose bytes are all staged and not committed, and what else it is to get: nobody sees it, and anybody can commit it. */
export interface StagedBlob
  extends Pick<
    CommitOptions,
    'ifMatch' | 'ifNoneMatch' | 'metadata' | 'contentType' | 'headers' | 'tier' | 'tags' | 'crc64'
  > {
  readonly path: BlobPath
  /** In order; none for an empty blob. */
  readonly blockIds: readonly string[]
  readonly sizeBytes: number
}
