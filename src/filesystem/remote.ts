import type { Tags } from '../blob/administration.ts'
import type { BlobStore, LendRead } from '../blob/store.ts'
import type { Clock } from '../clock.ts'
import type { Limiter } from '../concurrency.ts'
import type { Namespace } from '../namespace/namespace.ts'
import type { BlobPath } from '../path.ts'
import type { ChunkCache } from '../transfer/chunk-cache.ts'
import type { MemoryBudget } from '../transfer/memory-budget.ts'
import type { CachePolicy } from './cache-type.ts'
import type { RemoteView } from './remote-view.ts'

/** What the operations of one file system share. */
export interface Remote {
  readonly store: BlobStore
  readonly namespace: Namespace
  readonly chunkCache: ChunkCache
  /** Ways to fetch open files that a program named itself. */
  readonly caches: Map<string, CachePolicy>
  readonly clock: Clock
  readonly view: RemoteView
  /** The same with all metadata, for copies that keep what is special about files. */
  readonly wholeView: RemoteView
  /** Files of a tree under way at once. */
  readonly concurrency: number
  /** The same where they are small. */
  readonly smallConcurrency: number
  /** Around each request that carries content: bounds requests over all files. */
  readonly limiter: Limiter
  /** The same for small files, whose bytes take no time worth mentioning. */
  readonly smallLimiter: Limiter
  /** What all transfers hold in memory together. Claimed before a place of `limiter`, never behind. */
  readonly memory: MemoryBudget
  /** A few buffers that blocks were sent from, to be used again. */
  readonly spareBuffers: Buffer[]
  /** Bytes per request of a transfer. */
  readonly blockBytes: number
  /** See `BlobReaderOptions.streamBelowMs`. */
  readonly streamBelowMs: number | undefined
  /** For copies to another account on the server's side; `undefined`: the bytes pass through here. */
  readonly lendRead: LendRead | undefined
  /** Reads index tags, so that a new version of a file keeps them; absent: they are not kept. */
  readonly tagsOf: ((path: BlobPath) => Promise<Tags>) | undefined
}

const remotes = new WeakMap<object, Remote>()

/** Lets operations beside a file system's own use what it works with; returns it. */
export function noteRemote(fileSystem: object, remote: Remote): Remote {
  remotes.set(fileSystem, remote)
  return remote
}

/** What `fileSystem` works with; `undefined` for one that is not of this library. */
export function remoteOf(fileSystem: object): Remote | undefined {
  return remotes.get(fileSystem)
}
