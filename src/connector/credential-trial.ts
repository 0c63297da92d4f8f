import { randomBytes } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { Credential, Scope } from '../credential/credential.ts'
import { openTransport } from '../http/transport.ts'
import { ownAuthorities } from './authorities.ts'
import type { CheckResult } from './checks.ts'
import type { ConnectorConfig } from './config.ts'
import type { ConnectorSources } from './sources.ts'
import { verifyCredential } from './verify.ts'

/** Uses a credential for a container as its holder would, and where it must be refused. Never rejects. */
export type CredentialTrial = (
  scope: Scope & { readonly container: string },
  credential: Credential,
) => Promise<readonly CheckResult[]>

/** What trials are made with. */
export interface CredentialTrialOptions {
  readonly config: Pick<ConnectorConfig, 'accounts' | 'caFile' | 'cloud'>
  readonly sources: ConnectorSources
  readonly clock: Clock
}

/** How long one check may take, milliseconds. */
const limitMs = 10_000

/** Trials against the accounts of a configuration, over connections of their own. */
export function credentialTrial(options: CredentialTrialOptions): CredentialTrial {
  const { config, sources, clock } = options
  return async (scope, credential) => {
    const ca = await ownAuthorities(config.caFile, sources)
    const { handle: http, close } = await openTransport('socket', { ca, headersTimeoutMs: limitMs })
    const nonce = randomBytes(6).toString('hex')
    const blobEndpoint = blobEndpointOf(config, scope.account)
    try {
      return await verifyCredential(
        { scope, blobEndpoint, http, clock, nonce, limitMs },
        credential,
      )
    } finally {
      await close()
    }
  }
}

/** Where an account is: as the configuration says, or at its name. */
export function blobEndpointOf(
  { accounts, cloud }: Pick<ConnectorConfig, 'accounts' | 'cloud'>,
  account: string,
): URL {
  const known = accounts.find(({ name }) => name === account)?.blobEndpoint
  return known ?? new URL(`https://${account}.blob.${cloud}`)
}
