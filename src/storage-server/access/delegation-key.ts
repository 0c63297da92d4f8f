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
export interface DelegationKey {
  readonly signedObjectId: string
  readonly signedTenantId: string
  readonly signedStart: string
  readonly signedExpiry: string
  readonly signedService: 'b'
  readonly signedVersion: string
  readonly signedDelegatedUserTenantId?: string | undefined
  /** Base64 of 32 bytes. */
  readonly value: string
}
