import type { Lease, Ownership, PathState } from './record.ts'

/** Properties of a container (file system, in dfs's words). */
export interface ContainerProperties {
  readonly name: string
  readonly etag: string
  readonly lastModifiedMs: number
  readonly metadata: Readonly<Record<string, string>>
  readonly publicAccess?: 'blob' | 'container' | undefined
  readonly lease?: Lease | undefined
  /** Stored access policies by id. */
  readonly policies: ReadonlyMap<string, AccessPolicy>
  /** What blobs are encrypted with where a request says nothing else; absent: the account's key. */
  readonly defaultScope?: string | undefined
  readonly deniesOtherScopes?: boolean | undefined
  readonly deletedMs?: number | undefined
  /** Owner and rights of the root directory of hierarchical accounts; absent: as created. */
  readonly rootOwnership?: Ownership | undefined
}

/** A stored access policy: fields that a SAS naming it leaves out. */
export interface AccessPolicy {
  readonly startsMs?: number | undefined
  readonly expiresMs?: number | undefined
  readonly permissions?: string | undefined
}

/**
 * The names of one container in order. Changes are synchronous, so whatever one verb does between
 * two awaits is atomic. Every change passes `put` or `remove`, which tell `onChange`.
 *
 * Order: UTF-8 bytes of the name on flat containers; segment by segment on hierarchical ones, so
 * that a directory's descendants follow it at once.
 */
export interface PathIndex {
  readonly size: number
  get(name: string): PathState | undefined
  /** Replaces the state of `state.name`. */
  put(state: PathState): void
  remove(name: string): void
  /** States in order, beginning with the first at or after `name` (after it when `exclusive`). */
  from(name: string, exclusive?: boolean): Iterable<PathState>
  /** Descendants of a directory (hierarchical) in order, itself not included; '' is the root. */
  below(directory: string): Iterable<PathState>
  /** Moves a path and its descendants to another name at once; the destination must be free. */
  rename(from: string, to: string): void
}

/** A container with what it holds. */
export interface Container {
  readonly properties: ContainerProperties
  readonly paths: PathIndex
}
