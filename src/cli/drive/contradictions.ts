import { usageError } from '../usage.ts'
import type { MountFlags } from './drive-options.ts'

/** What is asked of flags that were typed. */
export interface TypedFlags {
  /** Whether somebody typed it: settings of a configuration file, which other programs share, do not count. */
  readonly isTyped: (flag: keyof MountFlags) => boolean
  readonly hasCacheDir: boolean
}

/** Refuses flags that would do nothing beside the others: whoever types one means it. */
export function refuseContradictions({ isTyped, hasCacheDir }: TypedFlags): void {
  const readOnly = (['readOnly', 'at', 'snapshot'] as const).find(isTyped)
  if (readOnly !== undefined && isTyped('writeBack')) throw useless('--write-back', readOnly)
  if (readOnly !== undefined && isTyped('onConflict')) throw useless('--on-conflict', readOnly)
  if (isTyped('hard') && isTyped('timeout')) {
    throw usageError('--hard lets calls wait for ever: leave out --timeout, or --hard')
  }
  if (isTyped('cacheSize') && !hasCacheDir) {
    throw usageError('--cache-size is of --cache-dir (ABFS_CACHE_DIR), which is not given')
  }
}

function useless(flag: string, because: 'readOnly' | 'at' | 'snapshot') {
  const what = because === 'readOnly' ? '--read-only' : `--${because}`
  return usageError(`${flag} is for drives that are written to: leave it out, or ${what}`)
}
