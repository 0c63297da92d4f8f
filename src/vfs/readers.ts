import type { Entry } from '../namespace/entry.ts'
import { beginWithFound } from './first-read.ts'
import type { Inode } from './inode-table.ts'
import { PinnedReader } from './pinned-reader.ts'
import { SiblingReads } from './sibling-reads.ts'
import type { Tree } from './tree.ts'

interface ReadersOptions {
  readonly tree: Tree
  readonly hasRoomAhead?: (() => boolean) | undefined
  /** Whether small files are fetched before they are opened. Default true. */
  readonly prefetchFiles?: boolean | undefined
}

/** Those who read files of a mount. */
export class Readers {
  readonly #tree: Tree
  readonly #siblings: SiblingReads | undefined
  /** Hears of inodes of which somebody reads another version. */
  onPinned: ((inode: Inode) => void) | undefined

  constructor({ tree, hasRoomAhead, prefetchFiles = true }: ReadersOptions) {
    this.#tree = tree
    if (prefetchFiles) this.#siblings = new SiblingReads({ tree, hasRoomAhead })
  }

  /** One who reads `inode` as `entry`, the version that was found. */
  open(inode: Inode, entry: Entry): PinnedReader {
    const { namespace, chunkCache } = this.#tree
    const reader = new PinnedReader({
      store: namespace.store,
      chunkCache,
      path: () => this.#tree.pathOf(inode),
      entry,
      refresh: () => this.#refresh(inode),
      mayServe: ({ etag }) => {
        inode.cachedEtag ??= etag
        return inode.cachedEtag === etag
      },
      settling: () => inode.settling,
      whenMoved: () => this.#tree.whenMoved(inode),
      onPinned: () => this.onPinned?.(inode),
      onMissed: this.#siblings?.opened(inode, entry),
    })
    inode.readers.add(reader)
    return reader
  }

  /** Nothing is read ahead any more. */
  close(): void {
    this.#siblings?.close()
  }

  async #refresh(inode: Inode): Promise<Entry> {
    const path = this.#tree.pathOf(inode)
    if (inode.unlinked) throw this.#tree.failure('ENOENT', 'read', path)
    const entry = await this.#tree.stat(path, { fresh: true })
    // Others have it open, or have read from the version before: the kernel would mix them.
    if (!(await beginWithFound(this.#tree, inode, entry)))
      throw this.#tree.failure('ENOENT', 'read', path)
    return entry
  }
}
