import type { Entry } from '../namespace/entry.ts'
import type { Inode, InodeTable } from './inode-table.ts'

/** Whether `path`, below the top of the mount, is shown. */
export type IsShown = (path: string, entry: Entry) => boolean

/** Whether `name` in `directory` is shown: the path that is asked of has no name above the top of the mount. */
export function showing(
  isShown: IsShown | undefined,
  table: InodeTable,
): (directory: Inode, name: string, entry: Entry) => boolean {
  if (isShown === undefined) return () => true
  const { name: top } = table.pathOf(table.root)
  const aboveLength = top === '' ? 0 : top.length + 1
  return (directory, name, entry) =>
    isShown(table.pathIn(directory, name).name.slice(aboveLength), entry)
}
