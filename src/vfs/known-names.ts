import { baseName } from '../namespace/blob-name.ts'
import type { Listing } from '../namespace/listing-cache.ts'
import type { Inode, NamesMoment } from './inode-table.ts'
import type { KnownNames } from './operations.ts'
import type { Tree } from './tree.ts'

/** All names in `directory`, once for each listing that tells them; `undefined` where they are not known, or too many. */
export function knownNames(tree: Tree, directory: Inode): KnownNames | undefined {
  if (directory.type !== 'directory' || directory.unlinked) return undefined
  const path = tree.pathOf(directory)
  const listing = directory.unstored ? nothing : tree.namespace.believed(path)
  if (listing === undefined || directory.namesToldUntilMs === listing.expiresAtMs) return undefined
  const { entries, expiresAtMs } = listing
  const believedMs = tree.believedMs(directory)
  if (believedMs === 0 || entries.size > maxNames || path.name.length > maxLength) return undefined
  directory.namesToldUntilMs = expiresAtMs
  const listed = Array.from(entries.values(), ({ name }) => baseName(name))
  return { names: [...listed, ...directory.children.keys()], believedMs }
}

/**
 * Of when the names in `directory` are, which were listed after so many changes; `undefined` when the kernel may not
 * keep them. What it keeps is one list, which any reader fills: none keeps while another has older names.
 */
export function namesMoment(
  tree: Tree,
  directory: Inode,
  changes: number,
): NamesMoment | undefined {
  const untilMs = tree.namespace.believed(tree.pathOf(directory))?.expiresAtMs
  if (untilMs === undefined || tree.believedMs(directory) === 0) return undefined
  if (changes !== directory.nameChanges) return undefined
  for (const kept of directory.keptNames ?? []) {
    if (kept.changes !== changes || kept.untilMs !== untilMs) return undefined
  }
  return { changes, untilMs }
}

/** What others have in a directory that is not stored yet. */
const nothing: Pick<Listing, 'entries' | 'expiresAtMs'> = { entries: new Map(), expiresAtMs: 0 }

/** Telling more takes longer than the few questions that it spares. */
const maxNames = 500
/** In a longer path a name may be refused for its length. */
const maxLength = 700
