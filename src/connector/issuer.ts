import type { BearerCredential, Credential } from '../credential/credential.ts'
import type { AzureLookups } from './azure-lookups.ts'
import type { Grant } from './policy.ts'
import type { CredentialReach } from './protocol.ts'
import type { TokenGrant } from './token-policy.ts'

/** How one credential is issued. */
export interface IssueOptions {
  /** Lands in Azure's logs, where the kind of credential has a place for it. A GUID. */
  readonly auditId: string
  /** Says that Azure refused the last credential: replaces cached keys. */
  readonly refresh?: boolean | undefined
  /** The JSON of a claims challenge that the credential answers. */
  readonly claims?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/** A credential and what the audit log says about it. */
export interface Issued {
  readonly credential: Credential
  readonly reach: CredentialReach
  /** Azure's request ids of the calls made for it. */
  readonly upstreamIds: readonly string[]
}

/** A token for what is no storage, and what the audit log says about it. */
export interface IssuedToken {
  readonly credential: BearerCredential
  readonly reach: CredentialReach
}

/** Signatures for single blobs, in the order they were asked for. */
export interface SignedBlobs {
  readonly queries: readonly string[]
  readonly expiresAtMs: number
  readonly upstreamIds: readonly string[]
}

/** Whom Entra takes an identity for. */
export interface IdentityFacts {
  readonly tenantId?: string | undefined
  /** The application's client id. */
  readonly clientId?: string | undefined
  readonly objectId?: string | undefined
}

/** Turns a grant into a credential. Rejects with `ConnectorError`. */
export interface Issuer {
  /** Makes the storage credential that was granted. */
  issue(grant: Grant, options: IssueOptions): Promise<Issued>
  /** Gives a token for what was granted; absent where only storage credentials are issued. */
  issueToken?(grant: TokenGrant, options: IssueOptions): Promise<IssuedToken>
  /** Signs single blobs, each named by its grant's prefix; absent where nothing is signed. */
  signBlobs?(grants: readonly Grant[], options: IssueOptions): Promise<SignedBlobs>
  /** Rejects when the identity behind it cannot sign in; absent where there is none. */
  checkIdentity?(signal?: AbortSignal): Promise<void>
  /** Signs a connector's identity in at Entra for `resource`, and says whom the token names. */
  identityOf?(connector: string, resource: string, signal?: AbortSignal): Promise<IdentityFacts>
  /** Where names are looked up for a connector; absent where nothing is known of Azure but storage. */
  lookupsFor?(connector: string | undefined): Promise<AzureLookups | undefined>
  /** Closes its connections; absent where it has none. Never throws. */
  close?(): Promise<void>
}
