import { stringify } from 'yaml'
import type { Sandbox } from '../../sandbox/sandbox.ts'

/** What the connector of a sandbox runs on beside the sandbox itself. */
export interface ConnectorYamlOptions {
  /** The hash of the one caller's key. */
  readonly keySha256: string
  readonly secretFile: string
  readonly auditFile: string
}

const permissions = ['read', 'list', 'create', 'write', 'delete']
const flatPermissions = ['tag']
const hierarchicalPermissions = ['move', 'execute', 'ownership', 'permissions']

/** The configuration of a connector that grants everything in the sandbox to one caller. */
export function connectorYaml(sandbox: Sandbox, options: ConnectorYamlOptions): string {
  const caller = 'developer'
  return stringify({
    listen: { host: '127.0.0.1', port: 0 },
    identity: {
      kind: 'service-principal',
      tenantId: sandbox.tenantId,
      clientId: sandbox.clientId,
      clientSecretFile: options.secretFile,
      authorityHost: sandbox.authorityHost.href,
      disableInstanceDiscovery: true,
    },
    caFile: sandbox.caFile,
    accounts: sandbox.accounts.map(({ name, hierarchical, blobEndpoint }) => ({
      name,
      blobEndpoint: blobEndpoint.href,
      hierarchicalNamespace: hierarchical,
    })),
    callers: [{ name: caller, keySha256: options.keySha256 }],
    policy: sandbox.accounts.map(({ name, hierarchical }) => ({
      caller,
      account: name,
      container: '*',
      permissions: [...permissions, ...(hierarchical ? hierarchicalPermissions : flatPermissions)],
      // A signature cannot list or make containers: for the account itself a bearer is vended.
      credentials: ['sas', 'bearer'],
      maxTtlSeconds: 3600,
    })),
    ...azureSections(sandbox, caller),
    audit: options.auditFile,
    requestsPerMinute: 6000,
  })
}

/** The management, and every registry and cluster of it, for the one caller. */
function azureSections({ azure }: Sandbox, caller: string): object {
  if (azure === undefined) return {}
  const { managementUrl, subscriptionId, registries, clusters } = azure
  const names = clusters.map(({ group, name }) => `${group}/${name}`)
  return {
    management: { endpoint: managementUrl.href, subscriptionId },
    registries: registries.map(({ name, url }) => ({
      name: `${name}.azurecr.io`,
      endpoint: url.href,
    })),
    tokens: [
      { caller, resource: 'azure-generic', audiences: ['https://vault.azure.net'] },
      ...registries.map(({ name }) => ({
        caller,
        resource: 'docker-registry',
        registry: `${name}.azurecr.io`,
        repositories: ['*'],
        actions: ['pull', 'push'],
      })),
      ...(names.length === 0 ? [] : [{ caller, resource: 'kubernetes-cluster', clusters: names }]),
    ],
  }
}
