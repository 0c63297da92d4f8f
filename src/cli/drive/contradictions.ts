import { givenDescriptor } from '../../fuse/given-place.ts'
import { usageError } from '../usage.ts'
import type { DriveSettings, MountFlags } from './drive-options.ts'

/** What is asked of flags that were typed. */
export interface TypedFlags {
  /** Whether somebody typed it: settings of a configuration file, which other programs share, do not count. */
  readonly isTyped: (flag: keyof MountFlags) => boolean
  readonly hasCacheDir: boolean
  readonly directories: readonly string[]
  readonly isAll: boolean
}

/** Refuses flags that would do nothing beside the others: whoever types one means it. */
export function refuseContradictions(flags: TypedFlags): void {
  const { isTyped, hasCacheDir } = flags
  refuseForGiven(flags)
  const readOnly = (['readOnly', 'immutable', 'at', 'snapshot'] as const).find(isTyped)
  if (readOnly !== undefined && isTyped('writeBack')) throw useless('--write-back', readOnly)
  if (readOnly !== undefined && isTyped('onConflict')) throw useless('--on-conflict', readOnly)
  if (readOnly !== undefined && isTyped('encryptionScope')) {
    throw useless('--encryption-scope', readOnly)
  }
  if (isTyped('immutable') && isTyped('attrTtl')) {
    throw usageError('--immutable believes names and attributes for ever: leave out --attr-ttl')
  }
  const unchanging = (['immutable', 'at', 'snapshot'] as const).find(isTyped)
  if (unchanging !== undefined && isTyped('changeFeed')) {
    throw usageError(
      `--change-feed is for drives that others change: leave it out, or --${unchanging}`,
    )
  }
  if (isTyped('hard') && isTyped('timeout')) {
    throw usageError('--hard lets calls wait for ever: leave out --timeout, or --hard')
  }
  if (isTyped('cacheSize') && !hasCacheDir) {
    throw usageError('--cache-size is of --cache-dir (ABFS_CACHE_DIR), which is not given')
  }
}

/** What a drive cannot be beside `--failover`. */
export function refuseBesideFailover(
  { failover, readOnly, driver, statsDir, locks }: DriveSettings,
  directories: readonly string[],
  isAll: boolean,
): void {
  if (!failover) return
  const given = directories.find((directory) => givenDescriptor(directory) !== undefined)
  if (given !== undefined)
    throw usageError(`${given} is kept by who mounted it: leave out --failover`)
  if (isAll || directories.length > 1)
    throw usageError('--failover is of one drive: mount each by itself')
  if (driver !== 'native')
    throw usageError('--failover needs the native driver: leave out --driver')
  if (statsDir !== undefined) {
    throw usageError(
      '--stats-dir has files that no other daemon knows: leave it out, or --failover',
    )
  }
  if (locks === 'lease') {
    throw usageError(
      '--locks lease has leases that end with their daemon: leave it out, or --failover',
    )
  }
  if (!readOnly) throw usageError('--failover is for drives that are read-only: add --read-only')
}

/** Who has mounted a connection has chosen already. */
function refuseForGiven({ isTyped, directories, isAll }: TypedFlags): void {
  const given = directories.find((directory) => givenDescriptor(directory) !== undefined)
  if (given === undefined) return
  if (isAll) throw usageError(`mount all makes directories, and ${given} is one connection`)
  if (isTyped('driver'))
    throw usageError(`${given} is served by the native driver: leave out --driver`)
  const chosen = (['allowOther', 'nonEmpty'] as const).find(isTyped)
  if (chosen === undefined) return
  const flag = chosen === 'allowOther' ? '--allow-other' : '--non-empty'
  throw usageError(`${flag} is for who mounts, and ${given} is mounted already: leave it out`)
}

function useless(flag: string, because: 'readOnly' | 'immutable' | 'at' | 'snapshot') {
  const what = because === 'readOnly' ? '--read-only' : `--${because}`
  return usageError(`${flag} is for drives that are written to: leave it out, or ${what}`)
}
