import type { TokenCredential } from '@azure/core-auth'
import type { ClientSecretCredentialOptions } from '@azure/identity'
import { FileSystemError } from '../errors.ts'
import type { IdentityConfig } from './config.ts'
import type { ConnectorSources } from './sources.ts'

/** What every credential of @azure/identity is built with. */
interface Trust {
  /** PEM of an authority to trust beside the system's; a list replaces the system's. */
  readonly ca?: readonly string[] | undefined
}

type IdentityOf<K extends IdentityConfig['kind']> = Extract<IdentityConfig, { kind: K }>

/**
 * Builds the connector's own identity. Tenant, client and authority are those of the
 * configuration; the library is loaded here and nowhere else, so that a client never carries it.
 * Rejects with `EINVAL` when a secret cannot be read.
 */
export async function openIdentity(
  config: IdentityConfig,
  sources: ConnectorSources,
  trust: Trust = {},
): Promise<TokenCredential> {
  switch (config.kind) {
    case 'service-principal':
      return servicePrincipal(config, sources, trust)
    case 'certificate':
      return certificate(config, trust)
    case 'workload-identity':
      return workloadIdentity(config, trust)
    case 'managed-identity':
      return managedIdentity(config)
    case 'default':
      return defaultIdentity(config, trust)
    default:
      return config satisfies never
  }
}

async function servicePrincipal(
  config: IdentityOf<'service-principal'>,
  sources: ConnectorSources,
  trust: Trust,
): Promise<TokenCredential> {
  const secret = await readSecret(config, sources)
  const { ClientSecretCredential } = await import('@azure/identity')
  return new ClientSecretCredential(
    config.tenantId,
    config.clientId,
    secret,
    options(config, trust),
  )
}

async function certificate(
  config: IdentityOf<'certificate'>,
  trust: Trust,
): Promise<TokenCredential> {
  const { ClientCertificateCredential } = await import('@azure/identity')
  return new ClientCertificateCredential(
    config.tenantId,
    config.clientId,
    { certificatePath: config.certificateFile },
    options(config, trust),
  )
}

async function workloadIdentity(
  config: IdentityOf<'workload-identity'>,
  trust: Trust,
): Promise<TokenCredential> {
  const { WorkloadIdentityCredential } = await import('@azure/identity')
  return new WorkloadIdentityCredential({
    tenantId: config.tenantId,
    clientId: config.clientId,
    tokenFilePath: config.federatedTokenFile,
    ...options(config, trust),
  })
}

async function managedIdentity(config: IdentityOf<'managed-identity'>): Promise<TokenCredential> {
  const { ManagedIdentityCredential } = await import('@azure/identity')
  const { managedIdentityClientId: clientId } = config
  return new ManagedIdentityCredential(clientId === undefined ? {} : { clientId })
}

async function defaultIdentity(
  config: IdentityOf<'default'>,
  trust: Trust,
): Promise<TokenCredential> {
  const { DefaultAzureCredential } = await import('@azure/identity')
  const { tenantId, managedIdentityClientId } = config
  const common = options(config, trust)
  return new DefaultAzureCredential({
    ...common,
    ...(tenantId === undefined ? {} : { tenantId }),
    ...(managedIdentityClientId === undefined ? {} : { managedIdentityClientId }),
  })
}

function options(
  config: { readonly authorityHost?: URL | undefined; readonly disableInstanceDiscovery: boolean },
  trust: Trust,
): ClientSecretCredentialOptions {
  return {
    disableInstanceDiscovery: config.disableInstanceDiscovery,
    ...(config.authorityHost === undefined ? {} : { authorityHost: config.authorityHost.href }),
    ...(trust.ca === undefined ? {} : { tlsOptions: { ca: [...trust.ca] } }),
  }
}

async function readSecret(
  config: IdentityOf<'service-principal'>,
  sources: ConnectorSources,
): Promise<string> {
  const { clientSecretFile: file, clientSecretEnv: variable } = config
  const secret =
    file === undefined
      ? sources.env(variable ?? '')
      : await sources.readFile(file).catch((cause: unknown) => {
          throw secretError(`identity.clientSecretFile '${file}' cannot be read`, cause)
        })
  const trimmed = secret?.trim() ?? ''
  if (trimmed !== '') return trimmed
  throw secretError(
    file === undefined
      ? `identity.clientSecretEnv: the environment variable ${variable} is not set`
      : `identity.clientSecretFile: '${file}' is empty`,
  )
}

function secretError(detail: string, cause?: unknown): FileSystemError {
  return new FileSystemError('EINVAL', 'connector.config', { detail, cause })
}
