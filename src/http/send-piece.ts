import { KiB, MiB } from '../byte-range.ts'

// How much of a request's body the socket is handed at once. A server that takes less than that in `sendMs` is taken for
// dead, and one that answers early is sent the rest of it: so pieces are small where they take long. Each costs a turn of
// the event loop: of 1 MiB instead of 256 KiB, they spare a tenth of an upload's processor time.

/** On a connection of which nothing is known: 9 kB/s are enough for it in 30 s. */
export const firstPieceBytes: number = 256 * KiB
const maxPieceBytes = MiB
/** 1 MiB in this is 10 MB/s; who goes on with less than 35 kB/s for 30 s is dead. */
const quickMs = 100

/** The size of the piece that follows one of `pieceBytes` that the socket took in `tookMs`. */
export function nextPieceBytes(pieceBytes: number, tookMs: number): number {
  if (tookMs > quickMs) return firstPieceBytes
  return Math.min(pieceBytes * 2, maxPieceBytes)
}
