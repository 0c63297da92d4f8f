/** What the subscription of a sandbox holds, beside its storage accounts. */
export interface AzureResources {
  /** Names of container registries. */
  readonly registries: readonly RegistryOptions[]
  readonly clusters: readonly ClusterOptions[]
  /** How many entries a list gives at once; the rest follows behind `nextLink`. Default 100. */
  readonly pageSize?: number | undefined
}

/** A container registry. */
export interface RegistryOptions {
  /** 5 to 50 letters and digits: the login server is `NAME.azurecr.io`. */
  readonly name: string
  /** Whether it takes tokens for the management's audience (`azureADAuthenticationAsArmPolicy`). Default false. */
  readonly armAudience?: boolean | undefined
}

/** A Kubernetes cluster whose API server takes tokens of Entra. */
export interface ClusterOptions {
  readonly group: string
  readonly name: string
  /** Whether it has an administrator's certificate. Default false. */
  readonly localAccounts?: boolean | undefined
}

/** A registry that listens. */
export interface Registry extends RegistryOptions {
  readonly url: URL
}

/** A cluster that listens. */
export interface Cluster extends ClusterOptions {
  readonly url: URL
}

/** One storage account, as the management shows it. */
export interface ManagedAccount {
  readonly name: string
  readonly hierarchical: boolean
  readonly blobEndpoint: URL
  /** The names of its containers, in order. */
  containers(): Promise<readonly string[]>
}

/** All that the management shows. */
export interface Inventory {
  readonly subscriptionId: string
  readonly accounts: readonly ManagedAccount[]
  readonly registries: readonly Registry[]
  readonly clusters: readonly Cluster[]
}

/** The resource group of whatever has none of its own. */
export const defaultGroup = 'sandbox'

/** The full id of a resource in a group. */
export function resourceId(
  subscriptionId: string,
  group: string,
  type: string,
  name: string,
): string {
  return `/subscriptions/${subscriptionId}/resourceGroups/${group}/providers/${type}/${name}`
}

/** The types of the resources, as Azure spells them. */
export const resourceTypes = {
  account: 'Microsoft.Storage/storageAccounts',
  registry: 'Microsoft.ContainerRegistry/registries',
  cluster: 'Microsoft.ContainerService/managedClusters',
} as const

/** Throws `RangeError` for a name that Azure would not give. */
export function checkResources({ registries, clusters, pageSize }: AzureResources): void {
  for (const { name } of registries) {
    if (!/^[a-z0-9]{5,50}$/.test(name)) {
      throw new RangeError(`registry '${name}': expected 5 to 50 lower-case letters and digits`)
    }
  }
  for (const { group, name } of clusters) {
    if (!/^[A-Za-z0-9](?:[\w-]{0,61}[A-Za-z0-9])?$/.test(name) || !/^[\w().-]{1,90}$/.test(group)) {
      throw new RangeError(`cluster '${group}/${name}': expected GROUP/NAME as Azure allows them`)
    }
  }
  if (pageSize !== undefined && !(Number.isInteger(pageSize) && pageSize > 0)) {
    throw new RangeError(`pageSize is ${pageSize}: expected a whole number above 0`)
  }
}
