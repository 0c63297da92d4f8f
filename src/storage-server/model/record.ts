import type { Content, Extent } from './extent.ts'

/** Headers that belong to the content of a blob and come back with it. */
export interface ContentHeaders {
  readonly contentType?: string | undefined
  readonly contentEncoding?: string | undefined
  readonly contentLanguage?: string | undefined
  readonly contentDisposition?: string | undefined
  readonly cacheControl?: string | undefined
  /** Base64 of the MD5 of the whole content. */
  readonly contentMd5?: string | undefined
}

/** Owner and rights of a path of a hierarchical account. */
export interface Ownership {
  /** An object id, a UPN or `$superuser`. */
  readonly owner: string
  readonly group: string
  /** The whole access control list in Azure's short form, default entries included. */
  readonly acl: string
  /** The sticky bit of directories: only owners remove or rename what is in them. */
  readonly sticky?: boolean | undefined
}

/** What a blob is encrypted with that is not the account's key: one of the two. */
export interface Encryption {
  readonly scope?: string | undefined
  /** Base64 of the SHA-256 of the key that requests bring. */
  readonly keySha256?: string | undefined
}

/** A block of a committed list, or one that waits for it. */
export interface Block {
  /** Base64, as sent. */
  readonly id: string
  readonly extent: Extent
  readonly encryption?: Encryption | undefined
}

/** What Copy Blob leaves on its destination. */
export interface CopyState {
  readonly id: string
  readonly source: string
  readonly status: 'pending' | 'success' | 'aborted' | 'failed'
  readonly progressBytes: number
  readonly totalBytes: number
  /** When it ended; while `pending`, when it will. */
  readonly completedMs?: number | undefined
}

/** Access tier of a blob; `rehydratingTo` while it comes back from the archive. */
export interface TierState {
  readonly name: 'Hot' | 'Cool' | 'Cold' | 'Archive'
  /** The account's default, not set by anybody. */
  readonly inferred: boolean
  readonly changedMs?: number | undefined
  readonly rehydratingTo?: 'Hot' | 'Cool' | 'Cold' | undefined
  /** When the tier will be `rehydratingTo`. */
  readonly rehydratedMs?: number | undefined
}

interface RecordBase {
  /** Quoted, as in the header. Another after each change. */
  readonly etag: string
  readonly createdMs: number
  readonly lastModifiedMs: number
  /** Names keep their case. */
  readonly metadata: Readonly<Record<string, string>>
  /** On hierarchical accounts. */
  readonly ownership?: Ownership | undefined
}

/** One version of a blob. Never changed: a change makes another record. */
export interface BlobRecord extends RecordBase {
  readonly kind: 'blob'
  readonly blobType: 'BlockBlob' | 'AppendBlob' | 'PageBlob'
  readonly content: Content
  readonly headers: ContentHeaders
  /** The blocks of the content when a block list made it. */
  readonly blocks?: readonly Block[] | undefined
  /** Pages that hold data, of page blobs: sorted, disjoint, multiples of 512 bytes. */
  readonly pages?: readonly { readonly start: number; readonly end: number }[] | undefined
  readonly appendedBlocks?: number | undefined
  readonly sequenceNumber?: number | undefined
  readonly sealed?: boolean | undefined
  readonly tags: Readonly<Record<string, string>>
  readonly tier: TierState
  readonly encryption?: Encryption | undefined
  readonly copy?: CopyState | undefined
  /** The face that wrote the content: their ways of writing do not mix on one file. */
  readonly writtenBy: 'blob' | 'dfs'
  /** dfs setExpiry: after this the path is gone. */
  readonly expiresMs?: number | undefined
  /** On accounts that keep versions. */
  readonly versionId?: string | undefined
}

/** A directory of a hierarchical account. */
export interface DirectoryRecord extends RecordBase {
  readonly kind: 'directory'
}

export type PathRecord = BlobRecord | DirectoryRecord

/** A lease on a path or a container. */
export interface Lease {
  readonly id: string
  /** Infinite when absent. */
  readonly durationSeconds?: number | undefined
  /** When it was acquired or renewed. */
  readonly sinceMs: number
  /** Set by Break Lease: it holds until then. */
  readonly breaksAtMs?: number | undefined
}

/** All that is known of one name in a container. */
export interface PathState {
  /** Decoded, without a leading slash; directories without a trailing one. */
  readonly name: string
  /** Absent when only staged blocks, versions, snapshots or soft-deleted records are left. */
  readonly current?: PathRecord | undefined
  /** Staged and not committed, by id in the order of staging. */
  readonly staged?: ReadonlyMap<string, Block> | undefined
  /** Data that dfs appended and did not flush, by position: clients append in any order. */
  readonly appended?: ReadonlyMap<number, Extent> | undefined
  /** By the `snapshot` query value. */
  readonly snapshots?: ReadonlyMap<string, BlobRecord> | undefined
  /** Former versions by the `versionid` query value. */
  readonly versions?: ReadonlyMap<string, BlobRecord> | undefined
  /** Soft-deleted records, oldest first. */
  readonly deleted?: readonly DeletedRecord[] | undefined
  readonly lease?: Lease | undefined
}

/** A soft-deleted record. */
export interface DeletedRecord {
  readonly record: PathRecord
  readonly deletedMs: number
  readonly remainingDays: number
  /** The id that dfs undelete wants. */
  readonly deletionId: string
  /** Set for a deleted snapshot. */
  readonly snapshot?: string | undefined
  /** Went with a directory above, whose deleted record stands for it in listings. */
  readonly withParent?: boolean | undefined
}
