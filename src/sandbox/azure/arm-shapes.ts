import {
  type Cluster,
  defaultGroup,
  type ManagedAccount,
  type Registry,
  resourceId,
  resourceTypes,
} from './inventory.ts'

/* The JSON of resources, with the fields that clients of these kinds read. */

/** A resource and its group. */
export interface Shape {
  readonly id: string
  readonly name: string
  readonly group: string
  readonly json: object
}

const location = 'westeurope'
const provisioned = { provisioningState: 'Succeeded' }

export function accountShape(account: ManagedAccount, subscriptionId: string): Shape {
  const { name, hierarchical, blobEndpoint } = account
  const endpoint = `${blobEndpoint.href.replace(/\/$/, '')}/`
  return shape(subscriptionId, defaultGroup, resourceTypes.account, name, {
    kind: 'StorageV2',
    sku: { name: 'Standard_LRS', tier: 'Standard' },
    properties: {
      ...provisioned,
      isHnsEnabled: hierarchical,
      supportsHttpsTrafficOnly: true,
      primaryEndpoints: { blob: endpoint, dfs: endpoint },
    },
  })
}

export function registryShape(registry: Registry, subscriptionId: string): Shape {
  const { name, armAudience = false } = registry
  return shape(subscriptionId, defaultGroup, resourceTypes.registry, name, {
    sku: { name: 'Premium', tier: 'Premium' },
    properties: {
      ...provisioned,
      loginServer: `${name}.azurecr.io`,
      adminUserEnabled: false,
      anonymousPullEnabled: false,
      policies: {
        azureADAuthenticationAsArmPolicy: { status: armAudience ? 'enabled' : 'disabled' },
      },
    },
  })
}

export function clusterShape(cluster: Cluster, tenantId: string, subscriptionId: string): Shape {
  const { group, name, localAccounts = false, url } = cluster
  return shape(subscriptionId, group, resourceTypes.cluster, name, {
    properties: {
      ...provisioned,
      powerState: { code: 'Running' },
      kubernetesVersion: '1.31.0',
      fqdn: url.host,
      disableLocalAccounts: !localAccounts,
      enableRBAC: true,
      aadProfile: { managed: true, enableAzureRBAC: true, tenantID: tenantId },
    },
  })
}

export function containerJson(accountId: string, name: string): object {
  const type = `${resourceTypes.account}/blobServices/containers`
  return { id: `${accountId}/blobServices/default/containers/${name}`, name, type, properties: {} }
}

export function subscriptionJson(subscriptionId: string, tenantId: string): object {
  return {
    id: `/subscriptions/${subscriptionId}`,
    subscriptionId,
    tenantId,
    displayName: 'abfs sandbox',
    state: 'Enabled',
    authorizationSource: 'RoleBased',
  }
}

function shape(
  subscriptionId: string,
  group: string,
  type: string,
  name: string,
  rest: object,
): Shape {
  const id = resourceId(subscriptionId, group, type, name)
  return { id, name, group, json: { id, name, type, location, tags: {}, ...rest } }
}
