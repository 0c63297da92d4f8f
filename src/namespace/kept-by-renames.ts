import type { Tags } from '../blob/administration.ts'
import type { BlobProperties, CallOptions, CopyOptions } from '../blob/store.ts'
import type { BlobPath } from '../path.ts'
import { callOptions } from './lookup.ts'

/** Reads the index tags of a blob. `EACCES` without the permission. */
export type TagsOf = (path: BlobPath, options: CallOptions) => Promise<Tags>

/** What the service leaves out of a copy, unless it is told. */
export interface Kept {
  /** That somebody chose. */
  readonly tier?: string | undefined
  readonly tagCount?: number | undefined
}

/** What tells it. */
export type KeptProperties = Pick<BlobProperties, 'isTierChosen' | 'accessTier' | 'tagCount'>

export function keptOf({ isTierChosen, accessTier, tagCount }: KeptProperties): Kept {
  return { tier: isTierChosen === true ? accessTier : undefined, tagCount }
}

/** How a copy of `path` is given that; a request where there are tags. A blob that is in the archive is not copied there. */
export async function keptInCopy(
  tagsOf: TagsOf | undefined,
  path: BlobPath,
  { tier, tagCount = 0 }: Kept,
  options: CallOptions,
): Promise<Pick<CopyOptions, 'tier' | 'tags'>> {
  const tags = tagCount > 0 ? await tagsOf?.(path, callOptions(options)) : undefined
  return { tier: tier === 'Archive' ? undefined : tier, tags }
}
