/**
 * Each inode is one line of versions, as the kernel has one size and one cache of pages for it. When others replace a
 * file that somebody has read from here, the name stands for another inode from then on, as after a rename over it.
 */
import type { Entry } from '../namespace/entry.ts'
import type { Inode } from './inode-table.ts'

/** What somebody has read from in `inode`, where `entry` is another version. */
export function otherVersionRead(inode: Inode, entry: Entry): Entry | undefined {
  if (entry.etag === undefined || inode.unlinked) return undefined
  // Who writes, and who locks for other machines, goes on in the version that is stored.
  if (inode.writable !== undefined || inode.lock !== undefined) return undefined
  for (const reader of inode.readers) {
    if (reader.hasRead && reader.entry.etag !== entry.etag) return reader.entry
  }
  return undefined
}

/** Has all who have `inode` open, and have read nothing, begin with `entry`. */
export function beginWith(inode: Inode, entry: Entry): void {
  for (const reader of inode.readers) reader.beginWith(entry)
}
