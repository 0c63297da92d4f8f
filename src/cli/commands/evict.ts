import type { Command } from 'commander'
import type { Evicted } from '../../transfer/disk-cache.ts'
import { addConnectionOptions, type CliContext } from '../context.ts'
import { formatBytes, formatCount } from '../output.ts'
import { withAccount } from '../session.ts'
import { usageError } from '../usage.ts'

interface EvictFlags {
  readonly all?: true
  readonly json?: true
}

const HELP = `
With a place: the versions that Azure has now, which it is asked for, as a cache knows no names;
earlier ones go by themselves when room is needed.
Drives that use the cache go on, and fetch what is gone when it is read.

Examples:
  abfs evict abfs://datasets/train --cache-dir /var/cache/abfs
  abfs evict /mnt/datasets train/a.bin
  abfs evict --all --cache-dir /var/cache/abfs`

/** Adds `abfs evict`. */
export function defineEvict(program: Command, context: CliContext): void {
  const command = program
    .command('evict')
    .description('Remove files from a disk cache.')
    .argument('[place]', 'abfs://CONTAINER[/PATH], or a directory of a drive')
    .argument('[path...]', 'files and directories below it (default: all)')
    .option('--all', 'everything that the cache holds; asks Azure nothing')
    .option('--cache-dir <directory>', 'the cache (ABFS_CACHE_DIR; default: that of the drive)')
    .option('--json', 'print one JSON object')
    .addHelpText('after', HELP)
    .action(async (place: string | undefined, paths: string[], flags: EvictFlags) => {
      const gone = await evict({ place, paths, all: flags.all === true }, command, context)
      if (flags.json === true)
        return context.stdout.json({
          files: gone.versions,
          bytes: gone.bytes,
          pinned: gone.pinned,
        })
      const stay =
        gone.pinned === 0
          ? ''
          : `; ${gone.pinned} ${gone.pinned === 1 ? 'is' : 'are'} pinned and ${gone.pinned === 1 ? 'stays' : 'stay'} (abfs unpin)`
      const what = `removed ${formatCount(gone.versions, 'file')}, ${formatBytes(gone.bytes)} of the disk`
      return context.stdout.line(`${what}${stay}`)
    })
  addConnectionOptions(command)
}

interface EvictArguments {
  readonly place: string | undefined
  readonly paths: readonly string[]
  readonly all: boolean
}

async function evict(
  { place, paths, all }: EvictArguments,
  command: Command,
  context: CliContext,
): Promise<Evicted> {
  const { filesAt, openExistingCache, placeOf, versionOf } = await import(
    '../drive/cached-files.ts'
  )
  if (all !== (place === undefined)) throw usageError('name a place, or --all, and not both')
  if (place === undefined) return (await openExistingCache(command, context)).evict()
  const url = placeOf(place, context)
  const cache = await openExistingCache(command, context, url)
  const { container } = url
  const { signal } = context
  return withAccount(command, context, { access: 'read', urls: [url] }, async (account) => {
    const gone = { versions: 0, bytes: 0, pinned: 0 }
    for (const path of paths.length === 0 ? [''] : paths) {
      for await (const file of filesAt(account, url, { path, signal })) {
        const version = versionOf(account, container, file)
        if (version === undefined) continue
        const { versions, bytes, pinned } = await cache.evict(version)
        gone.pinned += pinned
        gone.versions += versions
        gone.bytes += bytes
      }
    }
    return gone
  })
}
