/** The server's side of the service connector: the package's `./connector`. */
export { type AuditLog, type AuditRecord, openFileAudit, streamAudit } from './audit.ts'
export { type CallerKey, generateCallerKey } from './authenticate.ts'
export { type ConnectorConfig, parseConnectorConfig, policyOf } from './config.ts'
export { ConnectorError } from './connector-error.ts'
export { EntraIssuer, type EntraIssuerOptions } from './entra-issuer.ts'
export { openIdentity } from './identity.ts'
export { Issuance, type IssuanceOptions } from './issuance.ts'
export type { Issued, IssueOptions, Issuer } from './issuer.ts'
export { IssuerProvider, type IssuerProviderOptions } from './issuer-provider.ts'
export {
  type Auth,
  type AuthOf,
  isImplicit,
  type Secrets,
  type SubmittedAuth,
  separateSecrets,
} from './model/auth.ts'
export {
  type ConnectorBody,
  type ConnectorChange,
  connectorChange,
  type KeyBody,
  type PolicyBody,
  type SubmittedConnector,
  submittedConnector,
} from './model/connector.ts'
export { declaredId, etagOf, type StoredRecord } from './model/record.ts'
export type { Resource, ResourceOf, ResourceType } from './model/resource.ts'
export { openIssuer } from './open-issuer.ts'
export { decide, type Grant, type Policy, type PolicyRule, type Principal } from './policy.ts'
export { type Connector, type ConnectorOptions, startConnector } from './server.ts'
export { type ConnectorSources, diskSources } from './sources.ts'
export {
  TokenCredentialProvider,
  type TokenCredentialProviderOptions,
} from './token-credential-provider.ts'
