import type { Metadata } from '../blob/store.ts'
import type { Entry, EntryType } from '../namespace/entry.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { TreeEntry } from './tree-view.ts'

/** What is known of one name. Times of directories that nothing marks are `undefined`. */
export interface FileInfo extends TreeEntry {
  /** `container/path`, without scheme and trailing slash. */
  readonly name: string
  /** `other`: a symbolic link, device, socket or fifo; `entryType` says which. */
  readonly type: 'file' | 'directory' | 'other'
  /** Bytes; 0 for directories. */
  readonly size: number
  readonly entryType: EntryType
  /** Whether it is a symbolic link. Links are never followed; `readLink` tells their target. */
  readonly isLink: boolean
  /** As the service sent it, quotes included. */
  readonly etag?: string | undefined
  /** When the service last changed the blob. */
  readonly lastModified?: Date | undefined
  readonly created?: Date | undefined
  readonly contentType?: string | undefined
  /** Base64, when the service keeps one. */
  readonly contentMd5?: string | undefined
  /** As stored; keys are lower-case. */
  readonly metadata: Metadata
  /** Permission bits, owner and modification time, where metadata tells them. */
  readonly mode?: number | undefined
  readonly uid?: number | undefined
  readonly gid?: number | undefined
  /** Nanoseconds since the epoch. */
  readonly mtimeNs?: bigint | undefined
  /** On hierarchical accounts: object ids, user principal names or `$superuser`. */
  readonly owner?: string | undefined
  readonly group?: string | undefined
  /** On hierarchical accounts: `rwxr-x---`; ends in `+` when an access control list says more. */
  readonly permissions?: string | undefined
  /** When the service removes the file by itself. */
  readonly expires?: Date | undefined
}

/** The public view on an entry of `container`. */
export function toFileInfo(container: string, entry: Entry): FileInfo {
  return {
    name: fullName({ container, name: entry.name }),
    type: typeOf(entry.type),
    size: entry.sizeBytes,
    entryType: entry.type,
    isLink: entry.type === 'symlink',
    etag: entry.etag,
    lastModified: dateOf(entry.lastModifiedMs),
    created: dateOf(entry.createdMs),
    contentType: entry.contentType,
    contentMd5: entry.contentMd5,
    metadata: entry.metadata,
    ...entry.posix,
    ...(entry.owner === undefined ? {} : accessOf(entry)),
    ...(entry.expiresMs === undefined ? {} : { expires: dateOf(entry.expiresMs) }),
  }
}

/** A directory of which nothing but its name is known: the root, or one that blobs imply. */
export function bareDirectory(name: string, lastModifiedMs?: number): FileInfo {
  return {
    name,
    type: 'directory',
    size: 0,
    entryType: 'directory',
    isLink: false,
    lastModified: dateOf(lastModifiedMs),
    metadata: {},
  }
}

/** `container/path`; the empty string for the account's root. */
export function fullName(path: BlobPath): string {
  return path.name === '' ? path.container : `${path.container}/${path.name}`
}

/** The inverse of {@link fullName}. */
export function pathOf(name: string): BlobPath {
  const slash = name.indexOf('/')
  if (slash < 0) return { container: name, name: '' }
  return { container: name.slice(0, slash), name: name.slice(slash + 1) }
}

/** `abfs://container/path`, for messages. */
export function urlOf(name: string): string {
  return formatPath(pathOf(name))
}

function accessOf({ owner, group, permissions }: Entry): Partial<FileInfo> {
  return { owner, group, permissions }
}

function typeOf(type: EntryType): FileInfo['type'] {
  return type === 'file' || type === 'directory' ? type : 'other'
}

function dateOf(ms: number | undefined): Date | undefined {
  return ms === undefined ? undefined : new Date(ms)
}
