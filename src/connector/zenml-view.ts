import { LRUCache } from 'lru-cache'
import { isContainerName } from './canonical-scope.ts'
import { ConnectorError } from './connector-error.ts'
import type { Policy, PolicyRule, Principal } from './policy.ts'
import { stableId, type ZenmlConnector, type ZenmlRequest } from './zenml-models.ts'

export const blobContainer = 'blob-container'

/**
 * What a caller of ZenML's API sees: one connector per account that the policy names for it, and
 * those that it registered. Registering gives a name to what is granted already and never more, so
 * it is kept in memory; the connectors of the policy are always there.
 */
export class ZenmlView {
  readonly #policy: () => Promise<Policy>
  readonly #registered = new LRUCache<string, ZenmlConnector>({ max: 1000 })

  constructor(policy: () => Promise<Policy>) {
    this.#policy = policy
  }

  async list(principal: Principal): Promise<readonly ZenmlConnector[]> {
    const accounts = new Set((await this.#rules(principal)).map(({ account }) => account))
    const granted = [...accounts].map((account) => ofAccount(principal, account))
    const own = [...this.#registered.entries()].flatMap(([key, connector]) =>
      key.startsWith(`${principal.name}/`) ? [connector] : [],
    )
    return [...granted, ...own]
  }

  /** Throws `not_found`; that others have such a connector is not told. */
  async get(principal: Principal, id: string): Promise<ZenmlConnector> {
    const found = (await this.list(principal)).find((each) => each.id === id)
    if (found === undefined) throw unknown()
    return found
  }

  /** Checks that what is asked for is granted, and gives it a name. */
  async register(principal: Principal, request: ZenmlRequest): Promise<ZenmlConnector> {
    const connector = await this.draft(principal, request)
    if ((await this.list(principal)).some(({ name }) => name === connector.name)) throw taken()
    this.#registered.set(`${principal.name}/${connector.id}`, connector)
    return connector
  }

  /** Replaces what was registered; a connector of the policy is its operator's. */
  async update(principal: Principal, id: string, request: ZenmlRequest): Promise<ZenmlConnector> {
    await this.#own(principal, id)
    const connector = { ...(await this.draft(principal, request)), id }
    this.#registered.set(`${principal.name}/${id}`, connector)
    return connector
  }

  async remove(principal: Principal, id: string): Promise<void> {
    await this.#own(principal, id)
    this.#registered.delete(`${principal.name}/${id}`)
  }

  /** What a registration would give, without keeping it. */
  async draft(principal: Principal, request: ZenmlRequest): Promise<ZenmlConnector> {
    refuseForeign(request)
    const { name, description, labels } = request
    const account = await this.#accountOf(principal, request)
    const resourceId =
      request.resource_id == null ? undefined : canonicalId(containerOf(request.resource_id))
    const id = stableId('registered', principal.name, name)
    return { id, name, description, account, resourceTypes: [blobContainer], resourceId, labels }
  }

  /** The containers of a connector that the policy names for the caller. */
  async containers(principal: Principal, connector: ZenmlConnector): Promise<readonly string[]> {
    const rules = (await this.#rules(principal)).filter(
      ({ account }) => account === connector.account,
    )
    const names = rules.map(({ container }) => container).filter((name) => name !== '*')
    return [...new Set(names)].filter(
      (name) => connector.resourceId === undefined || connector.resourceId === canonicalId(name),
    )
  }

  /** Whether the caller may list a container whole: no rule for a prefix is enough. */
  async lists(principal: Principal, { account }: ZenmlConnector, name: string): Promise<boolean> {
    return (await this.#rules(principal)).some(
      (rule) =>
        rule.account === account &&
        [name, '*'].includes(rule.container) &&
        rule.prefix === undefined &&
        rule.permissions.includes('list') &&
        rule.permissions.includes('read'),
    )
  }

  async #rules(principal: Principal): Promise<readonly PolicyRule[]> {
    return (await this.#policy()).rules.filter(({ caller }) => caller === principal.name)
  }

  async #own(principal: Principal, id: string): Promise<void> {
    if (this.#registered.has(`${principal.name}/${id}`)) return
    await this.get(principal, id)
    throw new ConnectorError('access_denied', 'permission_not_granted', {
      detail: 'this connector is made of the policy: it is not changed over this API',
      hint: 'ask the operator of the connector to change the policy',
    })
  }

  async #accountOf(principal: Principal, request: ZenmlRequest): Promise<string> {
    const accounts = [...new Set((await this.#rules(principal)).map(({ account }) => account))]
    const asked = request.configuration['storage_account'] ?? undefined
    const account = asked === undefined && accounts.length === 1 ? accounts[0] : asked
    if (typeof account === 'string' && accounts.includes(account)) return account
    throw new ConnectorError('access_denied', 'permission_not_granted', {
      detail: `caller '${principal.name}' is granted nothing in such a storage account`,
      hint: "name a granted account as 'storage_account', or ask the operator for a policy rule",
    })
  }
}

/** `az://c`, `abfs://c`, `abfss://c@account…/` and `c` are one container. */
export function containerOf(resourceId: string): string {
  const [name = ''] = resourceId.replace(/^(az|abfss?|wasbs?):\/\//, '').split(/[@/]/)
  if (isContainerName(name)) return name
  throw new ConnectorError('invalid_request', 'path_invalid', {
    detail: "'resource_id' names no container",
    hint: 'write az://CONTAINER',
  })
}

/** ZenML's spelling of a container. */
export function canonicalId(container: string): string {
  return `az://${container}`
}

function ofAccount(principal: Principal, account: string): ZenmlConnector {
  return {
    id: stableId('policy', principal.name, account),
    name: `abfs-${account}`,
    description: `What the policy grants to '${principal.name}' in ${account}`,
    account,
    resourceTypes: [blobContainer],
    resourceId: undefined,
    labels: {},
  }
}

/** A secret is not taken, not even to be refused later: it would be kept somewhere. */
function refuseForeign(request: ZenmlRequest): void {
  const types = request.resource_types.filter((type) => type !== blobContainer)
  if (request.auth_method === 'implicit' && types.length === 0) return
  throw new ConnectorError('invalid_scope', 'unsupported_auth_for_resource', {
    detail:
      "this connector registers auth method 'implicit' for resource type 'blob-container' alone",
    hint: 'the identity is the connector’s: leave secrets out; clusters and registries have `abfs credential kubernetes` and docker-credential-abfs',
  })
}

function unknown(): ConnectorError {
  return new ConnectorError('invalid_request', 'not_found', {
    status: 404,
    detail: 'there is no such service connector',
    hint: 'list them: GET /api/v1/service_connectors',
  })
}

function taken(): ConnectorError {
  return new ConnectorError('invalid_request', 'conflict', {
    status: 409,
    detail: 'a service connector of that name is there already',
    hint: 'choose another name',
  })
}
