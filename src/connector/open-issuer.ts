import { type Clock, systemClock } from '../clock.ts'
import { FileSystemError } from '../errors.ts'
import { readAuthorities } from './authorities.ts'
import { openLookups } from './azure-lookups.ts'
import type { ConnectorConfig } from './config.ts'
import { EntraIssuer } from './entra-issuer.ts'
import { authOf, openIdentity } from './identity.ts'
import type { Auth, Secrets } from './model/auth.ts'
import { type ConnectorSources, diskSources } from './sources.ts'

/** How an issuer signs in, where it is not the identity of the configuration. */
export interface IssuerIdentity {
  readonly auth: Auth
  readonly secrets: Secrets
}

/**
 * The issuer that a configuration describes, with its identity opened, or another identity in its
 * place. Rejects with `EINVAL` when there is neither.
 */
export async function openIssuer(
  config: ConnectorConfig,
  sources: ConnectorSources = diskSources(),
  clock: Clock = systemClock,
  identity: IssuerIdentity = ownIdentity(config),
): Promise<EntraIssuer> {
  const ca = await readAuthorities(config.caFile, sources)
  const own = config.caFile === undefined ? undefined : ca?.at(-1)
  const options = { sources, clock, ca, authority: config.authority }
  const credential = await openIdentity(identity.auth, identity.secrets, options)
  const endpoints = config.accounts.map(({ name, blobEndpoint }) => [name, blobEndpoint] as const)
  return new EntraIssuer({
    lookupsOf: await openLookups(config, { ca: own, clock }),
    credential,
    clock,
    cloud: config.cloud,
    blobEndpoints: Object.fromEntries(endpoints),
    ca,
  })
}

function ownIdentity({ identity }: ConnectorConfig): IssuerIdentity {
  if (identity !== undefined) return { auth: authOf(identity), secrets: {} }
  throw new FileSystemError('EINVAL', 'connector.config', {
    detail: "the configuration has no 'identity': add one, or give connectors theirs",
  })
}
