import { MiB } from '../byte-range.ts'

/**
 * How an open file is fetched, by fsspec's names. All share one memory of blocks, by path and version.
 *
 * - `readahead` (the default), `background`, `parts`: ahead of who reads in sequence, in a window that
 *   grows to 32 MiB;
 * - `none`, `bytes`, `block`, `first`, `mmap`: what is read, rounded to blocks, and nothing ahead;
 * - `all`: ahead to the end of the file;
 * - `{ aheadBytes }`: ahead of who reads in sequence, so far.
 */
export type CacheType =
  | 'readahead'
  | 'background'
  | 'parts'
  | 'none'
  | 'bytes'
  | 'block'
  | 'blockcache'
  | 'first'
  | 'mmap'
  | 'all'
  | { readonly aheadBytes: number }

const windows: Readonly<Record<string, number>> = {
  readahead: 32 * MiB,
  background: 32 * MiB,
  parts: 32 * MiB,
  none: 0,
  bytes: 0,
  block: 0,
  first: 0,
  mmap: 0,
  all: Number.MAX_SAFE_INTEGER,
}

/** How far ahead of a sequential reader a file of `sizeBytes` is fetched, bytes. */
export function windowOf(type: CacheType, sizeBytes: number): number {
  const window = typeof type === 'object' ? type.aheadBytes : named(type)
  if (window === undefined || !(window >= 0)) {
    const known = Object.keys(windows).join(', ')
    throw new TypeError(
      `cacheType: expected one of ${known} or { aheadBytes }, got ${JSON.stringify(type)}`,
    )
  }
  return Math.min(window, Math.max(sizeBytes, 32 * MiB))
}

function named(type: string): number | undefined {
  const name = type === 'blockcache' ? 'block' : type
  return Object.hasOwn(windows, name) ? windows[name] : undefined
}
