import type { PutOptions } from '../blob/store.ts'
import type { Entry } from '../namespace/entry.ts'
import type { BlobPath } from '../path.ts'
import type { Remote } from './remote.ts'

/** What a file has beside its bytes, and keeps when others take their place. */
export type Kept = Pick<PutOptions, 'metadata' | 'contentType' | 'headers' | 'tier' | 'tags'>

/** Of the version that `entry` tells of; its tags are asked for where it has some. */
export async function keptOf(remote: Remote, path: BlobPath, entry: Entry): Promise<Kept> {
  const { metadata, contentType, headers, chosenTier: tier, tagCount = 0 } = entry
  const tags = tagCount > 0 ? await remote.tagsOf?.(path) : undefined
  return { metadata, contentType, headers, tier, tags }
}
