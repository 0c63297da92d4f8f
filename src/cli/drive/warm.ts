import type { ByteRange } from '../../byte-range.ts'
import { MiB, splitRange } from '../../byte-range.ts'
import { forEachConcurrent } from '../../concurrency.ts'
import type { DiskCache, VersionKey } from '../../transfer/disk-cache.ts'
import type { Account } from '../compose.ts'

/** What lies in the cache now, of what was asked for; bytes are those of files. */
export interface Warmed {
  readonly files: number
  readonly bytes: number
  /** Of these, those that were there before. */
  readonly foundBytes: number
  /** Those that the disk did not keep. */
  readonly lostBytes: number
}

/** A failure ends the file that it is about. */
export interface WarmOptions {
  readonly cache: DiskCache
  readonly signal: AbortSignal
  readonly onFailure: (version: VersionKey, error: unknown) => void
}

/** In requests of this size; those under way together fit what the cache lets wait to be written. */
const pieceBytes = 4 * MiB
const filesAtOnce = 4

/** Fetches what the cache does not hold of `versions`, the first ones first. */
export async function warm(
  account: Account,
  versions: readonly VersionKey[],
  options: WarmOptions,
): Promise<Warmed> {
  const total = { files: 0, bytes: 0, foundBytes: 0, lostBytes: 0 }
  await forEachConcurrent(versions, filesAtOnce, async (version) => {
    try {
      const { foundBytes, lostBytes } = await warmOne(account, version, options)
      total.files += 1
      total.bytes += version.sizeBytes
      total.foundBytes += foundBytes
      total.lostBytes += lostBytes
    } catch (error) {
      options.signal.throwIfAborted()
      options.onFailure(version, error)
    }
  })
  return total
}

async function warmOne(
  { store }: Account,
  version: VersionKey,
  { cache, signal }: WarmOptions,
): Promise<Pick<Warmed, 'foundBytes' | 'lostBytes'>> {
  const { path, etag, sizeBytes } = version
  const whole: ByteRange = { start: 0, end: sizeBytes }
  const kept = cache.open(version)
  await kept.look(whole)
  let foundBytes = 0
  for (const range of splitRange(whole, pieceBytes)) {
    if (kept.holds(range)) {
      foundBytes += range.end - range.start
      continue
    }
    const { data } = await store.get(path, { range, ifMatch: etag, signal })
    await kept.write(range.start, data)
    await cache.settled()
  }
  return { foundBytes, lostBytes: kept.holds(whole) ? 0 : sizeBytes }
}
