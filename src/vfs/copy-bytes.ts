import { type ByteRange, lengthOf, MiB, splitRange } from '../byte-range.ts'

/** What one call copies at most: the caller comes back for the rest. */
const maxCopyBytes = 64 * MiB

export interface CopyEnds {
  read(range: ByteRange): Promise<readonly Uint8Array[]>
  /** Takes `data` at `offsetBytes` from where the copy begins. */
  write(offsetBytes: number, data: Uint8Array): Promise<number>
}

/** Copies what there is of a range, piece by piece; how many bytes that were. */
export async function copyBytes({ start, end }: ByteRange, ends: CopyEnds): Promise<number> {
  let done = 0
  for (const piece of splitRange({ start, end: Math.min(end, start + maxCopyBytes) }, 4 * MiB)) {
    const parts = await ends.read(piece)
    const bytes = parts.reduce((sum, { length }) => sum + length, 0)
    for (const part of parts) {
      await ends.write(done, part)
      done += part.length
    }
    if (bytes < lengthOf(piece)) break
  }
  return done
}
