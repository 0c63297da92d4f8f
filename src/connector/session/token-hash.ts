import { createHash } from 'node:crypto'

/** SHA-256 in base64url: `ath` of a token, and how tokens are kept. */
export function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}
