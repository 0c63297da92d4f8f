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
