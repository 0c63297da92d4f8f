import type { StorageAccount } from '../model/account.ts'
import type { StorageRequest } from '../wire/request.ts'
import type { DelegationKey, KeyPeriod } from './delegation-key.ts'
import type { SasToken } from './sas-token.ts'

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
export type Caller = SharedKeyCaller | AnonymousCaller | SasCaller | BearerCaller

/** Signed with one of the account's keys: may do everything. */
export interface SharedKeyCaller {
  readonly kind: 'sharedKey'
}

/** Sent no credential. */
export interface AnonymousCaller {
  readonly kind: 'anonymous'
}

/** Presented a shared access signature. */
export interface SasCaller {
  readonly kind: 'sas'
  readonly sas: SasToken
}

/** Presented a token of the tenant. */
export interface BearerCaller {
  readonly kind: 'bearer'
  readonly objectId: string
  readonly tenantId: string
  readonly groups: readonly string[]
  /** Issues what Get User Delegation Key answers; throws `StorageError` 400 for a wrong period. */
  delegationKey(period: KeyPeriod): DelegationKey
}

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
