/** Versions of files that a disk cache keeps whatever else needs room. */
import type { Command } from 'commander'
import type { Entry } from '../../namespace/entry.ts'
import { formatPath } from '../../path.ts'
import type { DiskCache, VersionKey } from '../../transfer/disk-cache.ts'
import type { CliContext } from '../context.ts'
import { formatBytes, formatTable, printable } from '../output.ts'
import { usageError } from '../usage.ts'
import { type FilesPlace, openExistingCache, placeOf } from './cached-files.ts'

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

/** A cache, and which of its pinned versions are meant. */
export interface PinnedPlace {
  /** The caller's to close. */
  readonly cache: DiskCache
  readonly isMeant: (version: VersionKey) => boolean
}

/**
 * The cache that the flags of `command` name, or that of the drive that shows `place`, and what of it lies there; all of it where no place
 * is named. Asks Azure nothing.
 */
export async function openPinned(
  place: string | undefined,
  command: Command,
  context: CliContext,
): Promise<PinnedPlace> {
  const root = place === undefined ? undefined : placeOf(place, context)
  if (root?.hidesByTime === true) {
    throw usageError(
      `${place} shows files by their times, which the cache does not know: name abfs://CONTAINER[/PATH]`,
    )
  }
  const cache = await openExistingCache(command, context, root)
  return { cache, isMeant: root === undefined ? () => true : liesIn(root) }
}

function liesIn({ container, name, isShown = () => true }: FilesPlace): PinnedPlace['isMeant'] {
  const top = name.replace(/\/+$/, '')
  return (version) => {
    const { path } = version
    const isBelow = top === '' || path.name === top || path.name.startsWith(`${top}/`)
    return path.container === container && isBelow && isShown(fileOf(version))
  }
}

/** What a drive would have looked at, but for times. */
function fileOf({ path: { name }, etag, sizeBytes }: VersionKey): Entry {
  return { name, type: 'file', sizeBytes, etag, lastModifiedMs: undefined, posix: {}, metadata: {} }
}

/** What is to be listed, and how. */
export interface ListPinnedOptions {
  readonly place: string | undefined
  readonly json: boolean
}

/** Prints what is pinned, of `place` where one is named. */
export async function listPinned(
  { place, json }: ListPinnedOptions,
  command: Command,
  context: CliContext,
): Promise<void> {
  const { stdout } = context
  const { cache, isMeant } = await openPinned(place, command, context)
  const pinned = (await cache.pinned()).filter(isMeant)
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
