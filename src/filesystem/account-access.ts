import type { AccessControl, Expiry } from '../blob/hierarchy.ts'
import type { CallOptions } from '../blob/store.ts'
import { expectCall } from '../expect-option.ts'
import {
  type AclOptions,
  type AclResult,
  changeAcl,
  checkMode,
  getAcl,
  setAccess,
  setExpiry,
} from './access.ts'
import { AccountContent } from './account-content.ts'
import type { PathInput } from './location.ts'

/** Who may do what, on hierarchical accounts. See `AzureBlobFileSystem`. */
export class AccountAccess extends AccountContent {
  /** Who owns a path and who may do what; this and the next: `ENOTSUP` on flat accounts. */
  async getAcl(path: PathInput, options: CallOptions = {}): Promise<AccessControl> {
    return getAcl(this.remote, this.place(path, 'getAcl', options), options)
  }

  /** Replaces access control lists: `user::rwx,group::r-x,other::---,default:user:ID:r-x`. */
  async setAcl(path: PathInput, acl: string, options: AclOptions = {}): Promise<AclResult> {
    expectCall(options)
    return this.#changeAcl(path, { ...options, mode: 'set', acl })
  }

  /** Adds entries to access control lists, or changes those of the same name. */
  async updateAcl(path: PathInput, acl: string, options: AclOptions = {}): Promise<AclResult> {
    expectCall(options)
    return this.#changeAcl(path, { ...options, mode: 'modify', acl })
  }

  /** Takes entries out of access control lists; `acl` names them without permissions: `user:ID`. */
  async removeAcl(path: PathInput, acl: string, options: AclOptions = {}): Promise<AclResult> {
    expectCall(options)
    return this.#changeAcl(path, { ...options, mode: 'remove', acl })
  }

  /** Sets the permission bits `mode`, as `0o750`. */
  async chmod(path: PathInput, mode: number, options: CallOptions = {}): Promise<void> {
    expectCall(options)
    checkMode(mode)
    return this.#setAccess(path, { ...options, changes: { mode }, syscall: 'chmod' })
  }

  /** Sets owner and group: object ids or user principal names; `undefined` leaves one. */
  async chown(
    path: PathInput,
    owners: { readonly owner?: string | undefined; readonly group?: string | undefined },
    options: CallOptions = {},
  ): Promise<void> {
    expectCall(options)
    return this.#setAccess(path, { ...options, changes: owners, syscall: 'chown' })
  }

  /** Says when the service removes a file by itself. */
  async setExpiry(path: PathInput, expiry: Expiry, options: CallOptions = {}): Promise<void> {
    const place = this.filePlace(path, 'setExpiry', options)
    return setExpiry(this.remote, place, { ...options, expiry })
  }

  #changeAcl(path: PathInput, change: Parameters<typeof changeAcl>[2]): Promise<AclResult> {
    return changeAcl(this.remote, this.place(path, `${change.mode}Acl`), change)
  }

  #setAccess(path: PathInput, options: Parameters<typeof setAccess>[2]): Promise<void> {
    return setAccess(this.remote, this.place(path, options.syscall), options)
  }
}
