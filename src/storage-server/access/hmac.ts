import { createHmac, timingSafeEqual } from 'node:crypto'

/** Base64 of the HMAC-SHA256 of `text` with a base64 key. */
export function sign(keyBase64: string, text: string): string {
  return createHmac('sha256', Buffer.from(keyBase64, 'base64'))
    .update(text, 'utf8')
    .digest('base64')
}

/** Whether `signature` is, character by character, what any of the keys signs `text` with. */
export function isSignedBy(keys: readonly string[], text: string, signature: string): boolean {
  // Compared as text: base64 decoders ignore the last character's spare bits.
  return keys.some((key) => isSame(sign(key, text), signature))
}

function isSame(expected: string, given: string): boolean {
  const [a, b] = [Buffer.from(expected), Buffer.from(given)]
  return a.byteLength === b.byteLength && timingSafeEqual(a, b)
}
