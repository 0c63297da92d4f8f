import { MiB } from '../byte-range.ts'
import type { BlobReader } from './blob-reader.ts'

/** The largest request; also the memory that is taken at once. */
const maxPieceBytes = 16 * MiB
const firstPieceBytes = MiB
/** Pieces on their way or waiting: 32 MiB, as much as a cached reader fetches ahead. */
const piecesAhead = 2

/**
 * The bytes of `reader` from `start` to the end, in order. Each piece is read from the network into
 * memory of its own, which is nobody else's, and is not kept: for runs longer than what is worth
 * keeping. Pieces grow from 1 to 16 MiB, and two are under way at a time. Leaving the loop ends them.
 */
export async function* readAhead(
  reader: BlobReader,
  start: number,
): AsyncGenerator<Uint8Array, void> {
  const abort = new AbortController()
  const pieces: Promise<Uint8Array>[] = []
  let at = start
  let sizeBytes = firstPieceBytes
  const begin = () => {
    const target = Buffer.allocUnsafeSlow(Math.min(sizeBytes, reader.sizeBytes - at))
    const piece = reader
      .readInto(target, at, { signal: abort.signal })
      .then((count) => target.subarray(0, count))
    // A piece that nobody comes to ask for any more may fail unseen.
    piece.catch(() => undefined)
    pieces.push(piece)
    at += target.byteLength
    sizeBytes = Math.min(2 * sizeBytes, maxPieceBytes)
  }
  try {
    for (;;) {
      while (pieces.length < piecesAhead && at < reader.sizeBytes) begin()
      const piece = pieces.shift()
      if (piece === undefined) return
      yield await piece
    }
  } finally {
    abort.abort()
  }
}
