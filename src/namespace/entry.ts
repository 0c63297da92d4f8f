import type { ContentHeaders, Metadata } from '../blob/store.ts'

/** What an entry of a directory is. */
export type EntryType =
  | 'file'
  | 'directory'
  | 'symlink'
  | 'fifo'
  | 'socket'
  | 'block-device'
  | 'character-device'

/** POSIX attributes that metadata tells; each `undefined` when it does not. */
export interface PosixAttributes {
  /** Permission bits only (`0o7777`). */
  readonly mode?: number | undefined
  readonly uid?: number | undefined
  readonly gid?: number | undefined
  /** Modification time, nanoseconds since the epoch. */
  readonly mtimeNs?: bigint | undefined
}

/** One name in the tree that directories and files form over the blobs of a container. */
export interface Entry {
  /** The path below the container: no leading or trailing slash; empty for the container's root. */
  readonly name: string
  readonly type: EntryType
  /** Bytes of the blob; 0 for directories. A symlink's is the length of its target. */
  readonly sizeBytes: number
  /** `undefined` for a directory that only its children imply. */
  readonly etag: string | undefined
  readonly lastModifiedMs: number | undefined
  readonly createdMs?: number | undefined
  readonly contentType?: string | undefined
  readonly contentMd5?: string | undefined
  readonly headers?: ContentHeaders | undefined
  /** The tier that somebody chose for it; `undefined` for the account's. */
  readonly chosenTier?: string | undefined
  readonly tagCount?: number | undefined
  /** Index tags, where the store tells them of every blob. */
  readonly tags?: Readonly<Record<string, string>> | undefined
  readonly posix: PosixAttributes
  /** As stored, POSIX keys included. */
  readonly metadata: Metadata
  /** For a directory: the blob that marks it (`dir` or `dir/`); `undefined` when it is implied. */
  readonly markerName?: string | undefined
  /** Where it is no block blob: the first only grows, and neither is ever of another type. */
  readonly blobType?: 'AppendBlob' | 'PageBlob' | undefined
  /** On hierarchical accounts: who owns it and what `ls` shows of its rights (`rwxr-x---+`). */
  readonly owner?: string | undefined
  readonly group?: string | undefined
  readonly permissions?: string | undefined
  /** When the service removes it by itself; milliseconds since the epoch. */
  readonly expiresMs?: number | undefined
  /** A listing of a hierarchy told it, which tells no metadata: `metadata` is not what is stored. */
  readonly partial?: boolean | undefined
}
