import { readFileSync } from 'node:fs'
import type { Config } from '../config.ts'
import { FileSystemError } from '../errors.ts'

/** The certificate authorities that are trusted beside Node's, PEM. */
export function readAuthorities(config: Config): string | undefined {
  const { caFile } = config
  if (caFile === undefined) return undefined
  const origin = config.origins['caFile'] ?? 'ABFS_CA_FILE'
  const text = readAuthority(caFile, origin)
  if (text.includes('-----BEGIN ')) return text
  const detail = `${origin} names a file without a certificate in PEM`
  throw new FileSystemError('EINVAL', 'config', { path: caFile, detail })
}

function readAuthority(file: string, origin: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw unreadable(file, origin, cause)
  }
}

function unreadable(path: string, origin: string, cause: unknown): FileSystemError {
  const detail = `${origin} names a file that cannot be read`
  return new FileSystemError('EINVAL', 'config', { path, detail, cause })
}
