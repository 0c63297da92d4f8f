import { z } from 'zod'
import type { ClusterPlace } from './cluster-lookup.ts'
import { ConnectorError } from './connector-error.ts'
import { denied } from './issuance.ts'
import type { Issuer } from './issuer.ts'
import {
  type Denial,
  decide,
  type Grant,
  type Policy,
  type PolicyRule,
  type Principal,
} from './policy.ts'
import {
  formatResourceId,
  parseResourceId,
  type ResourceName,
  type ResourceType,
  resourceTypes,
} from './resource-id.ts'
import { decideToken, type TokenGrant, type TokenRule } from './token-policy.ts'

/** One thing that a caller may ask credentials for. */
export interface CatalogEntry {
  readonly type: ResourceType
  /** In its one spelling. */
  readonly id: string
  /** Of a cluster that was asked for by name. */
  readonly cluster?: Pick<ClusterPlace, 'server' | 'certificateAuthorityPem'> | undefined
}

/** What a {@link ResourceCatalog} looks things up in. */
export interface ResourceCatalogOptions {
  readonly policy: () => Promise<Policy>
  readonly cloud: string
  /** Without a management only what rules name is listed. */
  readonly issuer: Issuer
}

/** What a request for resources asks: a list, or one by its id. */
export interface ResourceQuery {
  readonly type: ResourceType
  readonly id?: string | undefined
}

/** The query of a request for resources. */
export const resourceQuery: z.ZodType<ResourceQuery> = z.strictObject({
  type: z.enum(resourceTypes),
  id: z.string().min(1).max(2048).optional(),
})

/** What is answered. */
export const resourceAnswer: z.ZodType<{ readonly resources: readonly CatalogEntry[] }> = z.object({
  resources: z.array(
    z.object({
      type: z.enum(resourceTypes),
      id: z.string(),
      cluster: z.object({ server: z.string(), certificateAuthorityPem: z.string() }).optional(),
    }),
  ),
})

/** What there is for a caller: what policy grants, completed by what the management shows. */
export class ResourceCatalog {
  readonly #options: ResourceCatalogOptions

  constructor(options: ResourceCatalogOptions) {
    this.#options = options
  }

  /** Everything of a type that the caller has a rule for. Rejects with `ConnectorError`. */
  async list(principal: Principal, type: ResourceType): Promise<readonly CatalogEntry[]> {
    const policy = await this.#options.policy()
    const names =
      type === 'blob-container'
        ? await this.#blobs(policy, principal)
        : tokensOf(policy, principal, type)
    const ids = names.map((name) => formatResourceId(name, this.#options.cloud))
    return [...new Set(ids)].sort().map((id) => ({ type, id }))
  }

  /** One resource in its one spelling, if the caller has a rule for it. */
  async get(principal: Principal, type: ResourceType, text: string): Promise<CatalogEntry> {
    const policy = await this.#options.policy()
    const name = await this.#complete(policy, principal, parseResourceId(type, text))
    const outcome = decideOn(policy, principal, name)
    if (outcome.decision === 'denial') throw denied(outcome)
    const id = formatResourceId(name, this.#options.cloud)
    if (name.type !== 'kubernetes-cluster') return { type, id }
    const { clusters } = (await this.#options.issuer.lookupsFor?.(outcome.connector)) ?? {}
    if (clusters === undefined) return { type, id }
    const { server, certificateAuthorityPem } = await clusters.get(id)
    return { type, id, cluster: { server, certificateAuthorityPem } }
  }

  async #blobs(policy: Policy, principal: Principal): Promise<readonly ResourceName[]> {
    const own = policy.rules.filter(({ caller }) => caller === principal.name)
    const names = await Promise.all(own.map((rule) => this.#containersOf(rule)))
    return names.flat()
  }

  async #containersOf({
    account,
    connector,
    container,
    prefix,
  }: PolicyRule): Promise<readonly ResourceName[]> {
    const type = 'blob-container'
    if (container !== '*') return [{ type, account, container, prefix }]
    const { management } = (await this.#options.issuer.lookupsFor?.(connector)) ?? {}
    if (management === undefined) return []
    const found = await management.find('Microsoft.Storage/storageAccounts', account)
    const containers = await management.containers(found)
    return containers.map((name) => ({ type, account, container: name, prefix: undefined }))
  }

  /** Looks up an account or a group that is not named: there must be one alone. */
  async #complete(policy: Policy, principal: Principal, name: ResourceName): Promise<ResourceName> {
    if (name.type === 'blob-container' && name.account === undefined) {
      const known = await this.#blobs(policy, principal)
      const accounts = new Set(
        known.flatMap((each) =>
          each.type === 'blob-container' && each.container === name.container
            ? [each.account ?? '']
            : [],
        ),
      )
      return { ...name, account: only([...accounts], name.container) }
    }
    if (name.type === 'kubernetes-cluster' && name.group === undefined) {
      const groups = tokensOf(policy, principal, name.type).flatMap((each) =>
        each.type === name.type && each.name === name.name.toLowerCase() ? [each.group ?? ''] : [],
      )
      return { ...name, group: only([...new Set(groups)], name.name) }
    }
    return name
  }
}

function tokensOf(
  policy: Policy,
  principal: Principal,
  type: ResourceType,
): readonly ResourceName[] {
  const rules = policy.tokens ?? []
  return rules
    .filter((rule) => rule.caller === principal.name && rule.resource === type)
    .flatMap(namesOf)
}

function decideOn(
  policy: Policy,
  principal: Principal,
  name: ResourceName,
): Grant | TokenGrant | Denial {
  switch (name.type) {
    case 'blob-container': {
      const { account = '', container, prefix } = name
      const service = 'blob' as const
      const own = policy.rules.find(
        (rule) => rule.caller === principal.name && rule.account === account,
      )
      const permissions = own?.permissions ?? (['read'] as const)
      return decide(policy, principal, {
        scope: { account, service, container, prefix, permissions },
      })
    }
    case 'azure-generic':
      return decideToken(policy.tokens ?? [], principal, {
        resource: name.type,
        audience: name.audience,
      })
    case 'kubernetes-cluster': {
      const cluster = `${name.group}/${name.name}`.toLowerCase()
      return decideToken(policy.tokens ?? [], principal, { resource: name.type, cluster })
    }
    case 'docker-registry':
      return decideToken(policy.tokens ?? [], principal, {
        resource: name.type,
        registry: name.registry,
        repositories: [],
      })
    default:
      return name satisfies never
  }
}

function namesOf(rule: TokenRule): readonly ResourceName[] {
  switch (rule.resource) {
    case 'azure-generic':
      return rule.audiences.map((audience) => ({ type: rule.resource, audience }))
    case 'kubernetes-cluster':
      return rule.clusters.map((id) => parseResourceId(rule.resource, id))
    case 'docker-registry':
      return [{ type: rule.resource, registry: rule.registry }]
    default:
      return rule satisfies never
  }
}

function only(found: readonly string[], name: string): string {
  const [first, ...others] = found
  if (first === undefined) {
    throw new ConnectorError('access_denied', 'permission_not_granted', {
      detail: `no rule of the caller names '${name}'`,
      hint: 'ask the operator of the connector for a policy rule that grants it',
    })
  }
  if (others.length === 0) return first
  throw new ConnectorError('invalid_request', 'path_invalid', {
    status: 409,
    detail: `'${name}' is in ${found.length} places: ${found.join(', ')}`,
    hint: 'name the account (abfss://CONTAINER@ACCOUNT.dfs.SUFFIX) or the group (GROUP/CLUSTER)',
  })
}
