import { randomUUID } from 'node:crypto'
import type { StorageAccount } from '../model/account.ts'
import { StorageError } from '../wire/storage-error.ts'
import { Signer } from './hmac.ts'

/*
 * A user delegation key is the HMAC of its own fields with a secret of the account, so the server
 * keeps none of them: a signature's `sk…` fields are enough to compute the key again. The secret
 * comes from the account's first key and an epoch; another epoch ends all keys.
 */

/** The time that a user delegation key is asked for. */
export interface KeyPeriod {
  /** Milliseconds since the epoch; now when absent. */
  readonly startMs?: number | undefined
  /** At most 7 days from now. */
  readonly expiresMs: number
  /** `x-ms-version` of the request. */
  readonly version: string
  /** Tenant of the one user that signatures made with the key may name. */
  readonly delegatedUserTenantId?: string | undefined
}

/** A user delegation key as Azure answers it. Times are ISO 8601 to the second, in UTC. */
export interface DelegationKey extends KeyFields {
  /** Base64 of 32 bytes. */
  readonly value: string
}

/** All of a key but its value. */
export interface KeyFields {
  readonly signedObjectId: string
  readonly signedTenantId: string
  readonly signedStart: string
  readonly signedExpiry: string
  readonly signedService: string
  readonly signedVersion: string
  readonly signedDelegatedUserTenantId?: string | undefined
}

const maxPeriodMs = 7 * 24 * 60 * 60 * 1000

/** Makes and ends user delegation keys. */
export class DelegationKeys {
  readonly #epochs = new Map<string, string>()
  readonly #signer = new Signer()

  /** What `revokeAll` did, for `restoreEpochs` of a later process: an epoch per account. */
  get epochs(): readonly (readonly [accountName: string, epoch: string])[] {
    return [...this.#epochs]
  }

  /** Called after each `revokeAll`. */
  onRevoke: (() => void) | undefined

  /** Ends what an earlier process ended. */
  restoreEpochs(epochs: Iterable<readonly [accountName: string, epoch: string]>): void {
    for (const [name, epoch] of epochs) this.#epochs.set(name, epoch)
  }

  /** Issues a key for a principal; throws `StorageError` 400 for a wrong period. */
  issue(
    account: StorageAccount,
    principal: { readonly objectId: string; readonly tenantId: string },
    period: KeyPeriod,
  ): DelegationKey {
    const startMs = checkPeriod(period, account.nowMs())
    const fields = {
      signedObjectId: principal.objectId,
      signedTenantId: principal.tenantId,
      signedStart: toSeconds(startMs),
      signedExpiry: toSeconds(period.expiresMs),
      signedService: 'b',
      signedVersion: period.version,
      signedDelegatedUserTenantId: period.delegatedUserTenantId,
    }
    return { ...fields, value: this.valueOf(account, fields) }
  }

  /** The value of the key with these fields, whoever names them. */
  valueOf(account: StorageAccount, fields: KeyFields): string {
    const { name, keys } = account.settings
    const secret = this.#signer.sign(
      keys[0] ?? '',
      `user-delegation\n${this.#epochs.get(name) ?? ''}`,
    )
    return this.#signer.sign(
      secret,
      [
        name,
        fields.signedObjectId,
        fields.signedTenantId,
        fields.signedStart,
        fields.signedExpiry,
        fields.signedService,
        fields.signedVersion,
        fields.signedDelegatedUserTenantId ?? '',
      ].join('\n'),
    )
  }

  /** Ends all keys of an account, and so every signature made with them. */
  revokeAll(accountName: string): void {
    this.#epochs.set(accountName, randomUUID())
    this.onRevoke?.()
  }
}

function checkPeriod(period: KeyPeriod, nowMs: number): number {
  const { startMs = nowMs, expiresMs } = period
  if (!(expiresMs > nowMs)) throw wrongPeriod('Expiry', 'it must be later than now')
  if (!(expiresMs > startMs)) throw wrongPeriod('Expiry', 'it must be later than Start')
  if (expiresMs > nowMs + maxPeriodMs) throw wrongPeriod('Expiry', 'at most 7 days from now')
  return startMs
}

function wrongPeriod(element: string, reason: string): StorageError {
  return new StorageError(
    400,
    'InvalidXmlNodeValue',
    'The value provided for one of the XML nodes in the request body was not in the correct format.',
    { details: { XmlNodeName: element, Reason: reason } },
  )
}

function toSeconds(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}
