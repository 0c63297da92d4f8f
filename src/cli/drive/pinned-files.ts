/** Versions of files that a disk cache keeps whatever else needs room. */
import type { Command } from 'commander'
import { formatPath } from '../../path.ts'
import type { DiskCache, VersionKey } from '../../transfer/disk-cache.ts'
import type { CliContext } from '../context.ts'
import { formatBytes, formatTable, printable } from '../output.ts'
import { usageError } from '../usage.ts'
import { openExistingCache } from './cached-files.ts'

/** What is pinned leaves room for the rest, which is read too. */
const pinnedShare = 0.8

/** Pins all of `versions`, or none. */
export async function pinAll(
  cache: DiskCache,
  versions: readonly VersionKey[],
  maxBytes: number,
): Promise<void> {
  const isNew = new Set(versions.map(({ path }) => formatPath(path)))
  const others = (await cache.pinned()).filter(({ path }) => !isNew.has(formatPath(path)))
  const bytes = [...versions, ...others].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  if (bytes > maxBytes * pinnedShare) {
    throw usageError(
      `${formatBytes(bytes)} would be pinned: more than eight tenths of --cache-size ${formatBytes(maxBytes)}`,
    )
  }
  for (const version of versions) await cache.pin(version)
}

/** Prints what is pinned in the cache that the flags of `command` name. */
export async function listPinned(
  json: boolean,
  command: Command,
  context: CliContext,
): Promise<void> {
  const { stdout } = context
  const cache = await openExistingCache(command, context)
  const pinned = await cache.pinned()
  await cache.close()
  if (json) {
    return stdout.json(pinned.map(({ path, ...rest }) => ({ path: formatPath(path), ...rest })))
  }
  const rows = pinned.map(({ path, sizeBytes, diskBytes }) => [
    printable(formatPath(path)),
    formatBytes(sizeBytes),
    diskBytes >= sizeBytes ? 'whole' : `${formatBytes(diskBytes)} there`,
  ])
  const lines = formatTable([['FILE', 'SIZE', 'KEPT'], ...rows], [1])
  for (const line of rows.length === 0 ? ['nothing is pinned'] : lines) await stdout.line(line)
}
