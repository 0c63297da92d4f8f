import { inspect } from 'node:util'
import type { Metadata, StateMark } from '../blob/store.ts'
import type { Entry, EntryType, PosixAttributes } from '../namespace/entry.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { TreeEntry } from './tree-view.ts'

/** What is known of one name. Times of directories that nothing marks are `undefined`. */
export interface FileInfo extends TreeEntry, Partial<StateMark> {
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
  /** Index tags, where a listing was asked for them. */
  readonly tags?: Readonly<Record<string, string>> | undefined
}

/**
 * The public view on an entry. A million of them may be kept, so what is derived is derived when asked:
 * two `Date`s alone would take more than all the rest. JSON and inspection show everything; a copy by
 * spread has the plain fields alone.
 */
class EntryInfo implements FileInfo {
  readonly name: string
  readonly type: FileInfo['type']
  readonly size: number
  readonly entryType: EntryType
  readonly etag: string | undefined
  readonly contentType: string | undefined
  readonly contentMd5: string | undefined
  readonly metadata: Metadata
  /** In seconds, which is what the service tells: small integers take no memory of their own. */
  readonly #lastModifiedSeconds: number | undefined
  readonly #createdSeconds: number | undefined
  /** What few entries have; absent: none of it. */
  readonly #rest: Rest | undefined

  constructor(container: string, entry: Entry) {
    this.name = oneText(fullName({ container, name: entry.name }))
    this.type = typeOf(entry.type)
    this.size = entry.sizeBytes
    this.entryType = entry.type
    this.etag = entry.etag
    this.contentType = entry.contentType
    this.contentMd5 = entry.contentMd5
    this.metadata = entry.metadata
    this.#lastModifiedSeconds = secondsOf(entry.lastModifiedMs)
    this.#createdSeconds = secondsOf(entry.createdMs)
    this.#rest = restOf(entry)
  }

  get isLink(): boolean {
    return this.entryType === 'symlink'
  }

  get lastModified(): Date | undefined {
    return dateOfSeconds(this.#lastModifiedSeconds)
  }

  get created(): Date | undefined {
    return dateOfSeconds(this.#createdSeconds)
  }

  get mode(): number | undefined {
    return this.#rest?.mode
  }

  get uid(): number | undefined {
    return this.#rest?.uid
  }

  get gid(): number | undefined {
    return this.#rest?.gid
  }

  get mtimeNs(): bigint | undefined {
    return this.#rest?.mtimeNs
  }

  get owner(): string | undefined {
    return this.#rest?.owner
  }

  get group(): string | undefined {
    return this.#rest?.group
  }

  get permissions(): string | undefined {
    return this.#rest?.permissions
  }

  get expires(): Date | undefined {
    return dateOf(this.#rest?.expiresMs)
  }

  /** All of it, as a plain object. */
  toJSON(): FileInfo {
    const { isLink, lastModified, created, expires } = this
    const { expiresMs: _ms, ...rest } = this.#rest ?? {}
    return { ...this, isLink, lastModified, created, ...rest, ...(expires && { expires }) }
  }

  [inspect.custom](): FileInfo {
    return this.toJSON()
  }
}

type Rest = PosixAttributes & Pick<Entry, 'owner' | 'group' | 'permissions' | 'expiresMs'>

function restOf({ posix, owner, group, permissions, expiresMs }: Entry): Rest | undefined {
  if (owner !== undefined || expiresMs !== undefined) {
    return { ...posix, owner, group, permissions, expiresMs }
  }
  for (const _key in posix) return posix
  return undefined
}

/** The public view on an entry of `container`. */
export function toFileInfo(container: string, entry: Entry): FileInfo {
  return new EntryInfo(container, entry)
}

/** The same, under another name or as of another type. */
export function changedInfo(
  info: FileInfo,
  changes: Partial<Pick<FileInfo, 'name' | 'type'>>,
): FileInfo {
  return { ...(info instanceof EntryInfo ? info.toJSON() : info), ...changes }
}

/** The same, in the state that a listing shows. */
export function statedInfo(
  info: FileInfo,
  state: Partial<StateMark> & Pick<FileInfo, 'tags'>,
): FileInfo {
  return { ...(info instanceof EntryInfo ? info.toJSON() : info), ...state }
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

function typeOf(type: EntryType): FileInfo['type'] {
  return type === 'file' || type === 'directory' ? type : 'other'
}

function secondsOf(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000
}

function dateOfSeconds(seconds: number | undefined): Date | undefined {
  return seconds === undefined ? undefined : new Date(Math.round(seconds * 1000))
}

/** `text` in one piece of memory: reading a character of joined strings makes them one. */
function oneText(text: string): string {
  text.charCodeAt(0)
  return text
}

function dateOf(ms: number | undefined): Date | undefined {
  return ms === undefined ? undefined : new Date(ms)
}
