import type { BlobStore, CallOptions } from '../blob/store.ts'
import type { BlobPath } from '../path.ts'
import type { ChunkCache } from './chunk-cache.ts'
import { ChunkFetches } from './chunk-fetches.ts'
import { VersionSource } from './version-source.ts'

/** Which version of which small blob. */
export interface SmallVersion {
  readonly path: BlobPath
  readonly etag: string
  readonly sizeBytes: number
}

/** Files that were fetched before anybody opened them, and those of them that somebody opened. */
export interface AheadCounts {
  fetchedFiles: number
  fetchedBytes: number
  usedFiles: number
  usedBytes: number
}

export interface FetchWholeOptions extends CallOptions {
  readonly store: BlobStore
  readonly cache: ChunkCache
}

/**
 * Fetches all of a version into `cache` by one request, for those who will read it; false, and no request, where something
 * of it is in memory or on its way, or all on the disk. Errors as `BlobReader.read`; what a reader waits for is not cancelled.
 */
export async function fetchWhole(
  { path, etag, sizeBytes }: SmallVersion,
  { store, cache, signal }: FetchWholeOptions,
): Promise<boolean> {
  const { endpoint } = store
  const version = cache.open({ endpoint, path, etag, sizeBytes })
  const { disk } = version
  const source = new VersionSource({ store, path, sizeBytes, disk, etag: () => version.etag })
  const fetches = new ChunkFetches(version, source)
  const whole = { start: 0, end: sizeBytes }
  const cancel = () => fetches.close()
  try {
    await disk?.look(whole)
    signal?.throwIfAborted()
    if (!version.isEmpty || disk?.holds(whole) === true) return false
    const chunk = fetches.start(whole, { ahead: true })
    signal?.addEventListener('abort', cancel)
    await chunk.loaded
    return true
  } finally {
    signal?.removeEventListener('abort', cancel)
    cache.close(version)
  }
}
