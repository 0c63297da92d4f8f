import type { AccessToken, TokenCredential } from '@azure/core-auth'
import type { ClientSecretCredentialOptions } from '@azure/identity'
import { type Clock, systemClock } from '../clock.ts'
import { FileSystemError } from '../errors.ts'
import type { IdentityConfig } from './config.ts'
import { ConnectorError } from './connector-error.ts'
import type { Auth, AuthOf, Secrets } from './model/auth.ts'
import type { ConnectorSources } from './sources.ts'

/** What identities are opened with. */
export interface IdentityOptions {
  readonly sources: ConnectorSources
  /** PEM of an authority to trust beside the system's; a list replaces the system's. */
  readonly ca?: readonly string[] | undefined
  /** Where identities sign in that name no authority of their own. */
  readonly authority?: AuthorityOptions | undefined
  readonly clock?: Clock | undefined
}

/** An Entra that is not the public cloud's. */
export interface AuthorityOptions {
  readonly authorityHost?: string | undefined
  readonly disableInstanceDiscovery?: boolean | undefined
}

/**
 * Builds an identity of the connector. Tenant, client and authority are those of the
 * configuration; the library is loaded here and nowhere else, so that a client never carries it.
 * `secrets` are those that were sealed. Rejects with `EINVAL` when one is missing or unreadable.
 */
export async function openIdentity(
  auth: Auth,
  secrets: Secrets,
  options: IdentityOptions,
): Promise<TokenCredential> {
  const library = await import('@azure/identity')
  const common = libraryOptions(auth, options)
  switch (auth.method) {
    case 'implicit':
      return new library.DefaultAzureCredential({
        ...common,
        ...defined({
          tenantId: auth.tenantId,
          managedIdentityClientId: auth.managedIdentityClientId,
        }),
      })
    case 'managed-identity':
      return managedIdentity(library, auth)
    case 'workload-identity':
      return new library.WorkloadIdentityCredential({
        ...common,
        ...defined({
          tenantId: auth.tenantId,
          clientId: auth.clientId,
          tokenFilePath: auth.federatedTokenFile,
        }),
      })
    case 'environment':
      return new library.EnvironmentCredential(common)
    case 'cli':
      return new library.AzureCliCredential(defined({ tenantId: auth.tenantId }))
    case 'federated':
      return federated(library, auth, secrets, options)
    case 'certificate':
      return certificate(library, auth, secrets, common)
    case 'service-principal': {
      const secret = secrets.clientSecret ?? (await clientSecret(auth, options.sources))
      return new library.ClientSecretCredential(auth.tenantId, auth.clientId, secret, common)
    }
    case 'access-token':
      return storedToken(auth, secrets, options)
    default:
      return auth satisfies never
  }
}

/** The identity section of a configuration file in the words of the model. */
export function authOf(identity: IdentityConfig): Auth {
  switch (identity.kind) {
    case 'managed-identity':
      return { method: identity.kind, clientId: identity.managedIdentityClientId }
    case 'default': {
      const { kind: _kind, authorityHost, ...rest } = identity
      return { method: 'implicit', ...rest, authorityHost: authorityHost?.href }
    }
    default: {
      const { kind, authorityHost, ...rest } = identity
      return { method: kind, ...rest, authorityHost: authorityHost?.href } as Auth
    }
  }
}

type Library = typeof import('@azure/identity')

function managedIdentity(library: Library, auth: AuthOf<'managed-identity'>): TokenCredential {
  const { clientId, resourceId, objectId } = auth
  if (resourceId !== undefined) return new library.ManagedIdentityCredential({ resourceId })
  if (objectId !== undefined) return new library.ManagedIdentityCredential({ objectId })
  return new library.ManagedIdentityCredential(defined({ clientId }))
}

/** The assertion is read anew each time: who writes it renews it. */
function federated(
  library: Library,
  auth: AuthOf<'federated'>,
  secrets: Secrets,
  options: IdentityOptions,
): TokenCredential {
  const { assertionFile, assertionFromManagedIdentity: clientId } = auth
  const assertion = async (): Promise<string> => {
    if (secrets.assertion !== undefined) return secrets.assertion
    if (assertionFile !== undefined)
      return readFile(options.sources, 'assertionFile', assertionFile)
    if (clientId === undefined) throw missing('federated needs an assertion')
    const managed = new library.ManagedIdentityCredential({ clientId })
    return (await managed.getToken('api://AzureADTokenExchange/.default')).token
  }
  const common = libraryOptions(auth, options)
  return new library.ClientAssertionCredential(auth.tenantId, auth.clientId, assertion, common)
}

function certificate(
  library: Library,
  auth: AuthOf<'certificate'>,
  secrets: Secrets,
  common: ClientSecretCredentialOptions,
): TokenCredential {
  const { tenantId, clientId, certificateFile } = auth
  const { certificatePem } = secrets
  if (certificatePem === undefined && certificateFile === undefined) {
    throw missing('certificate needs certificateFile')
  }
  return certificatePem === undefined
    ? new library.ClientCertificateCredential(
        tenantId,
        clientId,
        { certificatePath: certificateFile ?? '' },
        common,
      )
    : new library.ClientCertificateCredential(
        tenantId,
        clientId,
        { certificate: certificatePem },
        common,
      )
}

/** A token that somebody stored: good for one audience, until it ends, and never renewed. */
async function storedToken(
  auth: AuthOf<'access-token'>,
  secrets: Secrets,
  { sources, clock = systemClock }: IdentityOptions,
): Promise<TokenCredential> {
  const { audience, expiresAt, tokenFile } = auth
  const read = async (): Promise<string> => {
    if (secrets.token !== undefined) return secrets.token
    if (tokenFile === undefined) throw missing('access-token needs tokenFile')
    return readFile(sources, 'tokenFile', tokenFile)
  }
  if (audience === undefined || expiresAt === undefined) {
    throw missing('access-token needs audience and expiresAt')
  }
  const expiresOnTimestamp = Date.parse(expiresAt)
  const getToken = async (scopes: string | string[]): Promise<AccessToken> => {
    if ([scopes].flat().some((scope) => scope !== `${audience}/.default`)) throw wrongAudience()
    if (expiresOnTimestamp <= clock.nowMs()) throw tokenEnded(expiresAt)
    return { token: await read(), expiresOnTimestamp }
  }
  return { getToken }
}

function libraryOptions(
  auth: Auth,
  { ca, authority }: IdentityOptions,
): ClientSecretCredentialOptions {
  const own: AuthorityOptions = 'authorityHost' in auth ? auth : {}
  const authorityHost = own.authorityHost ?? authority?.authorityHost
  const disabled = own.disableInstanceDiscovery ?? authority?.disableInstanceDiscovery ?? false
  return {
    disableInstanceDiscovery: disabled,
    ...defined({ authorityHost }),
    ...(ca === undefined ? {} : { tlsOptions: { ca: [...ca] } }),
  }
}

/** The same without what is undefined: the library tells an absent field from an empty one. */
function defined<T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: NonNullable<T[K]> }
}

async function clientSecret(
  auth: AuthOf<'service-principal'>,
  sources: ConnectorSources,
): Promise<string> {
  const { clientSecretFile, clientSecretEnv = '' } = auth
  if (clientSecretFile !== undefined) return readFile(sources, 'clientSecretFile', clientSecretFile)
  const secret = sources.env(clientSecretEnv)?.trim() ?? ''
  if (secret !== '') return secret
  throw missing(`identity.clientSecretEnv: the environment variable ${clientSecretEnv} is not set`)
}

async function readFile(sources: ConnectorSources, field: string, file: string): Promise<string> {
  let text: string
  try {
    text = (await sources.readFile(file)).trim()
  } catch (cause) {
    throw missing(`identity.${field} '${file}' cannot be read`, cause)
  }
  if (text === '') throw missing(`identity.${field}: '${file}' is empty`)
  return text
}

function missing(detail: string, cause?: unknown): FileSystemError {
  return new FileSystemError('EINVAL', 'connector.config', { detail, cause })
}

function wrongAudience(): ConnectorError {
  return new ConnectorError('access_denied', 'audience_not_allowed', {
    detail: 'the stored access token of this connector is for another audience',
    hint: 'operator: give the connector an identity that can sign in, instead of a token',
  })
}

function tokenEnded(at: string): ConnectorError {
  return new ConnectorError('temporarily_unavailable', 'credential_expired', {
    status: 401,
    detail: `the stored access token of this connector ended at ${at}`,
    hint: 'operator: store another token, or give the connector an identity that can sign in',
  })
}
