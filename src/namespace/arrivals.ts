import type { BlobProperties, CallOptions } from '../blob/store.ts'
import type { BlobPath } from '../path.ts'
import type { NamespaceParts } from './directories.ts'
import { unlessMissing } from './lookup.ts'
import { at } from './move-blob.ts'
import type { CopiedBlob } from './rename-records.ts'
import { blobPagesBelow } from './tree.ts'

type Arrived = Pick<BlobProperties, 'etag' | 'sizeBytes'>

/** A page, most of which nobody asks about: the listing would be held as a whole. */
const mostWaiting = 5000

/** What lies at the destination of a rename, from one listing that is read as far as it is asked about. */
export class Arrivals {
  readonly #parts: NamespaceParts
  readonly #to: BlobPath
  readonly #options: CallOptions
  readonly #pages: ReturnType<typeof blobPagesBelow>
  /** Listed, and not asked about yet: few, because copies are asked about in a listing's order. */
  readonly #waiting = new Map<string, Arrived>()

  constructor(parts: NamespaceParts, to: BlobPath, options: CallOptions) {
    this.#parts = parts
    this.#to = to
    this.#options = options
    this.#pages = blobPagesBelow(parts, to, options)
  }

  /** What lies there in the place of `blob`, once, as far as it was listed: nothing is waited for. */
  take(blob: CopiedBlob): Arrived | undefined {
    const { name } = at(this.#to, blob)
    const found = this.#waiting.get(name)
    this.#waiting.delete(name)
    return found
  }

  /** As `take`, with as much of the listing as that needs; `undefined` where nothing lies there. */
  async find(blob: CopiedBlob): Promise<Arrived | undefined> {
    if (blob.suffix === '') return unlessMissing(this.#parts.store.head(this.#to, this.#options))
    return this.#readFor(blob, Number.POSITIVE_INFINITY)
  }

  /** As `find`, for blobs of which many may be gone: `undefined` too for what is not in the next page. */
  async findNear(blob: CopiedBlob): Promise<Arrived | undefined> {
    return blob.suffix === '' ? this.find(blob) : this.#readFor(blob, mostWaiting)
  }

  /** Reads on while no more than `most` wait. */
  async #readFor(blob: CopiedBlob, most: number): Promise<Arrived | undefined> {
    for (;;) {
      const found = this.take(blob)
      if (found !== undefined || this.#waiting.size > most) return found
      const next = await this.#pages.next()
      if (next.done === true) return undefined
      for (const { name, properties } of next.value) this.#waiting.set(name, properties)
    }
  }
}
