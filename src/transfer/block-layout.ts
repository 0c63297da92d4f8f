import { type ByteRange, KiB } from '../byte-range.ts'
import type { FileContent } from './file-content.ts'

/** A part of a block that did not change and is smaller than this is not worth a request of its own. */
export const minCopiedBytes: number = 256 * KiB
/** Edits leave so many blocks at most where one would do, before that one is sent again. */
export const maxFragments = 16

/** A block and where in the file it lies. */
export interface PlacedBlock extends ByteRange {
  readonly id: string
}

/** What `blocks` leave free before `sizeBytes`. */
export function gapsBetween(blocks: readonly ByteRange[], sizeBytes: number): ByteRange[] {
  const gaps: ByteRange[] = []
  let at = 0
  for (const { start, end } of [...blocks].sort((a, b) => a.start - b.start)) {
    if (start > at) gaps.push({ start: at, end: start })
    at = Math.max(at, end)
  }
  if (at < sizeBytes) gaps.push({ start: at, end: sizeBytes })
  return gaps
}

/** Without the blocks of a cell that has too many of them, where something is to be stored anyway. */
export function withoutCrowds(
  blocks: readonly PlacedBlock[],
  sizeBytes: number,
  cellBytes: number,
): PlacedBlock[] {
  const cellOf = (offset: number): number => Math.floor(offset / cellBytes)
  const counts = new Map<number, number>()
  for (const { start } of blocks) counts.set(cellOf(start), (counts.get(cellOf(start)) ?? 0) + 1)
  const crowded = new Set<number>()
  for (const gap of gapsBetween(blocks, sizeBytes)) {
    for (const { start } of cutAtMultiples(gap, cellBytes)) {
      if ((counts.get(cellOf(start)) ?? 0) >= maxFragments) crowded.add(cellOf(start))
    }
  }
  return blocks.filter(
    ({ start, end }) => !crowded.has(cellOf(start)) || cellOf(end - 1) !== cellOf(start),
  )
}

export function cutAtMultiples(range: ByteRange, cellBytes: number): ByteRange[] {
  const pieces: ByteRange[] = []
  for (let start = range.start; start < range.end; ) {
    const end = Math.min((Math.floor(start / cellBytes) + 1) * cellBytes, range.end)
    pieces.push({ start, end })
    start = end
  }
  return pieces
}

/** Cuts `cell` so that what is as stored, and long enough, is apart from what changed. */
export function cutWhereStored(content: FileContent, cell: ByteRange): ByteRange[] {
  const pieces: { start: number; end: number }[] = []
  let at = cell.start
  for (const change of content.changesIn(cell)) {
    const last = pieces.at(-1)
    const isFar = change.start - at >= minCopiedBytes
    if (isFar) pieces.push({ start: at, end: change.start })
    if (isFar || last === undefined) {
      pieces.push({ start: isFar ? change.start : at, end: change.end })
    } else last.end = change.end
    at = change.end
  }
  const last = pieces.at(-1)
  if (last === undefined || cell.end - at >= minCopiedBytes)
    pieces.push({ start: at, end: cell.end })
  else last.end = cell.end
  return pieces.filter(({ start, end }) => end > start)
}
