import { baseName } from '../namespace/blob-name.ts'
import type { Inode } from './inode-table.ts'
import type { KnownNames } from './operations.ts'
import type { Tree } from './tree.ts'

/** All names in `directory`, once for each listing that tells them; `undefined` where they are not known, or too many. */
export function knownNames(tree: Tree, directory: Inode): KnownNames | undefined {
  if (directory.type !== 'directory' || directory.unlinked) return undefined
  const path = tree.pathOf(directory)
  const listing = tree.namespace.believed(path)
  if (listing === undefined || directory.namesToldUntilMs === listing.expiresAtMs) return undefined
  const { entries, expiresAtMs } = listing
  const believedMs = tree.believedMs(directory)
  if (believedMs === 0 || entries.size > maxNames || path.name.length > maxLength) return undefined
  directory.namesToldUntilMs = expiresAtMs
  const listed = Array.from(entries.values(), ({ name }) => baseName(name))
  return { names: [...listed, ...directory.children.keys()], believedMs }
}

/** Telling more takes longer than the few questions that it spares. */
const maxNames = 500
/** In a longer path a name may be refused for its length. */
const maxLength = 700
