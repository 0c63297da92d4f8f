import type { AzureServices } from './azure/azure-services.ts'
import type { ParsedAccount } from './sandbox-account.ts'
import { onPremisesTenant } from './tenant.ts'

/** What the variables of a sandbox tell. */
export interface EnvironmentFacts {
  readonly account: string
  readonly accountKey: string
  readonly blobEndpoint: URL
  /** Absent where there is no dfs. */
  readonly dfsEndpoint: URL | undefined
  /** All accounts, `account` the first. */
  readonly accounts: readonly ParsedAccount[]
  readonly controlPort: { readonly url: URL; readonly secret: string } | undefined
  /** Absent where there is no management. */
  readonly azure: AzureServices | undefined
  readonly authorityHost: URL
  readonly clientId: string
  readonly clientSecret: string
  readonly caFile: string
  readonly caBundleFile: string
}

/** The shared-key connection string of the account. */
export function connectionStringOf(
  facts: Pick<EnvironmentFacts, 'account' | 'accountKey' | 'blobEndpoint'>,
): string {
  return [
    'DefaultEndpointsProtocol=https',
    `AccountName=${facts.account}`,
    `AccountKey=${facts.accountKey}`,
    `BlobEndpoint=${facts.blobEndpoint.href}`,
    '',
  ].join(';')
}

/** The variables with which Azure clients, and abfs itself, work against a sandbox. */
export function environmentOf(facts: EnvironmentFacts): Record<string, string> {
  return {
    ...identityVariables(facts),
    ...storageVariables(facts),
    ...dfsVariables(facts),
    ...sandboxVariables(facts),
    ...managementVariables(facts),
    ...trustVariables(facts),
  }
}

function identityVariables(facts: EnvironmentFacts): Record<string, string> {
  return {
    // Not the tenant's id: with this name, SDKs do not ask Microsoft about the authority.
    AZURE_TENANT_ID: onPremisesTenant,
    AZURE_CLIENT_ID: facts.clientId,
    AZURE_CLIENT_SECRET: facts.clientSecret,
    AZURE_AUTHORITY_HOST: facts.authorityHost.href,
  }
}

// Each client has its own name for the same thing.
function storageVariables(facts: EnvironmentFacts): Record<string, string> {
  const endpoint = facts.blobEndpoint.href
  return {
    AZURE_STORAGE_ACCOUNT_NAME: facts.account,
    AZURE_STORAGE_ACCOUNT_KEY: facts.accountKey,
    AZURE_STORAGE_CONNECTION_STRING: connectionStringOf(facts),
    // az and blobfuse2.
    AZURE_STORAGE_ACCOUNT: facts.account,
    AZURE_STORAGE_KEY: facts.accountKey,
    AZURE_STORAGE_ACCESS_KEY: facts.accountKey,
    AZURE_STORAGE_BLOB_ENDPOINT: endpoint,
    ABFS_ACCOUNT: facts.account,
    ABFS_BLOB_ENDPOINT: endpoint,
  }
}

function dfsVariables({ dfsEndpoint, accounts }: EnvironmentFacts): Record<string, string> {
  if (dfsEndpoint === undefined) return {}
  return {
    ABFS_DFS_ENDPOINT: dfsEndpoint.href,
    // blobfuse2's words for the kinds.
    AZURE_STORAGE_ACCOUNT_TYPE: accounts[0]?.hierarchical === true ? 'adls' : 'block',
  }
}

// What no Azure client asks for: the other accounts, and the control port.
function sandboxVariables({ accounts, controlPort }: EnvironmentFacts): Record<string, string> {
  const kinds = accounts.map(({ name, hierarchical }) => `${name}:${hierarchical ? 'hns' : 'flat'}`)
  const keys = accounts.map(({ name, key }) => [`ABFS_SANDBOX_KEY_${name.toUpperCase()}`, key])
  return {
    ABFS_SANDBOX_ACCOUNTS: kinds.join(','),
    ...(accounts.length > 1 && Object.fromEntries(keys)),
    ...(controlPort && {
      ABFS_SANDBOX_CONTROL_URL: controlPort.url.href,
      ABFS_SANDBOX_CONTROL_SECRET: controlPort.secret,
    }),
  }
}

// Of what is in the subscription: NAME=URL, by commas.
function managementVariables({ azure }: EnvironmentFacts): Record<string, string> {
  if (azure === undefined) return {}
  const { managementUrl, subscriptionId, registries, clusters } = azure
  const servers = registries.map(({ name, url }) => `${name}.azurecr.io=${url.origin}`)
  const aliases = registries.map(({ name, url }) => `${url.host}=${name}.azurecr.io`)
  const apis = clusters.map(({ group, name, url }) => `${group}/${name}=${url.origin}`)
  return {
    AZURE_SUBSCRIPTION_ID: subscriptionId,
    ABFS_SANDBOX_MANAGEMENT_URL: managementUrl.href,
    ABFS_SANDBOX_REGISTRIES: servers.join(','),
    ABFS_SANDBOX_CLUSTERS: apis.join(','),
    // For docker-credential-abfs.
    ...(aliases.length > 0 && { ABFS_REGISTRIES: aliases.join(',') }),
  }
}

// Node adds this file to its roots; the others replace their roots by it.
function trustVariables(facts: EnvironmentFacts): Record<string, string> {
  return {
    NODE_EXTRA_CA_CERTS: facts.caFile,
    ABFS_CA_FILE: facts.caFile,
    SSL_CERT_FILE: facts.caBundleFile,
    REQUESTS_CA_BUNDLE: facts.caBundleFile,
    CURL_CA_BUNDLE: facts.caBundleFile,
  }
}
