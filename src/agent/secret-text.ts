import { createHash, timingSafeEqual } from 'node:crypto'

/** Compares what a caller sent with a secret, in a time that tells nothing of either. */
export function isSecret(sent: string | undefined, secret: string): boolean {
  return timingSafeEqual(digest(sent ?? ''), digest(secret)) && sent !== undefined
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
