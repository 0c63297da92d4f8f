/** What a refusal means: the statuses that it is told with, and a sentence for the documentation. */
interface ProblemMeaning {
  readonly statuses: readonly number[]
  readonly meaning: string
}

/** Why a connector refuses, more finely than RFC 6749's words. */
export type ConnectorErrorReason =
  | 'acr_admin_fallback_refused'
  | 'acr_arm_audience_disabled'
  | 'aks_admin_refused'
  | 'audience_not_allowed'
  | 'audit_unavailable'
  | 'caller_unknown'
  | 'claims_challenge'
  | 'clock_skew'
  | 'conflict'
  | 'credential_expired'
  | 'credential_kind_not_granted'
  | 'delegator_missing'
  | 'identity_refused'
  | 'identity_unavailable'
  | 'implicit_auth_disabled'
  | 'internal'
  | 'malformed'
  | 'network_denied'
  | 'not_found'
  | 'path_invalid'
  | 'path_outside_root'
  | 'permission_not_granted'
  | 'rbac_missing'
  | 'resource_unavailable'
  | 'scope_unenforceable'
  | 'storage_unavailable'
  | 'subscription_ambiguous'
  | 'tenant_mismatch'
  | 'throttled'
  | 'ttl_exceeds_policy'
  | 'unsupported_auth_for_resource'

/** Every reason that a connector gives for a refusal; the document of its interface lists them. */
export const problemMeanings: Readonly<Record<ConnectorErrorReason, ProblemMeaning>> = {
  acr_admin_fallback_refused: on(403, "the registry's admin account is never used"),
  acr_arm_audience_disabled: on(403, "the registry refuses tokens of Azure's management"),
  aks_admin_refused: on(403, "a cluster's administrator certificate is never fetched"),
  audience_not_allowed: on(403, 'no rule lists the audience'),
  audit_unavailable: on(500, 'the audit log cannot be written, so nothing is given out'),
  caller_unknown: on(401, 'no, wrong or expired proof'),
  claims_challenge: on(401, 'Entra asks for more claims'),
  clock_skew: on(409, 'the clocks of the connector and of Azure differ'),
  conflict: on([409, 412], 'it exists, or was changed in between'),
  credential_expired: on(401, 'a stored credential has ended'),
  credential_kind_not_granted: on(403, 'a rule grants it, but not this kind'),
  delegator_missing: on(403, "the connector's identity may not make delegation keys"),
  identity_refused: on(503, 'Entra refused the connector'),
  identity_unavailable: on(503, 'Entra or a key set does not answer'),
  implicit_auth_disabled: on(403, 'the operator has not allowed the identity of the machine'),
  internal: on(500, 'a fault of the connector'),
  malformed: on([400, 408, 413, 415, 431], 'not this protocol'),
  network_denied: on(403, 'a firewall of Azure refused the connector'),
  not_found: on(404, 'not a path of this protocol, or nothing of that name'),
  path_invalid: on([400, 409], "a name or prefix that is ambiguous or not Azure's"),
  path_outside_root: on(422, "the prefix is not below the rule's"),
  permission_not_granted: on(403, 'no rule grants it'),
  rbac_missing: on(403, "a role is missing: 'required' names it and the command that grants it"),
  resource_unavailable: on(503, 'a registry or the management does not answer'),
  scope_unenforceable: on(422, 'Azure cannot limit a credential that far'),
  storage_unavailable: on(503, 'the storage account does not answer'),
  subscription_ambiguous: on(409, 'the identity sees several subscriptions or none'),
  tenant_mismatch: on(403, 'the identity belongs to another tenant'),
  throttled: on(429, 'more requests than a minute allows, or Azure throttles the connector'),
  ttl_exceeds_policy: on(403, 'the token lives longer than the rule allows'),
  unsupported_auth_for_resource: on(422, 'this connector gives no such token'),
}

function on(statuses: number | readonly number[], meaning: string): ProblemMeaning {
  return { statuses: typeof statuses === 'number' ? [statuses] : statuses, meaning }
}
