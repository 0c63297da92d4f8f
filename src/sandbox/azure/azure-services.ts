import { randomUUID } from 'node:crypto'
import type { CertificateAndKey } from '../certificate-authority.ts'
import type { Closers } from '../closers.ts'
import type { LoopbackServer } from '../loopback-server.ts'
import type { Tenant } from '../tenant.ts'
import { type ArmDisturbance, startArm } from './arm.ts'
import { type AzureAssignment, AzureAssignments } from './assignments.ts'
import { startCluster } from './cluster.ts'
import {
  type AzureResources,
  type Cluster,
  type ManagedAccount,
  type Registry,
  resourceId,
  resourceTypes,
} from './inventory.ts'
import { startRegistry } from './registry.ts'

/** The management and what it manages, running. */
export interface AzureServices {
  /** Azure Resource Manager: `https://127.0.0.1:PORT/`. */
  readonly managementUrl: URL
  readonly subscriptionId: string
  readonly registries: readonly Registry[]
  readonly clusters: readonly Cluster[]
  readonly assignments: AzureAssignments
  /** Turned while it runs. */
  readonly disturbance: ArmDisturbance
}

/** What they are made of. */
export interface AzureServicesOptions {
  readonly resources: AzureResources
  readonly accounts: readonly ManagedAccount[]
  readonly tenant: Tenant
  readonly authority: URL
  readonly certificate: CertificateAndKey
  readonly caPem: string
}

/** Starts registries and clusters, then the management that shows them. */
export async function startAzureServices(
  options: AzureServicesOptions,
  closers: Closers,
): Promise<AzureServices> {
  const { resources, tenant } = options
  const subscriptionId = randomUUID()
  const assignments = new AzureAssignments(defaultAssignments(tenant, subscriptionId))
  const parts = { ...options, subscriptionId, assignments }
  const registries: Registry[] = []
  for (const each of resources.registries) {
    const { url } = closing(await startNamedRegistry(each.name, parts), closers)
    registries.push({ ...each, url })
  }
  const clusters: Cluster[] = []
  for (const each of resources.clusters) {
    const id = resourceId(subscriptionId, each.group, resourceTypes.cluster, each.name)
    const { url } = closing(await startCluster({ ...parts, id }), closers)
    clusters.push({ ...each, url })
  }
  const disturbance: ArmDisturbance = {}
  const inventory = { subscriptionId, accounts: options.accounts, registries, clusters }
  const pageSize = resources.pageSize ?? 100
  const { url } = closing(await startArm({ ...parts, inventory, pageSize, disturbance }), closers)
  return { managementUrl: url, subscriptionId, registries, clusters, assignments, disturbance }
}

function startNamedRegistry(
  name: string,
  parts: AzureServicesOptions & {
    readonly subscriptionId: string
    readonly assignments: AzureAssignments
  },
): Promise<LoopbackServer> {
  const { subscriptionId, resources } = parts
  return startRegistry({
    ...parts,
    service: `${name}.azurecr.io`,
    id: resourceId(subscriptionId, 'sandbox', resourceTypes.registry, name),
    armAudience: resources.registries.some((each) => each.name === name && each.armAudience),
  })
}

/** The application contributes and may read in clusters; managed identities read. */
function defaultAssignments(tenant: Tenant, subscriptionId: string): readonly AzureAssignment[] {
  const scope = `/subscriptions/${subscriptionId}`
  const { objectId } = tenant.application('1')
  return [
    { objectId, role: 'Contributor', scope },
    { objectId, role: 'Azure Kubernetes Service RBAC Reader', scope },
    ...[tenant.systemIdentity, tenant.userIdentity].map((identity) => ({
      objectId: identity.objectId,
      role: 'Reader' as const,
      scope,
    })),
  ]
}

function closing(server: LoopbackServer, closers: Closers): LoopbackServer {
  closers.add(() => server.close())
  return server
}
