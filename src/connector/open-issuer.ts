import { rootCertificates } from 'node:tls'
import { type Clock, systemClock } from '../clock.ts'
import { FileSystemError } from '../errors.ts'
import type { ConnectorConfig } from './config.ts'
import { EntraIssuer } from './entra-issuer.ts'
import { openIdentity } from './identity.ts'
import { type ConnectorSources, diskSources } from './sources.ts'

/** The issuer that a configuration describes, with its identity opened. */
export async function openIssuer(
  config: ConnectorConfig,
  sources: ConnectorSources = diskSources(),
  clock: Clock = systemClock,
): Promise<EntraIssuer> {
  const ca = await readAuthorities(config.caFile, sources)
  const credential = await openIdentity(config.identity, sources, { ca })
  const endpoints = config.accounts.map(({ name, blobEndpoint }) => [name, blobEndpoint] as const)
  return new EntraIssuer({
    credential,
    clock,
    cloud: config.cloud,
    blobEndpoints: Object.fromEntries(endpoints),
    ca,
  })
}

/** The system's roots and those of the file; `undefined` leaves the choice to Node. */
async function readAuthorities(
  file: string | undefined,
  sources: ConnectorSources,
): Promise<readonly string[] | undefined> {
  if (file === undefined) return undefined
  try {
    return [...rootCertificates, await sources.readFile(file)]
  } catch (error) {
    throw unreadable(file, error)
  }
}

function unreadable(path: string, cause: unknown): FileSystemError {
  const detail = 'caFile cannot be read'
  return new FileSystemError('EINVAL', 'connector.config', { detail, path, cause })
}
