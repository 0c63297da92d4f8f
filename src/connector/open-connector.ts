import type { FastifyBaseLogger } from 'fastify'
import { type Clock, systemClock } from '../clock.ts'
import { undiciHandler } from '../http/undici-handler.ts'
import { ownAuthorities, readAuthorities } from './authorities.ts'
import { type ConnectorConfig, policyOf } from './config.ts'
import { authOf, openIdentity } from './identity.ts'
import type { Issuer } from './issuer.ts'
import { readVaultSecret } from './key-vault.ts'
import { openIssuer } from './open-issuer.ts'
import { declaredRecords, openConfiguredState } from './registry/open-registry.ts'
import { Registry } from './registry/registry.ts'
import { RoutedIssuer } from './registry/routed-issuer.ts'
import { type Connector, startConnector } from './server.ts'
import { type ConnectorSources, diskSources } from './sources.ts'
import type { State } from './state/state.ts'

/** What a connector is opened with. */
export interface OpenConnectorOptions {
  readonly config: ConnectorConfig
  readonly sources?: ConnectorSources
  readonly clock?: Clock
  readonly logger?: FastifyBaseLogger
}

/** What a configuration describes, before anything listens. */
export interface ConnectorParts {
  readonly state: State | undefined
  readonly registry: Registry
  readonly issuer: Issuer
}

/**
 * Opens the state, the registry and the identities that a configuration describes, and listens.
 * Rejects as {@link startConnector} does, and when the state cannot be opened.
 */
export async function openConnector(options: OpenConnectorOptions): Promise<Connector> {
  const parts = await openParts(options)
  try {
    return await startConnector({ ...options, ...parts })
  } catch (error) {
    await parts.state?.close()
    throw error
  }
}

/** Opens all but the listener; who calls it closes the state. */
export async function openParts(options: OpenConnectorOptions): Promise<ConnectorParts> {
  const { config, sources = diskSources(), clock = systemClock } = options
  const state =
    config.state === undefined
      ? undefined
      : await openConfiguredState(config.state, sources, clock, (secret) =>
          readSecret(secret, config, sources),
        )
  try {
    const registry = new Registry(declaredRecords(config, policyOf(config)), state, clock)
    const own = config.identity === undefined ? undefined : await openIssuer(config, sources, clock)
    const issuer = new RoutedIssuer({
      own,
      find: (id) => registry.connector(id),
      secrets: async ({ id, declared }) =>
        declared || state === undefined ? {} : state.connectors.secrets(id),
      open: (auth, secrets) => openIssuer(config, sources, clock, { auth, secrets }),
      mayBeImplicit: ({ body }) => config.allowImplicitIdentityFor.includes(body.name),
    })
    return { state, registry, issuer }
  } catch (error) {
    await state?.close()
    throw error
  }
}

/** With the configuration's own identity, or else that of the machine. */
async function readSecret(
  secret: URL,
  config: ConnectorConfig,
  sources: ConnectorSources,
): Promise<string> {
  const ca = await readAuthorities(config.caFile, sources)
  const auth =
    config.identity === undefined ? ({ method: 'implicit' } as const) : authOf(config.identity)
  const credential = await openIdentity(auth, {}, { sources, ca, authority: config.authority })
  const http = undiciHandler({ ca: await ownAuthorities(config.caFile, sources) })
  try {
    return await readVaultSecret(secret, credential, http.handle)
  } finally {
    await http.close()
  }
}
