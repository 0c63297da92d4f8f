import type { ByteRange } from '../byte-range.ts'
import type { Crc64 } from '../crc64.ts'
import type { BlobPath } from '../path.ts'
import type { DeleteMany } from './deletion.ts'
import type { WrittenMark } from './written-mark.ts'

/** Metadata of a blob: lower-case C#-identifier keys, ASCII values (others must be encoded). */
export type Metadata = Readonly<Record<string, string>>

/** What a path of a hierarchical account has beside the properties of a blob. */
export interface PathFacts {
  readonly isDirectory: boolean
  /** An object id, a user principal name or `$superuser`. */
  readonly owner?: string | undefined
  readonly group?: string | undefined
  /** `rwxr-x---`, the last letter `t` or `T` when sticky; ends in `+` when a list says more. */
  readonly permissions?: string | undefined
  /** When the service removes the file by itself. */
  readonly expiresMs?: number | undefined
}

/** Headers that a blob is answered with, beside its type. Each `undefined` when it has none. */
export interface ContentHeaders {
  readonly contentEncoding?: string | undefined
  readonly contentLanguage?: string | undefined
  readonly contentDisposition?: string | undefined
  readonly cacheControl?: string | undefined
}

/** What Azure says of a blob. Sizes in bytes, times in milliseconds since the epoch. */
export interface BlobProperties {
  readonly sizeBytes: number
  /** As the service sent it, quotes included: it is only compared and sent back. */
  readonly etag: string
  readonly lastModifiedMs: number
  readonly createdMs?: number | undefined
  readonly contentType?: string | undefined
  /** Base64, when the service stores one. */
  readonly contentMd5?: string | undefined
  readonly blobType?: 'BlockBlob' | 'AppendBlob' | 'PageBlob' | undefined
  readonly accessTier?: string | undefined
  /** Whether somebody chose the tier; else it is the account's. */
  readonly isTierChosen?: boolean | undefined
  /** `undefined` where a listing tells. */
  readonly headers?: ContentHeaders | undefined
  /** `undefined` where the account keeps no versions, and where a listing tells. */
  readonly versionId?: string | undefined
  /** `available`, `leased`, … */
  readonly leaseState?: string | undefined
  /** How many index tags it has; `undefined` for none, and for who may not see them. */
  readonly tagCount?: number | undefined
  /** Index tags, where who asked wants them of every blob. */
  readonly tags?: Readonly<Record<string, string>> | undefined
  /** Of the key of the customer's that it is encrypted with, as base64; `undefined` where it is not, or nothing was told. */
  readonly customerKeySha256?: string | undefined
  /** `undefined` when the listing was asked without metadata. */
  readonly metadata?: Metadata | undefined
  /** What abfs noted when it wrote the blob; `undefined` where a listing tells, and for blobs of others. */
  readonly written?: WrittenMark | undefined
  /** `undefined` on flat accounts, and where a request was not told. */
  readonly facts?: PathFacts | undefined
}

/** What the answer to a change of metadata tells of the version that it made. */
export type ChangedProperties = Pick<BlobProperties, 'etag' | 'lastModifiedMs' | 'versionId'>

/** One former state of a blob: exactly one of the two is there. */
export type FormerId =
  | { readonly versionId: string; readonly snapshot?: undefined }
  | { readonly snapshot: string; readonly versionId?: undefined }

/** Which of the states of a name a row of a listing shows. */
export interface StateMark {
  /** `undefined` where the account keeps no versions, and where none were asked for. */
  readonly versionId: string | undefined
  readonly snapshot: string | undefined
  /** Whether this is what reading the name gives. */
  readonly isCurrent: boolean
  /** Whether it was deleted and can be brought back. */
  readonly isDeleted: boolean
  readonly deletedMs: number | undefined
  /** Days until a deleted one is gone for ever. */
  readonly daysLeft: number | undefined
}

/** One row of a listing: a blob, or (with a delimiter) everything below a prefix that ends in `/`. */
export type ListEntry =
  | {
      readonly kind: 'blob'
      readonly name: string
      readonly properties: BlobProperties
      /** Where the listing was asked for former or deleted states. */
      readonly state?: StateMark | undefined
      /** Index tags, where the listing was asked for them. */
      readonly tags?: Readonly<Record<string, string>> | undefined
    }
  | { readonly kind: 'prefix'; readonly name: string }

/** One page of a listing, in the service's order. */
export interface ListPage {
  readonly entries: readonly ListEntry[]
  /** Opaque; `undefined` on the last page. */
  readonly continuation: string | undefined
  /** How soon the service began to answer, milliseconds; `undefined` where nobody measured it. */
  readonly waitedMs?: number | undefined
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

/** Preconditions on the blob that a call touches. A failed one changes nothing. */
export interface Conditions {
  /** The blob must have this etag: else `ESTALE`. */
  readonly ifMatch?: string | undefined
  /** The blob must not exist: else `EEXIST`. */
  readonly ifNoneMatch?: '*' | undefined
  /** Of the lease that the caller holds on the blob: else `EBUSY`. */
  readonly leaseId?: string | undefined
}

export interface HeadOptions extends CallOptions {
  /** A former state instead of the current one: `ENOENT` when it is gone. */
  readonly former?: FormerId | undefined
}

export interface GetOptions extends HeadOptions {
  /** Absent: the whole blob, which must then be at most 256 MiB. A range past the end is empty. */
  readonly range?: ByteRange | undefined
  readonly ifMatch?: string | undefined
  /** Where the bytes go; at least as long as the range. */
  readonly into?: Uint8Array | undefined
  /** Takes the bytes piece by piece, instead of `into`; needs a range. `BlobContent.data` is then empty. */
  readonly sink?: ContentSink | undefined
}

/**
 * Takes the bytes of a range in order, into buffers of its own, at its own pace: nothing is read from
 * the network while it has no room. What a method throws ends the call with that error.
 */
export interface ContentSink {
  /** Told before the first byte; again when the request was repeated before any came. */
  begin(properties: BlobProperties): void
  /**
   * Where the next bytes go: the buffer is written to until the call settles. `undefined` means: not
   * now; `resume` is to be called once there is room. An empty buffer: all that was wanted has come.
   */
  next(resume: () => void): Uint8Array | undefined
  /** `count` bytes, at least 1, were written to the beginning of the buffer that `next` gave last. */
  filled(count: number): void
}

/** Bytes of one version of a blob. */
export interface BlobContent {
  /**
   * The bytes asked for, shorter when the blob ends first; a view on `into` when that was given, and
   * empty when a sink took them.
   */
  readonly data: Uint8Array
  /** Of the whole blob: `sizeBytes` is its full size. */
  readonly properties: BlobProperties
}

export interface PutOptions extends CallOptions, Conditions {
  readonly metadata?: Metadata | undefined
  readonly contentType?: string | undefined
  readonly headers?: ContentHeaders | undefined
  /** Absent: the account's. */
  readonly tier?: string | undefined
  /** Index tags; absent: none. */
  readonly tags?: Readonly<Record<string, string>> | undefined
  /** Of all bytes of the blob, where the caller knows it; kept with the blob. */
  readonly crc64?: Crc64 | undefined
  /** Makes an append blob, which is empty at first and has no tier of its own. */
  readonly appendable?: boolean | undefined
}

export interface AppendOptions extends CallOptions, Pick<Conditions, 'leaseId'> {
  /** Where the bytes are to begin: the blob's size, else `ESTALE`. */
  readonly position: number
}

/**
 * What protects bytes on their way and at rest: `crc64` is checked by the service for each request, kept
 * for the whole, and checked by who reads the whole; `md5` is checked by the service for each request.
 */
export type Integrity = 'crc64' | 'md5' | 'none'

export interface StageOptions extends CallOptions, Pick<Conditions, 'leaseId'> {
  /** Of the block, where the caller knows it. */
  readonly crc64?: Crc64 | undefined
}

/** One block of a blob. */
export interface CommittedBlock {
  readonly id: string
  readonly sizeBytes: number
}

/** What one version of a blob was committed from. */
export interface CommittedBlocks {
  readonly etag: string
  /** In order; empty for a blob that one put made. */
  readonly blocks: readonly CommittedBlock[]
}

/** A part of a blob's version that becomes a block elsewhere. */
export interface BlockSourceRange {
  readonly path: BlobPath
  /** Not empty. */
  readonly range: ByteRange
  /** The version to read: else `ESTALE`. */
  readonly ifMatch: string
  /** Where `path` is, in another account; absent: in this one. */
  readonly access?: SourceAccess | undefined
}

/** How the service reads a blob of another account. Holds a secret. */
export interface SourceAccess {
  /** With its signature, where that is the credential. */
  readonly url: URL
  /** The header that proves it, where the credential is a token. */
  readonly authorization?: string | undefined
}

/** Lends the right to read a blob to the service that copies it. */
export type LendRead = (path: BlobPath, options?: CallOptions) => Promise<SourceAccess>

export interface CommitOptions extends PutOptions {
  /** The sum of the blocks' sizes, where the caller knows it: spares the store from asking. */
  readonly sizeBytes?: number | undefined
}

/** What a copy tells of the version that it made; all else is the source's. */
export type CopiedProperties = Pick<BlobProperties, 'etag' | 'lastModifiedMs'>

/** A copy keeps the source's content type: the service offers no other. */
export interface CopyOptions extends CallOptions, Conditions, Pick<PutOptions, 'tier' | 'tags'> {
  /** Absent: the source's. */
  readonly metadata?: Metadata | undefined
  /** The source must have this etag: else `ESTALE`. */
  readonly sourceIfMatch?: string | undefined
}

/** What a listing shows beside the blobs as they are. An account that keeps none of it refuses (`ENOTSUP`) or has none. */
export interface StateListOptions extends CallOptions {
  /** Former versions too, and of each blob which version it is. */
  readonly versions?: boolean | undefined
  /** Snapshots too. Not with a delimiter: `EINVAL`. */
  readonly snapshots?: boolean | undefined
  /** What was deleted and can be brought back, too. */
  readonly deleted?: boolean | undefined
  /** The index tags of each. */
  readonly tags?: boolean | undefined
}

export interface ListOptions extends StateListOptions {
  /** `/` lists one level. Absent: everything below. */
  readonly delimiter?: '/' | undefined
  /** Entries per page, at most 5,000 (the default). */
  readonly maxResults?: number | undefined
  readonly continuation?: string | undefined
  /**
   * The first name to be told, or the one behind it; with `/` as delimiter a name of that level. `EINVAL`,
   * or a listing from the beginning, where the service does not know it.
   */
  readonly startFrom?: string | undefined
  /** Whether entries carry their metadata. Default true. */
  readonly metadata?: boolean | undefined
  /**
   * Only directories are wanted: instead of blobs a page may tell, as prefixes, what they lie in. Without `delimiter`.
   * Default false.
   */
  readonly directoriesOnly?: boolean | undefined
}

/** What a container listing tells of each container. */
export interface ContainerProperties {
  readonly name: string
  readonly etag: string
  readonly lastModifiedMs: number
  readonly metadata?: Metadata | undefined
}

/**
 * One storage account, as an object store: flat names, whole-blob commits. Every method rejects
 * with `FileSystemError`: `ENOENT` (blob or container missing), `EEXIST`, `ESTALE` (a failed
 * `ifMatch`), `EACCES`, `EBUSY` (leased, or being deleted), `EINVAL` (a name Azure refuses),
 * `EFBIG`, `EIO` and `ETIMEDOUT` (after retries); with `signal.reason` when aborted.
 * All implementations pass `test/conformance/blob-store.ts`.
 */
export interface BlobStore {
  /** The account's name, as it stands in URLs and credentials' scopes. */
  readonly account: string
  /** What uploads are summed with; `undefined`: nothing. */
  readonly integrity?: Integrity | undefined
  /**
   * Where the account is, without a query: tells accounts of one name apart, as those of emulators.
   * `undefined`: nothing of it may outlive this object.
   */
  readonly endpoint?: string | undefined
  /**
   * How soon the service begins to answer a read, at its best of late; milliseconds, without what it
   * takes to connect. `undefined` while unknown.
   */
  readonly roundTripMs?: number | undefined
  /** Bytes of blobs that all reads together have brought so far, also those under way; `undefined`: not counted. */
  readonly receivedBytes?: number | undefined
  /** Whether calls wait however long the service is away; absent: they fail after some attempts. */
  readonly isEndless?: (() => boolean) | undefined

  head(path: BlobPath, options?: HeadOptions): Promise<BlobProperties>
  get(path: BlobPath, options?: GetOptions): Promise<BlobContent>
  /** Replaces the blob at once with `data` (at most 256 MiB here; use blocks beyond). */
  put(path: BlobPath, data: Uint8Array, options?: PutOptions): Promise<BlobProperties>
  /**
   * Uploads one block, invisible until committed. `blockId` is base64; all ids of one blob have the
   * same length, and should be unique to the writer so that two writers never mix.
   */
  stageBlock(
    path: BlobPath,
    blockId: string,
    data: Uint8Array,
    options?: StageOptions,
  ): Promise<void>
  /**
   * As `stageBlock`, with bytes that the service reads itself: they do not pass through here.
   * `ENOTSUP` where the service cannot.
   */
  stageBlockFrom(
    path: BlobPath,
    blockId: string,
    source: BlockSourceRange,
    options?: CallOptions & Pick<Conditions, 'leaseId'>,
  ): Promise<void>
  /** The blocks of the version that is there. `EINVAL` for what is no block blob. */
  getBlocks(path: BlobPath, options?: CallOptions): Promise<CommittedBlocks>
  /** What is staged for a blob and not committed, by whoever, in no order; none where nothing is. */
  getStagedBlocks(path: BlobPath, options?: CallOptions): Promise<readonly CommittedBlock[]>
  /**
   * Makes the blob the concatenation of `blockIds` (staged or committed before), at once. Whoever
   * commits or puts discards every other staged block of the blob: a second writer's commit then
   * fails with `ESTALE` (`serviceCode` `InvalidBlockList`) and has lost its blocks.
   */
  commitBlocks(
    path: BlobPath,
    blockIds: readonly string[],
    options?: CommitOptions,
  ): Promise<BlobProperties>
  /**
   * Adds bytes (at least 1, at most 100 MiB) to the end of an append blob, visible at once. `EINVAL` for another
   * kind of blob, `ENOENT`; `EFBIG` after 50,000 appends.
   */
  appendBlock(path: BlobPath, data: Uint8Array, options: AppendOptions): Promise<BlobProperties>
  /**
   * One page of what lies in `prefix.container` and begins with `prefix.name` (a string prefix). The states
   * of one name stand together, the oldest first; those that were deleted last.
   */
  listPage(prefix: BlobPath, options?: ListOptions): Promise<ListPage>
  /** Replaces all metadata. The content stays; the etag changes. */
  setMetadata(
    path: BlobPath,
    metadata: Metadata,
    options?: CallOptions & Conditions,
  ): Promise<ChangedProperties>
  /** Copies within the account on the server's side and waits until the copy is complete. */
  copy(from: BlobPath, to: BlobPath, options?: CopyOptions): Promise<CopiedProperties>
  delete(path: BlobPath, options?: CallOptions & Conditions): Promise<void>
  /**
   * As `delete` of each of 1 to 256 blobs in one container, in one request where the service can. Resolves
   * to what each would have rejected with, in their order, or `undefined` where it is deleted. Absent where
   * nothing is gained.
   */
  readonly deleteMany?: DeleteMany | undefined

  headContainer(container: string, options?: CallOptions): Promise<ContainerProperties>
  /** `EEXIST` when it exists. */
  createContainer(container: string, options?: CallOptions): Promise<void>
  /** Deletes the container with all that it holds. */
  deleteContainer(container: string, options?: CallOptions): Promise<void>
  listContainers(options?: CallOptions): AsyncIterable<ContainerProperties>

  close(): Promise<void>
}

/** The pages below `prefix`, one after the other. */
export async function* listPages(
  store: BlobStore,
  prefix: BlobPath,
  options: ListOptions = {},
): AsyncGenerator<readonly ListEntry[], void, undefined> {
  let continuation = options.continuation
  do {
    const page = await store.listPage(prefix, { ...options, continuation })
    yield page.entries
    continuation = page.continuation
  } while (continuation !== undefined)
}

/** All entries below `prefix`, page after page. Many are better taken by the page: `listPages`. */
export async function* listAll(
  store: BlobStore,
  prefix: BlobPath,
  options: ListOptions = {},
): AsyncGenerator<ListEntry, void, undefined> {
  for await (const entries of listPages(store, prefix, options)) yield* entries
}
