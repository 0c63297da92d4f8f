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

/** What this mount knows of an inode, whatever the service has. */
export function localEntry({ writable, unstored }: Inode): Entry | undefined {
  return writable?.entry() ?? unstored?.entry
}
