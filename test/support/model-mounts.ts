/** Mounts for models of files: blocks of 64 bytes, and nothing in memory, so that every read asks the service. */
import type { Test } from 'tap'
import type { BlobStore } from '../../src/blob/store.ts'
import { ChunkCache } from '../../src/transfer/chunk-cache.ts'
import { type MountOptions, newHierarchicalAccount, VfsMount } from './vfs-mount.ts'

type OptionsOfMount = () => Promise<MountOptions>

export const modelMounts: Readonly<Record<string, OptionsOfMount>> = {
  'a flat account': async () => ({}),
  'a flat account with write-back': async () => ({ writeBack: true, writeBackQuietMs: 1000 }),
  'a hierarchical account': async () => ({ account: await newHierarchicalAccount() }),
}

/** The same, and one that keeps what it has read. */
export const modelMountsAndCached: Readonly<Record<string, OptionsOfMount>> = {
  ...modelMounts,
  'a flat account, with a cache': async () => ({ chunkCache: new ChunkCache() }),
}

/** A mount for a model; of `account` where it is mounted again. */
export async function mountForModel(
  t: Test,
  options: OptionsOfMount,
  account?: BlobStore,
): Promise<VfsMount> {
  const chunkCache = new ChunkCache({ maxBytes: 1 })
  const small = { blockBytes: 64, spoolMemoryBytes: 100, prefetchFiles: false, chunkCache }
  return VfsMount.make(t, { ...small, ...(await options()), ...(account && { account }) })
}

/** Where random steps begin, told in the output; `FC_SEED` repeats a run. */
export function modelSeed(t: Test): number {
  const seed = Number(process.env['FC_SEED'] ?? Date.now() % 2 ** 31)
  t.comment(`FC_SEED=${seed}`)
  return seed
}
