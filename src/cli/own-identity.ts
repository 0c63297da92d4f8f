import { rootCertificates } from 'node:tls'
import { cloudOf, clouds } from '../azure-url.ts'
import { systemClock } from '../clock.ts'
import { type Config, processEnvironment } from '../config.ts'
import { mistake } from '../config-source.ts'
import type { Auth, Secrets } from '../connector/model/auth.ts'
import type { CredentialProvider } from '../credential/credential.ts'

/**
 * Signs in to Entra as this process, as DefaultAzureCredential finds it; as the environment says alone, where the
 * program gave one. `authorities`: PEM, to be trusted besides Node's.
 */
export async function openOwnIdentity(
  config: Config,
  authorities: string | undefined,
): Promise<CredentialProvider> {
  const { openIdentity } = await import('../connector/identity.ts')
  const { diskSources } = await import('../connector/sources.ts')
  const { TokenCredentialProvider } = await import('../connector/token-credential-provider.ts')
  const { auth, secrets } = identityOf(config)
  const authority = authorityOf(config)
  const trust = authorities === undefined ? {} : { ca: [...rootCertificates, authorities] }
  const options = { sources: diskSources(), authority, ...trust }
  const credential = await openIdentity(auth, secrets, options)
  const cloud = cloudOf(config.blobEndpoint).suffix
  return new TokenCredentialProvider({ credential, clock: systemClock, cloud })
}

interface OwnIdentity {
  readonly auth: Auth
  readonly secrets: Secrets
}

/** All that @azure/identity and what it stands on read from the process, and nobody can give them. */
const libraryVariables = [
  'AZURE_TENANT_ID',
  'AZURE_CLIENT_ID',
  'AZURE_CLIENT_SECRET',
  'AZURE_CLIENT_CERTIFICATE_PATH',
  'AZURE_CLIENT_CERTIFICATE_PASSWORD',
  'AZURE_CLIENT_SEND_CERTIFICATE_CHAIN',
  'AZURE_USERNAME',
  'AZURE_PASSWORD',
  'AZURE_ADDITIONALLY_ALLOWED_TENANTS',
  'AZURE_FEDERATED_TOKEN_FILE',
  'AZURE_TOKEN_CREDENTIALS',
  'AZURE_POD_IDENTITY_AUTHORITY_HOST',
  'AZURE_CONFIG_DIR',
  'IDENTITY_ENDPOINT',
  'IDENTITY_HEADER',
  'IDENTITY_SERVER_THUMBPRINT',
  'IMDS_ENDPOINT',
  'MSI_ENDPOINT',
  'MSI_SECRET',
] as const

/** `EINVAL` for an environment that names nobody, where the library would find somebody in the process's. */
function identityOf({ identityVariable: variable }: Config): OwnIdentity {
  const implicit = { auth: { method: 'implicit' }, secrets: {} } as const
  if (variable === undefined) return implicit
  const own = processEnvironment()
  const differing = libraryVariables.find((name) => variable(name) !== (own[name] || undefined))
  if (differing === undefined) return implicit
  const named = namedBy(variable)
  if (named !== undefined) return named
  throw mistake(
    differing,
    "is not in the environment that was given what it is in the process, where Azure's library would read it: " +
      'give AZURE_TENANT_ID and AZURE_CLIENT_ID with AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH (of a ' +
      'certificate without a password) or AZURE_FEDERATED_TOKEN_FILE there, or give a credential',
  )
}

/** In the library's order, as far as variables tell all. */
function namedBy(variable: (name: string) => string | undefined): OwnIdentity | undefined {
  const [tenantId, clientId] = [variable('AZURE_TENANT_ID'), variable('AZURE_CLIENT_ID')]
  if (tenantId === undefined || clientId === undefined) return undefined
  const clientSecret = variable('AZURE_CLIENT_SECRET')
  const certificateFile = variable('AZURE_CLIENT_CERTIFICATE_PATH')
  const federatedTokenFile = variable('AZURE_FEDERATED_TOKEN_FILE')
  const ids = { tenantId, clientId }
  const wanted = variable('AZURE_TOKEN_CREDENTIALS')?.trim().toLowerCase() ?? 'prod'
  const is = (name: string): boolean => wanted === 'prod' || wanted === name
  if (clientSecret !== undefined && is('environmentcredential'))
    return { auth: { method: 'service-principal', ...ids }, secrets: { clientSecret } }
  const isLocked = variable('AZURE_CLIENT_CERTIFICATE_PASSWORD') !== undefined
  if (certificateFile !== undefined && !isLocked && is('environmentcredential'))
    return { auth: { method: 'certificate', ...ids, certificateFile }, secrets: {} }
  if (federatedTokenFile !== undefined && is('workloadidentitycredential'))
    return { auth: { method: 'workload-identity', ...ids, federatedTokenFile }, secrets: {} }
  return undefined
}

/** Said outright where an environment was given, as the library would take the process's, and in another cloud than the public one. */
function authorityOf({ authorityHost, blobEndpoint, identityVariable }: Config) {
  const cloud = cloudOf(blobEndpoint)
  const isOwn = identityVariable === undefined && cloud === clouds.public
  return {
    authorityHost: authorityHost?.href ?? (isOwn ? undefined : cloud.authority),
    // Instance discovery asks the public cloud about the authority: a private one is unknown there.
    disableInstanceDiscovery: authorityHost !== undefined && !isPublicAuthority(authorityHost),
  }
}

function isPublicAuthority(authority: URL): boolean {
  return /(^|\.)(microsoftonline\.(com|us|de)|chinacloudapi\.cn)$/.test(authority.hostname)
}
