import type { ConnectorBody, PolicyBody } from '../model/connector.ts'
import type { StoredRecord } from '../model/record.ts'
import {
  type BlobResource,
  parseBlobResource,
  type Resource,
  type ResourceOf,
} from '../model/resource.ts'
import type { Policy, PolicyAccount, PolicyRule } from '../policy.ts'
import { sortPermissions } from '../protocol.ts'
import type { TokenRule } from '../token-policy.ts'

type ConnectorRecord = StoredRecord<ConnectorBody>
type TokenResource = Exclude<Resource, BlobResource>

/**
 * What policies make of connectors: each pair of a policy and a resource that it names becomes one
 * rule, which grants no more than either of them. A policy whose connector is not there grants
 * nothing. Pure.
 */
export function effectivePolicy(
  connectors: readonly ConnectorRecord[],
  policies: readonly PolicyBody[],
): Policy {
  const rules: PolicyRule[] = []
  const tokens: TokenRule[] = []
  for (const policy of policies) {
    const connector = connectors.find(({ body }) => body.name === policy.connector)
    if (connector === undefined) continue
    for (const resource of connector.body.resources.filter((each) => isNamed(policy, each))) {
      if (resource.type === 'blob-container') rules.push(...blobRule(connector, policy, resource))
      else tokens.push(...tokenRule(connector, policy, resource))
    }
  }
  return { accounts: accountsOf(connectors), rules, tokens }
}

function isNamed({ resource }: PolicyBody, { type, id }: Resource): boolean {
  const sameType = resource?.type === undefined || resource.type === type
  return sameType && (resource?.id === undefined || resource.id === id)
}

function blobRule(
  { id: connector }: ConnectorRecord,
  policy: PolicyBody,
  resource: BlobResource,
): readonly PolicyRule[] {
  const place = parseBlobResource(resource.id)
  const permissions = both(resource.permissions, policy.permissions)
  const credentials = both(resource.credentials, policy.credentials)
  if (place === undefined || permissions.length === 0 || credentials.length === 0) return []
  const { caller } = policy
  return [
    {
      connector,
      caller,
      ...place,
      permissions: sortPermissions(permissions),
      credentials,
      maxTtlMs: Math.min(resource.maxTtlSeconds, policy.maxTtlSeconds ?? Infinity) * 1000,
      enforceBearerTtl: resource.enforceBearerTtl,
      onUnscopable: resource.onUnscopable,
    },
  ]
}

function tokenRule(
  { id: connector }: ConnectorRecord,
  policy: PolicyBody,
  resource: TokenResource,
): readonly TokenRule[] {
  const common = { connector, caller: policy.caller, maxTtlMs: tokenTtlMs(policy, resource) }
  switch (resource.type) {
    case 'azure-generic':
      return [{ ...common, resource: resource.type, audiences: [resource.id] }]
    case 'kubernetes-cluster':
      return [{ ...common, resource: resource.type, clusters: [resource.id] }]
    case 'docker-registry':
      return registryRule(common, policy, resource)
    default:
      return resource satisfies never
  }
}

function registryRule(
  common: Pick<TokenRule, 'caller' | 'connector' | 'maxTtlMs'>,
  policy: PolicyBody,
  { type, id, repositories, permissions }: ResourceOf<'docker-registry'>,
): readonly TokenRule[] {
  const actions = both(permissions, policy.actions)
  if (actions.length === 0) return []
  return [{ ...common, resource: type, registry: id, repositories, actions }]
}

function tokenTtlMs(policy: PolicyBody, resource: TokenResource): number | undefined {
  const seconds = Math.min(resource.maxTtlSeconds ?? Infinity, policy.maxTtlSeconds ?? Infinity)
  return seconds === Infinity ? undefined : seconds * 1000
}

/** What both allow, in the order of the first. */
function both<T>(given: readonly T[], limit: readonly T[] | undefined): readonly T[] {
  return limit === undefined ? given : given.filter((each) => limit.includes(each))
}

/** Accounts that a resource declares to have directories of their own. */
function accountsOf(connectors: readonly ConnectorRecord[]): readonly PolicyAccount[] {
  const names = connectors
    .flatMap(({ body }) => body.resources)
    .flatMap((resource) =>
      resource.type === 'blob-container' && resource.hierarchicalNamespace === true
        ? [parseBlobResource(resource.id)?.account ?? '']
        : [],
    )
  return [...new Set(names)].map((name) => ({ name, hierarchicalNamespace: true }))
}
