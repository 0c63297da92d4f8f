import type { StorageAccount } from '../model/account.ts'
import type { StorageRequest } from '../wire/request.ts'

/** What a verb does to a path, as SAS permissions, roles and ACLs know it. */
export type Right =
  | 'read'
  | 'write'
  | 'create'
  | 'add'
  | 'delete'
  | 'deleteVersion'
  | 'permanentDelete'
  | 'list'
  | 'tags'
  | 'filterByTags'
  | 'move'
  | 'execute'
  | 'ownership'
  | 'permissions'
  | 'setImmutability'
  | 'delegationKey'
  | 'account'

/** One thing a verb needs. A verb may need several (a rename: `move` or delete + write). */
export interface Need {
  readonly right: Right
  /** Any one of these does as well. */
  readonly or?: readonly Right[] | undefined
  readonly resource: 'service' | 'container' | 'path'
  readonly container?: string | undefined
  /** Decoded; '' is the container's root. */
  readonly path?: string | undefined
}

/** Who asks, once the credential has been verified. */
export type Caller =
  | { readonly kind: 'sharedKey' }
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'sas'; readonly sas: unknown }
  | { readonly kind: 'bearer'; readonly objectId: string; readonly groups: readonly string[] }

/** Verifies who asks: throws `StorageError` 401 or 403 as Azure answers. */
export interface AccessControl {
  authenticate(request: StorageRequest, account: StorageAccount): Promise<Caller>
  /** Throws `StorageError` unless the caller may do all of `needs`. */
  authorize(caller: Caller, needs: readonly Need[], on: AccessTarget): void
}

/** What rights are decided on. */
export interface AccessTarget {
  readonly request: StorageRequest
  readonly account: StorageAccount
}
