import type { Credential } from '../credential/credential.ts'
import type { Grant } from './policy.ts'
import type { CredentialReach } from './protocol.ts'

/** How one credential is issued. */
export interface IssueOptions {
  /** Lands in Azure's logs, where the kind of credential has a place for it. A GUID. */
  readonly auditId: string
  /** Says that Azure refused the last credential: replaces cached keys. */
  readonly refresh?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/** A credential and what the audit log says about it. */
export interface Issued {
  readonly credential: Credential
  readonly reach: CredentialReach
  /** Azure's request ids of the calls made for it. */
  readonly upstreamIds: readonly string[]
}

/** Turns a grant into a credential. Rejects with `ConnectorError`. */
export interface Issuer {
  issue(grant: Grant, options: IssueOptions): Promise<Issued>
}
