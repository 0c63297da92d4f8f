import type { BlobProperties, BlobStore, Conditions, Metadata } from '../blob/store.ts'
import type { BlobPath } from '../path.ts'

export interface BlobWriterOptions {
  readonly store: BlobStore
  readonly path: BlobPath
  /** What must hold of the blob at the first commit; later ones carry our own last etag. */
  readonly conditions?: Conditions | undefined
  readonly metadata?: Metadata | undefined
  readonly contentType?: string | undefined
  /** The size of blocks to begin with; they grow with the blob. Default 8 MiB. */
  readonly blockBytes?: number | undefined
  /** Blocks under way at once. Default 4. */
  readonly concurrency?: number | undefined
  /** The size that is expected, when known: chooses blocks that reach it. */
  readonly expectedBytes?: number | undefined
}

export interface CommitOptions {
  /** Replaces the metadata that the blob gets, from this commit on. */
  readonly metadata?: Metadata | undefined
}

/** Writes one blob from its beginning to its end; visible at `commit`, all at once, or never. */
export class BlobWriter {
  readonly path: BlobPath

  constructor(options: BlobWriterOptions) {
    this.path = options.path
  }

  /** Bytes written up to here. */
  get sizeBytes(): number {
    throw new Error('not written')
  }

  /** Whether something was written, or nothing was ever committed, since the last commit. */
  get dirty(): boolean {
    throw new Error('not written')
  }

  /** Appends a copy of `data`; resolves when there is room for more. One call at a time. */
  write(_data: Uint8Array): Promise<void> {
    throw new Error('not written')
  }

  /** Makes all that was written the blob. `ESTALE` or `EEXIST` when the conditions fail. */
  commit(_options?: CommitOptions): Promise<BlobProperties> {
    throw new Error('not written')
  }

  /** Gives up what is not committed. Never throws. */
  abort(): Promise<void> {
    throw new Error('not written')
  }

  [Symbol.asyncDispose](): Promise<void> {
    throw new Error('not written')
  }
}
