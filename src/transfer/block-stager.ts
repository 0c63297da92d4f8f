import type { BlobStore } from '../blob/store.ts'
import type { BlobPath } from '../path.ts'

export interface BlockStagerOptions {
  readonly store: BlobStore
  readonly path: BlobPath
  /** Blocks under way at once. Default 4. */
  readonly concurrency?: number | undefined
}

/** A block's bytes, or what produces them when its turn comes. Not to be changed until settled. */
export type BlockSource = Uint8Array | (() => Promise<Uint8Array>)

/**
 * Uploads blocks of one blob, several at a time. Nothing becomes visible: the ids are for
 * `commitBlocks`. The first failure is kept: every later `stage` and `drain` rejects with it.
 */
export class BlockStager {
  constructor(_options: BlockStagerOptions) {}

  /**
   * Starts the upload of a block and resolves to its id as soon as there is room for the next one;
   * `onSettled` runs when the bytes are no longer needed.
   */
  stage(_source: BlockSource, _onSettled?: () => void): Promise<string> {
    throw new Error('not written')
  }

  /** Resolves when all blocks are staged. */
  drain(): Promise<void> {
    throw new Error('not written')
  }

  /** Cancels what is under way and resolves when it has ended. Never throws. */
  abort(): Promise<void> {
    throw new Error('not written')
  }
}
