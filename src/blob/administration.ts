/**
 * What only some accounts offer, and few calls need: index tags, access tiers, snapshots, versions,
 * deleted blobs and signatures. Apart from `BlobStore`, so that who reads and writes needs none of it.
 */
import type { Permission } from '../credential/credential.ts'
import type { BlobPath } from '../path.ts'
import type { CallOptions, Conditions, ContentHeaders, FormerId, Metadata } from './store.ts'

export type { Permission } from '../credential/credential.ts'
export type { FormerId } from './store.ts'

/** Index tags of a blob: at most 10. */
export type Tags = Readonly<Record<string, string>>

/** A blob that a search by tags found, with the tags that the search names. */
export interface TaggedBlob extends BlobPath {
  readonly tags: Tags
}

/** Where a blob's bytes are kept. */
export type Tier = 'Hot' | 'Cool' | 'Cold' | 'Archive'

/** The tier of a blob, and the one that it is on its way to out of the archive. */
export interface TierState {
  readonly tier: string | undefined
  /** `rehydrate-pending-to-hot`, … while the blob leaves the archive. */
  readonly archiveStatus: string | undefined
}

export interface TierOptions extends CallOptions {
  /** How soon a blob leaves the archive. Default `Standard`: within 15 hours. */
  readonly rehydratePriority?: 'Standard' | 'High' | undefined
}

/** Headers that a blob is answered with; each `undefined` when it has none. */
export interface ContentSettings extends ContentHeaders {
  readonly contentType?: string | undefined
  /** Base64. */
  readonly contentMd5?: string | undefined
}

/** What an account is set up for; `undefined` where the credential may not ask, or the service does not say. */
export interface AccountFeatures {
  /** What is deleted or replaced is kept for some days. */
  readonly softDelete: boolean | undefined
  /** Append blobs may be made. */
  readonly appendBlob: boolean | undefined
}

/** What a signature lets its holder do, and where. */
export interface SignRequest extends CallOptions {
  /** A container (no name), a blob, or with `directory` all that is below a directory. */
  readonly path: BlobPath
  /** On hierarchical accounts. */
  readonly directory?: boolean | undefined
  readonly permissions: readonly Permission[]
  readonly startsAtMs: number
  readonly expiresAtMs: number
  /** One address, or `first-last`, that it is good from. */
  readonly ip?: string | undefined
  /** `http` too: for local emulators. */
  readonly allowHttp?: boolean | undefined
  /** What downloads are answered with. */
  readonly contentDisposition?: string | undefined
  readonly contentType?: string | undefined
}

export interface SnapshotOptions extends CallOptions, Conditions {
  /** Absent: the blob's. */
  readonly metadata?: Metadata | undefined
}

/** What a blob was: kept on purpose, by the account's versions, or for some days after it was deleted. */
export interface BlobHistory {
  /** Keeps the blob as it is now, and returns the snapshot's id. */
  createSnapshot(path: BlobPath, options?: SnapshotOptions): Promise<string>
  /** Makes a former state the current one, by a copy on the server's side. */
  restore(path: BlobPath, former: FormerId, options?: CallOptions): Promise<void>
  /** Deletes one former state for good. */
  deleteFormer(path: BlobPath, former: FormerId, options?: CallOptions): Promise<void>
  /** Brings a soft-deleted blob back, with its snapshots. */
  undelete(path: BlobPath, options?: CallOptions): Promise<void>
}

/**
 * Every method rejects with `FileSystemError`: `ENOENT`, `EACCES`, `ESTALE` as `BlobStore`'s do, and
 * with `ENOTSUP` or `EINVAL` where the account does not offer what is asked.
 */
export interface BlobAdministration extends BlobHistory {
  /** `ENOENT` for a blob that is missing; none for one without. */
  getTags(path: BlobPath, options?: CallOptions): Promise<Tags>
  /** Replaces all tags. Content and etag stay. */
  setTags(path: BlobPath, tags: Tags, options?: CallOptions): Promise<void>
  /** Blobs of `container` for which an expression such as `"state" = 'done'` holds. */
  findByTags(
    container: string,
    expression: string,
    options?: CallOptions,
  ): AsyncIterable<TaggedBlob>
  /** Where it is kept now. */
  getTier(path: BlobPath, options?: CallOptions): Promise<TierState>
  /** Out of the archive a blob takes hours, in which it cannot be read. */
  setTier(path: BlobPath, tier: Tier, options?: TierOptions): Promise<void>
  /** Replaces all headers that the blob is answered with. Content and metadata stay, the etag changes. */
  setHeaders(
    path: BlobPath,
    headers: ContentSettings,
    options?: CallOptions & Conditions,
  ): Promise<void>
  /**
   * Lets nobody else write or delete the blob for 15 to 60 seconds; resolves to the id that writes need.
   * `EBUSY` while another holds it, `ENOENT` when there is no blob.
   */
  acquireLease(path: BlobPath, durationSeconds: number, options?: CallOptions): Promise<string>
  /** The whole time again. `EBUSY` when another holds it by now. */
  renewLease(path: BlobPath, leaseId: string, options?: CallOptions): Promise<void>
  /** Lets others write. `EBUSY` when another holds it by now. */
  releaseLease(path: BlobPath, leaseId: string, options?: CallOptions): Promise<void>
  /**
   * A URL with a signature in its query, which is a secret: with the account key where that is how
   * this process signs in, else with a user delegation key (at most 7 days). `EACCES` where the
   * credential can do neither.
   */
  sign(request: SignRequest): Promise<URL>
  /** Of the account that `container` is in; asked by way of the container, and of the account. Absent: nobody knows. */
  getFeatures?(container: string, options?: CallOptions): Promise<AccountFeatures>
}
