import { parse } from 'yaml'
import type { Clock } from '../clock.ts'
import { unavailable } from './azure-answer.ts'
import { ConnectorError } from './connector-error.ts'
import type { ManagementClient } from './management-client.ts'
import { type Fetched, RenewedValues } from './renewed-values.ts'

/** Where a cluster's API server is, and whom to trust there. */
export interface ClusterPlace {
  /** `group/name`, in lower case. */
  readonly id: string
  readonly server: string
  readonly certificateAuthorityPem: string
  /** Whether the cluster still has an administrator's certificate, which is never fetched. */
  readonly localAccounts: boolean
}

const keptMs = 2 * 60 * 60_000

/** Finds clusters through the management, and keeps what it found for an hour. */
export class ClusterLookup {
  readonly #management: ManagementClient
  readonly #clock: Clock
  readonly #places: RenewedValues<ClusterPlace>

  constructor(management: ManagementClient, clock: Clock) {
    this.#management = management
    this.#clock = clock
    this.#places = new RenewedValues(clock, (id) => this.#find(id))
  }

  /** `id` is `group/name`. Rejects with `ConnectorError`. */
  get(id: string): Promise<ClusterPlace> {
    return this.#places.get(id.toLowerCase())
  }

  async #find(id: string): Promise<Fetched<ClusterPlace>> {
    const [group = '', name = ''] = id.split('/')
    const type = 'Microsoft.ContainerService/managedClusters'
    const cluster = await this.#management.find(type, name, group)
    const { aadProfile, disableLocalAccounts } = cluster.properties
    if (typeof aadProfile !== 'object' || aadProfile === null) throw withoutEntra(id)
    const place = placeOf(await this.#management.kubeconfig(cluster), id)
    const value = { ...place, localAccounts: disableLocalAccounts !== true }
    return { value, expiresAtMs: this.#clock.nowMs() + keptMs }
  }
}

/** Only the cluster's own part is read: users of a kubeconfig are secrets. */
function placeOf(kubeconfig: string, id: string): Omit<ClusterPlace, 'localAccounts'> {
  const { clusters } = Object(parse(kubeconfig))
  const [entry] = Array.isArray(clusters) ? clusters : []
  const cluster = Object(Object(entry).cluster)
  const { server, 'certificate-authority-data': encoded } = cluster
  const isServer = typeof server === 'string' && URL.canParse(server)
  if (!isServer || typeof encoded !== 'string' || new URL(server).protocol !== 'https:') {
    throw unavailable(`the kubeconfig of cluster '${id}'`, 'no server or authority', false)
  }
  const certificateAuthorityPem = Buffer.from(encoded, 'base64').toString('utf8')
  return { id, server, certificateAuthorityPem }
}

function withoutEntra(id: string): ConnectorError {
  return new ConnectorError('invalid_scope', 'unsupported_auth_for_resource', {
    detail: `the cluster '${id}' does not take tokens of Entra`,
    hint: 'operator: az aks update --enable-aad; the administrator’s certificate is never given out',
  })
}
