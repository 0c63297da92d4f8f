/** The fields of a shared access signature as sent; parsed, not verified. */
export interface SasToken {
  readonly kind: 'account' | 'service' | 'userDelegation'
  readonly version: string
}
