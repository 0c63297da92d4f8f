import type { Environment } from '../config.ts'
import { paths } from './routes.ts'
import type { Agent } from './server.ts'

/** What the variables of an agent tell beside where it is. */
export interface AgentFacts {
  readonly account: string
  readonly cloudShell?: boolean | undefined
  readonly azureMl?: boolean | undefined
  readonly openImds?: boolean | undefined
  /** The file with a token for Entra, and whom it stands for. */
  readonly federation?: FederationFacts | undefined
}

/** What a client needs to exchange the token of a file for one of Entra. */
export interface FederationFacts {
  readonly file: string
  readonly clientId: string
  readonly tenantId: string
  readonly authorityHost?: URL | undefined
}

/** The variables by which unmodified Azure clients find an agent. They hold its secrets. */
export function agentVariables(agent: Agent, facts: AgentFacts): Record<string, string> {
  return {
    ...identityVariables(agent, facts),
    ...(facts.federation === undefined ? {} : federationVariables(facts.federation)),
    ...storageVariables(facts.account),
  }
}

function identityVariables({ url, secrets }: Agent, facts: AgentFacts): Record<string, string> {
  const root = url.origin
  const secretRoot = `${root}/${secrets.path}`
  return {
    IDENTITY_ENDPOINT: `${root}${paths.appService}`,
    IDENTITY_HEADER: secrets.header,
    AZURE_POD_IDENTITY_AUTHORITY_HOST: facts.openImds === true ? root : secretRoot,
    ...(facts.azureMl === true
      ? { MSI_ENDPOINT: `${root}${paths.appService}`, MSI_SECRET: secrets.header }
      : {}),
    ...(facts.cloudShell === true ? { MSI_ENDPOINT: `${secretRoot}${paths.cloudShell}` } : {}),
    // Of DefaultAzureCredential's sources those for deployed programs: no developer's login.
    AZURE_TOKEN_CREDENTIALS: 'prod',
  }
}

function federationVariables(facts: FederationFacts): Record<string, string> {
  return {
    AZURE_FEDERATED_TOKEN_FILE: facts.file,
    AZURE_CLIENT_ID: facts.clientId,
    AZURE_TENANT_ID: facts.tenantId,
    ...(facts.authorityHost === undefined
      ? {}
      : { AZURE_AUTHORITY_HOST: facts.authorityHost.href }),
  }
}

/** Each client has its own name for the same thing. */
function storageVariables(account: string): Record<string, string> {
  return {
    AZURE_STORAGE_ACCOUNT: account,
    AZURE_STORAGE_ACCOUNT_NAME: account,
    // adlfs signs in only when told that it is not anonymous.
    AZURE_STORAGE_ANON: 'false',
    // blobfuse2, azcopy and az.
    AZURE_STORAGE_AUTH_TYPE: 'msi',
    AZURE_STORAGE_AUTH_MODE: 'login',
    AZCOPY_AUTO_LOGIN_TYPE: 'MSI',
  }
}

/**
 * Variables that a child of `abfs exec` does not inherit: each would make some client use another
 * credential than the agent's, name another identity, or carry a secret that the child needs not.
 */
export const withheldVariables: readonly string[] = [
  'ABFS_CONNECTOR_CONFIG',
  'ABFS_CONNECTOR_KEY',
  'ABFS_CONNECTOR_KEY_FILE',
  'ABFS_CONNECTOR_TOKEN_FILE',
  'ABFS_CONNECTOR_URL',
  'ABFS_ENCRYPTION_KEY',
  'ABFS_ENCRYPTION_KEY_FILE',
  'AZCOPY_AUTO_LOGIN_TYPE',
  'AZCOPY_MSI_CLIENT_ID',
  'AZCOPY_MSI_OBJECT_ID',
  'AZCOPY_MSI_RESOURCE_STRING',
  'AZCOPY_SPA_APPLICATION_ID',
  'AZCOPY_SPA_CERT_PASSWORD',
  'AZCOPY_SPA_CERT_PATH',
  'AZCOPY_SPA_CLIENT_SECRET',
  'AZCOPY_TENANT_ID',
  'AZURE_CLIENT_CERTIFICATE_PASSWORD',
  'AZURE_CLIENT_CERTIFICATE_PATH',
  'AZURE_CLIENT_ID',
  'AZURE_CLIENT_SECRET',
  'AZURE_FEDERATED_TOKEN_FILE',
  'AZURE_PASSWORD',
  'AZURE_STORAGE_ACCESS_KEY',
  'AZURE_STORAGE_ACCOUNT_KEY',
  'AZURE_STORAGE_CLIENT_ID',
  'AZURE_STORAGE_CLIENT_SECRET',
  'AZURE_STORAGE_CONNECTION_STRING',
  'AZURE_STORAGE_IDENTITY_CLIENT_ID',
  'AZURE_STORAGE_KEY',
  'AZURE_STORAGE_SAS_TOKEN',
  'AZURE_STORAGE_SPN_CLIENT_ID',
  'AZURE_STORAGE_SPN_CLIENT_SECRET',
  'AZURE_STORAGE_SPN_TENANT_ID',
  'AZURE_STORAGE_TENANT_ID',
  'AZURE_TENANT_ID',
  'AZURE_USERNAME',
  'IDENTITY_SERVER_THUMBPRINT',
  'IMDS_ENDPOINT',
  'MSI_ENDPOINT',
  'MSI_SECRET',
]

/** The environment of a child: that of `inherited` without other credentials, with the agent's. */
export function childEnvironment(
  inherited: Environment,
  variables: Readonly<Record<string, string>>,
): Record<string, string> {
  const withheld = new Set(withheldVariables)
  // One for each account of a sandbox, and the word that opens its control port.
  const isSandboxSecret = (name: string) => /^ABFS_SANDBOX_(KEY_|CONTROL_SECRET$)/.test(name)
  const kept = Object.entries(inherited).flatMap(([name, value]) =>
    value === undefined || withheld.has(name) || isSandboxSecret(name)
      ? []
      : [[name, value] as const],
  )
  const environment = Object.fromEntries(kept)
  return { ...environment, ...proxyExemption(environment), ...variables }
}

/** A request to the agent that went through a proxy would show it the agent's secret. */
function proxyExemption(environment: Environment): Record<string, string> {
  const hasProxy = Object.keys(environment).some((name) => /^(all|http|https)_proxy$/i.test(name))
  if (!hasProxy) return {}
  const listed = environment['no_proxy'] ?? environment['NO_PROXY'] ?? ''
  const hosts = [listed, '127.0.0.1', 'localhost'].filter((host) => host !== '').join(',')
  return { NO_PROXY: hosts, no_proxy: hosts }
}
