import { rootCertificates } from 'node:tls'
import { FileSystemError } from '../errors.ts'
import type { ConnectorSources } from './sources.ts'

/** The PEM of `caFile`; `undefined` where none is named. Rejects with `EINVAL` when it cannot be read. */
export async function ownAuthorities(
  file: string | undefined,
  sources: ConnectorSources,
): Promise<string | undefined> {
  if (file === undefined) return undefined
  try {
    return await sources.readFile(file)
  } catch (error) {
    throw unreadable(file, error)
  }
}

/** The system's roots and those of the file; `undefined` leaves the choice to Node. */
export async function readAuthorities(
  file: string | undefined,
  sources: ConnectorSources,
): Promise<readonly string[] | undefined> {
  const own = await ownAuthorities(file, sources)
  return own === undefined ? undefined : [...rootCertificates, own]
}

function unreadable(path: string, cause: unknown): FileSystemError {
  const detail = 'caFile cannot be read'
  return new FileSystemError('EINVAL', 'connector.config', { detail, path, cause })
}
