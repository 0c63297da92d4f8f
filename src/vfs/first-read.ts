/** A first read may begin with another version than was believed when the file was opened: who has it open alone. */
import type { Entry } from '../namespace/entry.ts'
import type { Inode } from './inode-table.ts'
import type { Tree } from './tree.ts'

/**
 * The service says that what `inode`, of which somebody is about to read the first bytes, was found as is `entry` now.
 * Resolves to whether they may begin with that; the inode is theirs alone then, and the name stands for another.
 */
export async function beginWithFound(tree: Tree, inode: Inode, entry: Entry): Promise<boolean> {
  if (inode.unlinked || inode.writable !== undefined || entry.type !== inode.type) return false
  const former = inode.entry?.sizeBytes ?? 0
  const isAlone = mayBeginWith(inode, entry)
  tree.namespace.noteCommitted(tree.pathOf(inode), entry)
  if (!tree.setApartFrom(inode, entry)) {
    tree.note(inode, entry)
    return true
  }
  if (isAlone) await beginAlone(tree, inode, { entry, former })
  return isAlone
}

/** The reader of `inode` comes to the end that the kernel knows. */
export function grow(inode: Inode): void {
  inode.entry = inode.growth ?? inode.entry
  inode.growth = undefined
}

/**
 * Whether who has `inode` open, alone and having read nothing, may begin with `entry` instead. The kernel asks
 * for what ends behind the size that it believes, but shows zeros where an answer ends before that.
 */
function mayBeginWith(inode: Inode, { sizeBytes }: Entry): boolean {
  if (inode.cachedEtag !== undefined || sizeBytes < (inode.entry?.sizeBytes ?? 0)) return false
  const [reader] = inode.readers
  return inode.readers.size === 1 && reader?.hasRead === false
}

/** The kernel goes by the `former` size until it comes to that end for the reader: pages that it fills till then end there. */
async function beginAlone(
  { table, listener }: Tree,
  inode: Inode,
  { entry, former }: { readonly entry: Entry; readonly former: number },
): Promise<void> {
  inode.entry = { ...entry, sizeBytes: former }
  inode.growth = entry
  table.onChanged?.(inode)
  for (const reader of inode.readers) reader.beginWith(entry)
  const settling = listener?.sizeChanged(inode.ino)
  inode.settling = settling
  try {
    await settling
  } finally {
    if (inode.settling === settling) inode.settling = undefined
  }
}
