import type { AccessToken, GetTokenOptions, TokenCredential } from '@azure/core-auth'
import { storageAudiences } from './agent/audience.ts'
import type { TokenTarget } from './agent/token-source.ts'
import { openTokens, type TokenProviders } from './cli/compose.ts'
import { targetOf } from './cli/location.ts'
import { type ConfigFlags, type Environment, loadConfig, processEnvironment } from './config.ts'
import { permissionNames } from './connector/protocol.ts'
import { CachedCredentialProvider } from './credential/cached-provider.ts'
import type { CredentialProvider, Permission } from './credential/credential.ts'
import { FileSystemError } from './errors.ts'
import { shown } from './expect-option.ts'

/** Whom a credential asks, and for what. What is given here beats the environment. */
export interface CreateTokenCredentialOptions extends ConfigFlags {
  /** Tokens are asked for this container alone; for the account itself when absent. */
  readonly container?: string | undefined
  /** What the policy has to grant. Default `read` and `list`. */
  readonly permissions?: readonly Permission[] | undefined
  /** Variables to read instead of the process's own, also for who signs in. */
  readonly environment?: Environment | undefined
}

/** A `TokenCredential` of Azure's SDKs behind which stands a connector. */
export interface ConnectorTokenCredential extends TokenCredential {
  /**
   * The token for one scope: the blob or the dfs service of the account, Azure Storage at large (then the
   * account's blob service), or whatever else the connector exchanges for. Kept in memory and renewed as
   * the file system's credentials are. Rejects with `EACCES` when the connector refuses.
   */
  getToken(scopes: string | string[], options?: GetTokenOptions): Promise<AccessToken>
  /** Closes its connections. Never throws. */
  close(): Promise<void>
}

const suffix = '/.default'

/**
 * For clients of Azure's SDKs in this process, `new BlobServiceClient(url, credential)`: tokens come
 * from the connector that the environment (`ABFS_*`) and `options` name, and without one from the
 * process's own identity. Sends nothing yet. Rejects with `EINVAL` for a setting that cannot be used.
 */
export async function createTokenCredential(
  options: CreateTokenCredentialOptions = {},
): Promise<ConnectorTokenCredential> {
  checkAsked(options)
  const { container, permissions, environment = processEnvironment(), ...flags } = options
  const config = loadConfig(flags, environment)
  const { account, blobEndpoint } = targetOf(config, [])
  const tokens = await openTokens(config)
  const cloud = /\.blob\.(core\..+)$/.exec(blobEndpoint.hostname)?.[1]
  const known = storageAudiences({
    provider: tokens.storage,
    account,
    container,
    permissions: permissions ?? ['read', 'list'],
    cloud,
  })
  const targets = new Map(known)
  const getToken: ConnectorTokenCredential['getToken'] = async (scopes, asked = {}) => {
    const audience = audienceOf(scopes)
    const target = targets.get(audience) ?? exchanged(audience, tokens)
    targets.set(audience, target)
    const { abortSignal, claims } = asked
    const signal = abortSignal instanceof AbortSignal ? abortSignal : undefined
    const renewed = claims === undefined ? {} : { refresh: true, challenge: { claims } }
    const credential = await target.provider.getCredential(target.scope, { signal, ...renewed })
    if (credential.kind !== 'bearer') throw noToken(audience)
    return { token: credential.token, expiresOnTimestamp: credential.expiresAtMs }
  }
  return { getToken, close: () => tokens.close() }
}

/** Of other options `loadConfig` says what they are. */
function checkAsked(options: CreateTokenCredentialOptions): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw mistake('options', `expected an object, got ${shown(options)}`)
  }
  const { container, permissions, environment } = options
  if (container !== undefined && (typeof container !== 'string' || container === '')) {
    throw mistake('container', `expected a container's name, got ${shown(container)}`)
  }
  if (permissions !== undefined && !isPermissions(permissions)) {
    const words = permissionNames.join(', ')
    throw mistake('permissions', `expected a list of ${words}, got ${shown(permissions)}`)
  }
  const isObject = typeof environment === 'object' && environment !== null
  if (environment !== undefined && (!isObject || Array.isArray(environment))) {
    throw mistake('environment', `expected an object of variables, got ${shown(environment)}`)
  }
}

function isPermissions(value: unknown): boolean {
  if (!Array.isArray(value) || value.length === 0) return false
  return value.every((each) => permissionNames.some((word) => word === each))
}

function mistake(path: string, detail: string): FileSystemError {
  return new FileSystemError('EINVAL', 'config', { path, detail })
}

function audienceOf(scopes: string | string[]): string {
  const [scope, ...more] = [scopes].flat()
  if (scope?.endsWith(suffix) === true && more.length === 0) return scope.slice(0, -suffix.length)
  throw new FileSystemError('EINVAL', 'getToken', {
    path: 'scopes',
    detail: 'expected one scope that ends in /.default: a token is for one resource',
  })
}

function noToken(audience: string): FileSystemError {
  return new FileSystemError('EACCES', 'getToken', {
    path: audience,
    detail:
      'there is no token for this resource: it takes a connector (connectorUrl, ABFS_CONNECTOR_URL) whose policy gives a bearer for it',
  })
}

function exchanged(audience: string, { exchange, clock }: TokenProviders): TokenTarget {
  if (exchange === undefined) throw noToken(audience)
  const scope = `${audience}${suffix}`
  const ask: CredentialProvider['getCredential'] = (_, { challenge, signal } = {}) =>
    exchange.get({ scope, claims: challenge?.claims }, signal)
  return {
    provider: new CachedCredentialProvider({ getCredential: ask }, { clock }),
    scope: { account: '', service: 'blob', permissions: [] },
  }
}
