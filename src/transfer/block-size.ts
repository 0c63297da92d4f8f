import { maxBlockBytes, maxBlocks } from '../blob/validate.ts'
import { GiB, KiB, MiB } from '../byte-range.ts'

/** 190.7 TiB: as many of the largest blocks as one blob may have. */
export const maxBlobBytes: number = maxBlocks * maxBlockBytes

/**
 * A block is never larger than this share of what precedes it (but at least the base size), so that
 * what a writer holds in memory stays small beside what it has written.
 */
const growthDivisor = 1000
/**
 * From here on blocks are the whole of the usual memory budget anyway, and the blocks that are left count.
 * From 8 MiB blocks, 50,000 then reach 173 TiB; all of Azure's 190.7 TiB need 50,000 of the largest blocks,
 * which a writer that knows its size takes from the beginning.
 */
const steepFromBytes = 256 * GiB
const steepDivisor = 100

/** The size of the block that begins at `offset`, when blocks are at least `baseBytes`. */
export function blockBytesAt(offset: number, baseBytes: number): number {
  const divisor = offset < steepFromBytes ? growthDivisor : steepDivisor
  const grown = Math.floor(offset / divisor / KiB) * KiB
  return Math.min(Math.max(baseBytes, grown), maxBlockBytes)
}

/** The least base size with which `expectedBytes` fit into the blocks that a blob may have. */
export function baseBlockBytes(minBytes: number, expectedBytes: number | undefined): number {
  const needed = Math.ceil((expectedBytes ?? 0) / maxBlocks / MiB) * MiB
  return Math.min(Math.max(minBytes, needed), maxBlockBytes)
}
