import type { Command } from 'commander'
import type { Entry } from '../../namespace/entry.ts'
import type { VersionKey } from '../../transfer/disk-cache.ts'
import { addConnectionOptions, type CliContext } from '../context.ts'
import { formatCount } from '../output.ts'
import { usageError } from '../usage.ts'

interface UnpinFlags {
  readonly all?: true
  readonly json?: true
}

const HELP = `
What is let go stays until the cache needs its room; abfs evict removes it. Asks Azure nothing.
By a directory of a drive: what the drive shows.

Examples:
  abfs unpin abfs://models/base --cache-dir /var/cache/abfs
  abfs unpin --all --cache-dir /var/cache/abfs`

/** Adds `abfs unpin`. */
export function defineUnpin(program: Command, context: CliContext): void {
  const command = program
    .command('unpin')
    .description('Let a disk cache remove files that were pinned.')
    .argument('[place]', 'abfs://CONTAINER[/PATH], or a directory of a drive')
    .option('--all', 'everything that is pinned')
    .option('--cache-dir <directory>', 'the cache (ABFS_CACHE_DIR; default: that of the drive)')
    .option('--json', 'print one JSON object')
    .addHelpText('after', HELP)
    .action(async (place: string | undefined, flags: UnpinFlags) => {
      if ((flags.all === true) !== (place === undefined)) {
        throw usageError('name a place, or --all, and not both')
      }
      const files = await unpin(place, command, context)
      if (flags.json === true) return context.stdout.json({ files })
      return context.stdout.line(`${formatCount(files, 'file')} may go when room is needed`)
    })
  addConnectionOptions(command)
}

async function unpin(
  place: string | undefined,
  command: Command,
  context: CliContext,
): Promise<number> {
  const { openExistingCache, placeOf } = await import('../drive/cached-files.ts')
  const root = place === undefined ? undefined : placeOf(place, context)
  const cache = await openExistingCache(command, context, root)
  try {
    if (root === undefined) return await cache.unpin(() => true)
    const { container, name, hidesByTime, isShown = () => true } = root
    if (hidesByTime === true) {
      throw usageError(
        `${place} shows files by their times, which the cache does not know: name abfs://CONTAINER[/PATH]`,
      )
    }
    const top = name.replace(/\/+$/, '')
    return await cache.unpin((version) => {
      const { path } = version
      const isBelow = top === '' || path.name === top || path.name.startsWith(`${top}/`)
      return path.container === container && isBelow && isShown(fileOf(version))
    })
  } finally {
    await cache.close()
  }
}

/** What a drive would have looked at, but for times. */
function fileOf({ path: { name }, etag, sizeBytes }: VersionKey): Entry {
  return { name, type: 'file', sizeBytes, etag, lastModifiedMs: undefined, posix: {}, metadata: {} }
}
