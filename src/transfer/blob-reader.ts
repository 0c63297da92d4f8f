import type { BlobProperties, BlobStore, CallOptions } from '../blob/store.ts'
import type { ByteRange } from '../byte-range.ts'
import type { BlobPath } from '../path.ts'
import type { ChunkCache } from './chunk-cache.ts'

export interface BlobReaderOptions {
  readonly store: BlobStore
  readonly path: BlobPath
  /** As found at open: every byte comes from the version with this etag. */
  readonly properties: Pick<BlobProperties, 'etag' | 'sizeBytes'>
  /** Shared with other readers; absent: one of its own. */
  readonly cache?: ChunkCache | undefined
  /** How far ahead of a sequential reader bytes are fetched. Default 32 MiB; 0 never prefetches. */
  readonly maxWindowBytes?: number | undefined
  /** The largest request. Default 8 MiB. */
  readonly chunkBytes?: number | undefined
}

/** Reads one version of one blob at any offset, ahead of its caller when that reads in sequence. */
export class BlobReader {
  readonly path: BlobPath
  readonly sizeBytes: number

  constructor(options: BlobReaderOptions) {
    this.path = options.path
    this.sizeBytes = options.properties.sizeBytes
  }

  /**
   * The bytes of `range` as consecutive parts, which together are shorter past the end of the blob
   * and empty beyond it. The parts are views on shared memory: they may be kept, never written to.
   * `ESTALE` when the version found at open is gone.
   */
  read(_range: ByteRange, _options?: CallOptions): Promise<Uint8Array[]> {
    throw new Error('not written')
  }

  /** Continues under a later etag of the same content, as after a change of metadata alone. */
  repin(_etag: string): void {
    throw new Error('not written')
  }

  /** Ends what is being fetched for this reader alone. Never throws. */
  close(): void {
    throw new Error('not written')
  }
}
