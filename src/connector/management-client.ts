import type { HttpHandler, HttpResponse } from '../http/handler.ts'
import { absent, answerError, jsonOf, unavailable } from './azure-answer.ts'
import { ConnectorError } from './connector-error.ts'

/** What a {@link ManagementClient} works with. */
export interface ManagementOptions {
  /** `https://management.azure.com/` in the public cloud. */
  readonly endpoint: URL
  /** The one that the identity sees when absent. */
  readonly subscriptionId?: string | undefined
  /** The connector's own token for the management; `claims` answers a challenge. */
  readonly tokenFor: (resource: string, claims?: string) => Promise<string>
  readonly http: HttpHandler
}

/** A resource as the management gives it. */
export interface AzureResource {
  readonly id: string
  readonly name: string
  /** From the id. */
  readonly group: string
  readonly properties: Readonly<Record<string, unknown>>
}

const versions = {
  'Microsoft.Storage/storageAccounts': '2023-05-01',
  'Microsoft.ContainerRegistry/registries': '2023-07-01',
  'Microsoft.ContainerService/managedClusters': '2024-05-01',
} as const
/** The types that are looked up. */
export type ManagedType = keyof typeof versions

const maxPages = 200
const maxAnswerBytes = 8 * 1024 * 1024

/** Azure Resource Manager, as far as a connector reads it. Rejects with `ConnectorError`. */
export class ManagementClient {
  readonly #options: ManagementOptions
  #subscriptionId: Promise<string> | undefined

  constructor(options: ManagementOptions) {
    this.#options = options
  }

  /** All resources of a type that the identity may see. */
  async list(type: ManagedType): Promise<readonly AzureResource[]> {
    const subscription = await this.#subscription()
    const entries = await this.#pages(
      `/subscriptions/${subscription}/providers/${type}?api-version=${versions[type]}`,
    )
    return entries.map(resourceOf)
  }

  /** The containers of an account, by name. */
  async containers(account: AzureResource): Promise<readonly string[]> {
    const version = versions['Microsoft.Storage/storageAccounts']
    const entries = await this.#pages(
      `${account.id}/blobServices/default/containers?api-version=${version}`,
    )
    return entries.map((entry) => resourceOf(entry).name)
  }

  /**
   * One resource by name; names are compared without case. `group` undefined: any, if one alone has
   * it.
   */
  async find(type: ManagedType, name: string, group?: string): Promise<AzureResource> {
    const isSame = (one: string, other: string): boolean =>
      one.toLowerCase() === other.toLowerCase()
    const found = (await this.list(type)).filter(
      (each) => isSame(each.name, name) && (group === undefined || isSame(each.group, group)),
    )
    const [first, ...others] = found
    if (first === undefined) throw absent(`${type} '${name}'`)
    if (others.length > 0) throw severalNamed(name, found)
    return first
  }

  /** The kubeconfig that users of a cluster get, as text. */
  async kubeconfig(cluster: AzureResource): Promise<string> {
    const version = versions['Microsoft.ContainerService/managedClusters']
    const path = `${cluster.id}/listClusterUserCredential?api-version=${version}&format=exec`
    const { kubeconfigs } = await this.#send('POST', new URL(path, this.#options.endpoint))
    const [first] = Array.isArray(kubeconfigs) ? kubeconfigs : []
    const { value } = Object(first)
    if (typeof value !== 'string') throw unavailable('the management', 'no kubeconfig', false)
    return Buffer.from(value, 'base64').toString('utf8')
  }

  #subscription(): Promise<string> {
    const { subscriptionId } = this.#options
    if (subscriptionId !== undefined) return Promise.resolve(subscriptionId)
    this.#subscriptionId ??= this.#onlySubscription()
    // A failure is asked about again.
    this.#subscriptionId.catch(() => {
      this.#subscriptionId = undefined
    })
    return this.#subscriptionId
  }

  async #onlySubscription(): Promise<string> {
    const all = await this.#pages('/subscriptions?api-version=2022-12-01')
    const ids = all.map((entry) => String(Object(entry).subscriptionId))
    const [first, ...others] = ids
    if (first === undefined || others.length > 0) throw ambiguous(ids)
    return first
  }

  async #pages(path: string): Promise<readonly unknown[]> {
    const { endpoint } = this.#options
    const found: unknown[] = []
    let url: URL | undefined = new URL(path, endpoint)
    for (let page = 0; url !== undefined && page < maxPages; page++) {
      const { value, nextLink }: Record<string, unknown> = await this.#send('GET', url)
      found.push(...(Array.isArray(value) ? value : []))
      url = typeof nextLink === 'string' ? new URL(nextLink) : undefined
      // The token goes nowhere else, whatever an answer says.
      if (url !== undefined && url.origin !== endpoint.origin) {
        throw unavailable('the management', 'a page elsewhere', false)
      }
    }
    return found
  }

  async #send(method: 'GET' | 'POST', url: URL): Promise<Record<string, unknown>> {
    const first = await this.#once(method, url)
    if (first.status === 200) return jsonOf(first)
    const scope = url.pathname.replace(/\/providers\/[^/]+\/[^/]+$/, '')
    const question = { who: 'Azure Resource Manager', role: roleFor(url), scope }
    const refusal = answerError(first, question)
    if (refusal.claims === undefined) throw refusal
    const second = await this.#once(method, url, refusal.claims)
    if (second.status === 200) return jsonOf(second)
    throw answerError(second, question)
  }

  async #once(method: 'GET' | 'POST', url: URL, claims?: string): Promise<HttpResponse> {
    const token = await this.#options.tokenFor('https://management.azure.com', claims)
    try {
      return await this.#options.http({
        method,
        url,
        headers: { authorization: `Bearer ${token}`, accept: 'application/json' },
        operation: 'connector.management',
        maxBodyBytes: maxAnswerBytes,
        idempotent: true,
      })
    } catch (cause) {
      throw Object.assign(unavailable('Azure Resource Manager', 'no answer', true), { cause })
    }
  }
}

function resourceOf(entry: unknown): AzureResource {
  const { id, name, properties } = Object(entry)
  const text = String(id)
  const group = /\/resourceGroups\/([^/]+)\//i.exec(text)?.[1] ?? ''
  return { id: text, name: String(name), group, properties: Object(properties) }
}

function roleFor(url: URL): string {
  const isKubeconfig = url.pathname.endsWith('/listClusterUserCredential')
  return isKubeconfig ? 'Azure Kubernetes Service Cluster User Role' : 'Reader'
}

function ambiguous(ids: readonly string[]): ConnectorError {
  return new ConnectorError('invalid_scope', 'subscription_ambiguous', {
    status: 409,
    detail:
      ids.length === 0
        ? "the connector's identity sees no subscription"
        : `the connector's identity sees ${ids.length} subscriptions`,
    hint:
      ids.length === 0
        ? 'operator: give it the role Reader where its resources are, or name management.subscriptionId'
        : "operator: name one as 'management.subscriptionId'",
  })
}

function severalNamed(name: string, found: readonly AzureResource[]): ConnectorError {
  const groups = found.map(({ group }) => group).join(', ')
  return new ConnectorError('invalid_scope', 'subscription_ambiguous', {
    status: 409,
    detail: `'${name}' is in several resource groups: ${groups}`,
    hint: 'ask with GROUP/NAME',
  })
}
