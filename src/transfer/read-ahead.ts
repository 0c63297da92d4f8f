import { type ByteRange, MiB } from '../byte-range.ts'
import type { BlobReader } from './blob-reader.ts'
import type { BlobStream } from './blob-stream.ts'

/** The largest request; also the memory that is taken at once. */
const maxPieceBytes = 16 * MiB
const firstPieceBytes = MiB
/** Pieces on their way or waiting: 32 MiB, as much as a cached reader fetches ahead. */
const piecesAhead = 2
/** What a stream is cut into, and how much of it waits for the caller: 4 MiB. */
const streamPieceBytes = MiB
const streamPiecesAhead = 4

/**
 * The bytes of `reader` from `start` to the end, in order. Each piece is read from the network into
 * memory of its own, which is nobody else's, and is not kept: for runs longer than what is worth
 * keeping. A near service is asked once for all of it; of others, and where one connection is slow, pieces that grow from 1 to 16 MiB
 * are asked, two at a time. Leaving the loop ends what is under way.
 */
export async function* readAhead(
  reader: BlobReader,
  start: number,
): AsyncGenerator<Uint8Array, void> {
  const abort = new AbortController()
  const { signal } = abort
  await reader.look({ start, end: Math.min(start + maxPieceBytes, reader.sizeBytes) })
  const stream = reader.stream(start)
  const isStream = () => stream?.canFill(stream.position, 0) === true
  const pieces = piecesOf(reader, start, isStream)
  const pending: Promise<Uint8Array>[] = []
  try {
    for (;;) {
      while (pending.length < (isStream() ? streamPiecesAhead : piecesAhead)) {
        const piece = pieces.next()
        if (piece.done === true) break
        const bytes = readPiece(reader, piece.value, { stream, signal })
        // A piece that nobody comes to ask for any more may fail unseen.
        bytes.catch(() => undefined)
        pending.push(bytes)
      }
      const bytes = pending.shift()
      if (bytes === undefined) return
      yield await bytes
    }
  } finally {
    abort.abort()
    stream?.close()
  }
}

function* piecesOf(
  reader: BlobReader,
  start: number,
  isStream: () => boolean,
): Generator<ByteRange, void> {
  let sizeBytes = firstPieceBytes
  for (let at = start; at < reader.sizeBytes; ) {
    const end = Math.min(at + (isStream() ? streamPieceBytes : sizeBytes), reader.sizeBytes)
    yield { start: at, end }
    at = end
    if (!isStream()) sizeBytes = Math.min(2 * sizeBytes, maxPieceBytes)
  }
}

async function readPiece(
  reader: BlobReader,
  { start, end }: ByteRange,
  way: { readonly stream: BlobStream | undefined; readonly signal: AbortSignal },
): Promise<Uint8Array> {
  const target = Buffer.allocUnsafeSlow(end - start)
  if (way.stream !== undefined && (await reader.fillFrom(way.stream, target, way.signal)))
    return target
  return target.subarray(0, await reader.readInto(target, start, { signal: way.signal }))
}
