export const KiB: number = 1024
export const MiB: number = 1024 * KiB
export const GiB: number = 1024 * MiB

/** A half-open range of bytes: `start` is included, `end` is not. Both count from zero. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** The number of bytes in `range`. */
export function lengthOf(range: ByteRange): number {
  return range.end - range.start
}

/** `range` cut to what lies within `[0, sizeBytes)`; empty (start = end) when nothing does. */
export function clampRange(range: ByteRange, sizeBytes: number): ByteRange {
  const start = Math.min(Math.max(range.start, 0), sizeBytes)
  return { start, end: Math.min(Math.max(range.end, start), sizeBytes) }
}

/** Cuts `range` into consecutive pieces of at most `pieceBytes` bytes. */
export function splitRange(range: ByteRange, pieceBytes: number): ByteRange[] {
  const pieces: ByteRange[] = []
  for (let start = range.start; start < range.end; start += pieceBytes) {
    pieces.push({ start, end: Math.min(start + pieceBytes, range.end) })
  }
  return pieces
}

/** A number of bytes, or of the unit behind it: `10G` are ten gibibytes; `undefined` for what is none. */
export function parseByteCount(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?$/i.exec(text) ?? []
  const power = ['', 'K', 'M', 'G', 'T'].indexOf(unit.toUpperCase())
  return digits === undefined ? undefined : Math.floor(Number(digits) * 1024 ** power)
}
