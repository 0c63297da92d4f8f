/**
 * What only an account with a hierarchical namespace can do: directories that exist by themselves,
 * a rename in one step, owners and access control lists. Azure offers it at the dfs endpoint, over
 * the same paths that the blob endpoint shows as blobs.
 */
import type { BlobPath } from '../path.ts'
import type { CallOptions, Conditions, Metadata, PathFacts } from './store.ts'

/** A file or directory as the hierarchy tells it; metadata and content type are the blob's to tell. */
export interface PathProperties extends PathFacts {
  /** Below the container, without outer slashes. */
  readonly name: string
  /** 0 for directories. */
  readonly sizeBytes: number
  /** Quoted, as the blob face gives it. */
  readonly etag: string
  readonly lastModifiedMs: number
  readonly createdMs?: number | undefined
}

/** One page of a listing, in the service's order. */
export interface PathPage {
  readonly paths: readonly PathProperties[]
  /** Opaque; `undefined` on the last page. */
  readonly continuation: string | undefined
}

export interface ListPathsOptions extends CallOptions {
  /** Everything below instead of one level. Default false. */
  readonly recursive?: boolean | undefined
  /** Paths per page, at most 5,000 (the default). */
  readonly maxResults?: number | undefined
  readonly continuation?: string | undefined
}

export interface CreatePathOptions extends CallOptions, Conditions {
  readonly metadata?: Metadata | undefined
  /** Permission bits (`0o1777`); absent: what the service gives, or the directory above passes on. */
  readonly mode?: number | undefined
}

/** Conditions of the destination, and of what is moved there. */
export interface RenamePathOptions extends CallOptions, Conditions {
  /** The source must have this etag: else `ESTALE`. */
  readonly sourceIfMatch?: string | undefined
}

export interface DeletePathOptions extends CallOptions {
  readonly ifMatch?: string | undefined
  /** With all that is below. Default false: `ENOTEMPTY` when there is something. */
  readonly recursive?: boolean | undefined
  /** Where the page before ended. */
  readonly continuation?: string | undefined
}

/** Who owns a path and who may do what with it. */
export interface AccessControl {
  readonly owner: string
  readonly group: string
  /** `rwxr-x---`; ends in `+` when the list says more. */
  readonly permissions: string
  /** `user::rwx,group::r-x,other::---`, entries for newcomers with `default:` before them. */
  readonly acl: string
  readonly etag: string
}

/** What `setAccessControl` changes; what is `undefined` stays. Not both a mode and a list. */
export interface AccessChanges {
  readonly owner?: string | undefined
  readonly group?: string | undefined
  /** Permission bits (`0o1777`). */
  readonly mode?: number | undefined
  /** The whole list, in place of the one there. */
  readonly acl?: string | undefined
}

/** What becomes of a path's identity in a change of access: its version. */
export interface ChangedPath {
  readonly etag: string
  readonly lastModifiedMs: number
}

/** `set` replaces lists, `modify` adds or changes entries, `remove` takes entries away. */
export type AclMode = 'set' | 'modify' | 'remove'

export interface ChangeAclOptions extends CallOptions {
  readonly mode: AclMode
  /** Entries; those of `remove` without permissions. */
  readonly acl: string
  /** Goes on after a path that refuses, and tells it. Default false: ends the page there. */
  readonly continueOnFailure?: boolean | undefined
  readonly continuation?: string | undefined
  /** Paths per page, at most 2,000 (the default). */
  readonly maxRecords?: number | undefined
}

/** A path whose list could not be changed. */
export interface AclFailure {
  readonly name: string
  readonly isDirectory: boolean
  readonly reason: string
}

/** What one page of a change of lists has done. */
export interface AclPage {
  readonly directories: number
  readonly files: number
  readonly failures: readonly AclFailure[]
  readonly failureCount: number
  readonly continuation: string | undefined
}

/** When the service removes a file. Times in milliseconds. */
export type Expiry =
  | { readonly kind: 'never' }
  | { readonly kind: 'at'; readonly epochMs: number }
  | { readonly kind: 'after-now'; readonly durationMs: number }
  | { readonly kind: 'after-creation'; readonly durationMs: number }

/**
 * The hierarchy of one account. Every method rejects with `FileSystemError` as a `BlobStore` does,
 * and with `ENOTEMPTY`, `EISDIR`, `ENOTDIR`, `EINVAL` (a directory into itself). An empty name is
 * the container's root. All implementations pass `test/conformance/hierarchy.ts`.
 */
export interface HierarchyStore {
  readonly account: string

  /** `EEXIST` with `ifNoneMatch`, or when a file has the name. Missing directories above are made. */
  createDirectory(path: BlobPath, options?: CreatePathOptions): Promise<ChangedPath>
  /** An empty file that is written by `append` and `flush`, never by blocks. */
  createFile(path: BlobPath, options?: CreatePathOptions): Promise<ChangedPath>
  /** Adds bytes at `position`; nobody sees them before a `flush`. */
  append(path: BlobPath, data: Uint8Array, options: AppendOptions): Promise<void>
  /** Makes all that was appended up to `position` the file; `EINVAL` when there is a gap. */
  flush(path: BlobPath, options: AppendOptions): Promise<ChangedPath>
  /**
   * Moves a file or a directory with all that is below, in one step. Replaces a file, or an empty
   * directory by a directory. `ENOENT` when the source or the directory above `to` is missing,
   * `ENOTEMPTY` or `EEXIST` where the destination cannot be replaced.
   */
  rename(from: BlobPath, to: BlobPath, options?: RenamePathOptions): Promise<void>
  /** Deletes, and returns where to go on when a large directory is not done yet. */
  deletePath(path: BlobPath, options?: DeletePathOptions): Promise<string | undefined>
  /** One page of what is in `directory`. `ENOENT`. */
  listPaths(directory: BlobPath, options?: ListPathsOptions): Promise<PathPage>
  /** What is at `path`, asked of the hierarchy. */
  headPath(path: BlobPath, options?: CallOptions): Promise<PathProperties>
  getAccessControl(path: BlobPath, options?: CallOptions): Promise<AccessControl>
  setAccessControl(
    path: BlobPath,
    changes: AccessChanges,
    options?: CallOptions & Pick<Conditions, 'ifMatch' | 'leaseId'>,
  ): Promise<ChangedPath>
  /** Changes the lists of `path` and of all below it, a page at a time. */
  changeAcl(path: BlobPath, options: ChangeAclOptions): Promise<AclPage>
  /** Says when a file goes by itself. */
  setExpiry(path: BlobPath, expiry: Expiry, options?: CallOptions): Promise<ChangedPath>
}

export interface AppendOptions extends CallOptions {
  /** Bytes before: where appended data begins, or the length that a flush makes. */
  readonly position: number
}

/**
 * The hierarchy of the account that `container` is in; `undefined` when its names are flat. Asked
 * of the service once.
 */
export type HierarchyOf = (
  container: string,
  options?: CallOptions,
) => Promise<HierarchyStore | undefined>

/** The pages of what is in `directory`, one after the other. `ENOENT`. */
export async function* listPathPages(
  hierarchy: HierarchyStore,
  directory: BlobPath,
  options: ListPathsOptions = {},
): AsyncGenerator<readonly PathProperties[], void, undefined> {
  let continuation = options.continuation
  do {
    const page = await hierarchy.listPaths(directory, { ...options, continuation })
    yield page.paths
    continuation = page.continuation
  } while (continuation !== undefined)
}

/** All that is in `directory`, page after page. */
export async function* listAllPaths(
  hierarchy: HierarchyStore,
  directory: BlobPath,
  options: ListPathsOptions = {},
): AsyncGenerator<PathProperties, void, undefined> {
  for await (const paths of listPathPages(hierarchy, directory, options)) yield* paths
}

/** Deletes a directory with all that is below it, page after page. */
export async function deleteTree(
  hierarchy: HierarchyStore,
  path: BlobPath,
  options: CallOptions = {},
): Promise<void> {
  let continuation: string | undefined
  do {
    continuation = await hierarchy.deletePath(path, { ...options, recursive: true, continuation })
  } while (continuation !== undefined)
}
