import { KiB } from '../byte-range.ts'

/**
 * Chunks begin and end at multiples of this (or at the end of the blob). 64 KiB keeps what a random
 * 4 KiB read costs at 16 to 32 times its size, while a request's fixed cost still outweighs the
 * bytes.
 */
export const granuleBytes: number = 64 * KiB

/** The beginning of the granule that `offset` is in. */
export function alignDown(offset: number): number {
  return Math.floor(offset / granuleBytes) * granuleBytes
}

/** The next beginning of a granule at or after `offset`. */
export function alignUp(offset: number): number {
  return Math.ceil(offset / granuleBytes) * granuleBytes
}

/** Numbers of `count` granules. */
export function countedFrom(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index)
}

/** Consecutive numbers together. */
export function runsOf(granules: readonly number[]): number[][] {
  const runs: number[][] = []
  for (const granule of granules) {
    const last = runs.at(-1)
    if (last?.at(-1) === granule - 1) last.push(granule)
    else runs.push([granule])
  }
  return runs
}

/** What of `bytes`, which begin with a granule, is that of `count` others. */
export function part(bytes: Uint8Array, granule: number, count: number): Uint8Array {
  return bytes.subarray(granule * granuleBytes, (granule + count) * granuleBytes)
}
