import { lengthOf } from '../byte-range.ts'
import type { Chunk } from './chunk.ts'

/** Chunks that were read to their end, in that order. */
export class SpentChunks {
  readonly #maxBytes: number
  readonly #chunks = new Set<Chunk>()
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Takes `chunk` in and has `letGo` called, which deletes them, for the oldest of what is too much. */
  add(chunk: Chunk, letGo: (oldest: Chunk) => void): void {
    if (this.#chunks.has(chunk)) return
    this.#chunks.add(chunk)
    this.#bytes += lengthOf(chunk)
    for (const oldest of this.#chunks) {
      if (this.#bytes <= this.#maxBytes) return
      letGo(oldest)
    }
  }

  delete(chunk: Chunk): void {
    if (this.#chunks.delete(chunk)) this.#bytes -= lengthOf(chunk)
  }
}
