import type { CopiedEntry, MovedBlob } from '../namespace/namespace.ts'
import type { BlobPath } from '../path.ts'
import type { Inode } from './inode-table.ts'

/** What a rename tells of the known files below the name that moves. */
export class MovedFiles {
  readonly #from: BlobPath
  readonly #top: Inode
  readonly #moved = new Map<Inode, MovedBlob>()

  /** `top` moves, and has been called `from`. */
  constructor(from: BlobPath, top: Inode) {
    this.#from = from
    this.#top = top
  }

  /** Which version was copied, and as what; `undefined` where nothing was copied, or nobody knew of the file. */
  of(inode: Inode): MovedBlob | undefined {
    return this.#moved.get(inode)
  }

  readonly note = (blob: MovedBlob): void => {
    const { name: top } = this.#from
    const { name } = blob.from
    // A rename that was left may be finished before, of another tree.
    if (name !== top && !name.startsWith(`${top}/`)) return
    const names = name.slice(top.length).split('/').slice(1)
    let inode: Inode | undefined = this.#top
    for (const name of names) inode = inode?.children.get(name)
    if (inode !== undefined && inode.type !== 'directory') this.#moved.set(inode, blob)
  }

  /** As `note`, where a file moved. */
  noteFile({ source, copied }: CopiedEntry): void {
    if (source.etag === undefined || copied.etag === undefined) return
    this.note({ from: this.#from, sourceEtag: source.etag, targetEtag: copied.etag })
  }
}
