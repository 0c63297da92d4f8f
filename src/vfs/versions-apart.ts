/**
 * Each inode is one line of versions, those that this mount made of the first, as the kernel has one size and one cache
 * of pages for it. When others replace a file, its name stands for another inode from then on, as after a rename over
 * it: replies about the former that are under way then tell the kernel nothing of the next.
 */
import type { Entry, EntryType } from '../namespace/entry.ts'
import type { Inode } from './inode-table.ts'

/** What the kernel keeps the content of. */
const haveContent: ReadonlySet<EntryType> = new Set(['file', 'symlink'])

/** Whether `entry` is a version that others have stored since `inode` was looked at. */
export function isOtherVersion(inode: Inode, entry: Pick<Entry, 'etag' | 'type'>): boolean {
  const { type } = inode
  const former = inode.entry?.etag ?? inode.toldEtag
  if (entry.etag === undefined || former === undefined) return false
  if (former === entry.etag || entry.type !== type || !haveContent.has(type)) return false
  // Who writes, and who locks for other machines, goes on in the version that is stored.
  return inode.writable === undefined && inode.lock === undefined && !inode.unlinked
}

/** Whether `inode` was stored or found in another version since it was `before`, while the service was asked and said `found`. */
export function isOvertaken(
  { entry }: Inode,
  before: Entry | undefined,
  found: Entry | undefined,
): boolean {
  return entry?.etag !== before?.etag && entry?.etag !== found?.etag
}

/**
 * Whether who has `inode` open, alone and having read nothing, may begin with `entry` instead. The kernel asks
 * for what ends behind the size that it believes, but shows zeros where an answer ends before that.
 */
export function mayBeginWith(inode: Inode, { sizeBytes }: Entry): boolean {
  if (inode.cachedEtag !== undefined || sizeBytes < (inode.entry?.sizeBytes ?? 0)) return false
  const [reader] = inode.readers
  return inode.readers.size === 1 && reader?.hasRead === false
}

/** Has all who have `inode` open, and have read nothing, begin with `entry`. */
export function beginWith(inode: Inode, entry: Entry): void {
  for (const reader of inode.readers) reader.beginWith(entry)
}

/** What this mount knows of an inode, whatever the service has. */
export function localEntry({ writable, unstored }: Inode): Entry | undefined {
  return writable?.entry() ?? unstored?.entry
}
