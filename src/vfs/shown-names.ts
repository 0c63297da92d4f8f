import type { Entry } from '../namespace/entry.ts'
import type { BlobPath } from '../path.ts'

/** Whether `path`, below the top of the mount, is shown. */
export type IsShown = (path: string, entry: Entry) => boolean

/** The same of what lies below `root`, by its entry alone. */
export function shownBelow(root: BlobPath, isShown: IsShown): (entry: Entry) => boolean {
  const aboveLength = root.name === '' ? 0 : root.name.length + 1
  return (entry) => isShown(entry.name.slice(aboveLength), entry)
}
