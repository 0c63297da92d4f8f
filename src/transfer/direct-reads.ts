import { type ByteRange, lengthOf, MiB, splitRange } from '../byte-range.ts'
import { forEachConcurrent } from '../concurrency.ts'
import type { BlobReader } from './blob-reader.ts'
import type { BlobStream } from './blob-stream.ts'
import type { VersionSource } from './version-source.ts'

/**
 * Pieces of a read past the memory: each costs the service and both ends a request, and a broken one
 * is sent again whole.
 */
const directPieceBytes = 16 * MiB
const directInFlight = 4

export interface DirectReadsOptions {
  /** Opens the streams, and says which bytes are right. */
  readonly reader: Pick<BlobReader, 'stream' | 'fillFrom' | 'sizeBytes'>
  readonly source: VersionSource
  /** The largest request of the reader; no piece here is smaller. */
  readonly pieceBytes: number
}

/** Reads of one reader that go past the memory: by one request that lasts as long as they follow each other. */
export class DirectReads {
  readonly #options: DirectReadsOptions
  #stream: BlobStream | undefined
  #end = -1

  constructor(options: DirectReadsOptions) {
    this.#options = options
  }

  /** Fills `target` with the bytes of `wanted`. */
  async fill(target: Uint8Array, wanted: ByteRange, signal: AbortSignal): Promise<void> {
    if (await this.#fillByStream(target, wanted, signal)) return
    const { source, pieceBytes } = this.#options
    const pieces = splitRange(wanted, Math.max(pieceBytes, directPieceBytes))
    await forEachConcurrent(pieces, directInFlight, async (piece) => {
      const into = target.subarray(piece.start - wanted.start, piece.end - wanted.start)
      await source.fill(piece, into, signal)
    })
  }

  /** Ends what is under way. */
  close(): void {
    this.#stream?.close()
  }

  /**
   * Fills `target` from one request, and says whether it could. The first read asks for what it wants;
   * one that continues it asks for all that is left, and the next ones go on with that.
   */
  async #fillByStream(
    target: Uint8Array,
    wanted: ByteRange,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { start, end } = wanted
    const { reader } = this.#options
    const isNext = start === this.#end
    this.#end = end
    if (this.#stream?.canFill(start, end - start) !== true) {
      this.#stream?.close()
      this.#stream = reader.stream(start, isNext ? reader.sizeBytes : end)
    }
    if (this.#stream === undefined || end === start) return false
    return reader.fillFrom(this.#stream, target.subarray(0, lengthOf(wanted)), signal)
  }
}
