import type { Command } from 'commander'
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
  const { openPinned } = await import('../drive/pinned-files.ts')
  const { cache, isMeant } = await openPinned(place, command, context)
  try {
    return await cache.unpin(isMeant)
  } finally {
    await cache.close()
  }
}
