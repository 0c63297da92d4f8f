import type { Clock } from '../clock.ts'
import { type HttpHandler, intercept } from '../http/handler.ts'
import { retry } from '../http/retry.ts'
import { openTransport } from '../http/transport.ts'
import { BlobLister } from './blob-lister.ts'
import { ClusterLookup } from './cluster-lookup.ts'
import type { ConnectorConfig } from './config.ts'
import type { TokenFor } from './entra-issuer.ts'
import { ManagementClient } from './management-client.ts'
import { RegistryExchange } from './registry-exchange.ts'

/** What a connector asks of Azure beside Entra and storage. */
export interface AzureLookups {
  /** What they are asked over. */
  readonly http: HttpHandler
  readonly registries: RegistryExchange
  readonly lister: BlobLister
  /** Absent where the configuration names no management. */
  readonly management?: ManagementClient | undefined
  readonly clusters?: ClusterLookup | undefined
  /** Closes their connections. Never throws. */
  close(): Promise<void>
}

/** Less patience than a client of the connector has with the connector. */
const patience = { maxAttempts: 3, deadlineMs: 12_000 }

/** Opens the connections; what they are asked with comes from `tokenFor`. */
export async function openLookups(
  config: Pick<ConnectorConfig, 'accounts' | 'cloud' | 'management' | 'registries'>,
  { ca, clock }: { readonly ca: string | undefined; readonly clock: Clock },
): Promise<(tokenFor: TokenFor) => AzureLookups> {
  const sockets = await openTransport('socket', { ca, headersTimeoutMs: 8000 })
  const http = intercept(sockets.handle, retry({ clock, ...patience }))
  const { registries } = config
  return (tokenFor) => {
    const management =
      config.management && new ManagementClient({ ...config.management, tokenFor, http })
    const clusters = management && new ClusterLookup(management, clock)
    return {
      http,
      lister: new BlobLister({ tokenFor, http, ...placesOf(config) }),
      registries: new RegistryExchange({ registries, tokenFor, http, clock }),
      management,
      clusters,
      close: sockets.close,
    }
  }
}

function placesOf({ accounts, cloud }: Pick<ConnectorConfig, 'accounts' | 'cloud'>): {
  endpointOf: (account: string) => URL
  audienceOf: (account: string) => string
} {
  const named = new Map(accounts.map(({ name, blobEndpoint }) => [name, blobEndpoint]))
  const audienceOf = (account: string): string => `https://${account}.blob.${cloud}`
  return { audienceOf, endpointOf: (account) => named.get(account) ?? new URL(audienceOf(account)) }
}
