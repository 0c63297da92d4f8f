import { createHmac, timingSafeEqual } from 'node:crypto'

/** Base64 of the HMAC-SHA256 of `text` with a base64 key. */
export function sign(keyBase64: string, text: string): string {
  return createHmac('sha256', Buffer.from(keyBase64, 'base64'))
    .update(text, 'utf8')
    .digest('base64')
}

const maxRemembered = 1000

/** Signs as `sign` does and remembers it: who holds a signature presents it with each request. */
export class Signer {
  readonly #made = new Map<string, string>()

  sign(keyBase64: string, text: string): string {
    const asked = `${keyBase64}\n${text}`
    const known = this.#made.get(asked)
    if (known !== undefined) return known
    const made = sign(keyBase64, text)
    if (this.#made.size >= maxRemembered) this.#made.clear()
    this.#made.set(asked, made)
    return made
  }
}

/** Whether `signature` is, character by character, what any of the keys signs `text` with. */
export function isSignedBy(
  keys: readonly string[],
  text: string,
  signature: string,
  signer: Pick<Signer, 'sign'> = { sign },
): boolean {
  // Compared as text: base64 decoders ignore the last character's spare bits.
  return keys.some((key) => isSame(signer.sign(key, text), signature))
}

function isSame(expected: string, given: string): boolean {
  const [a, b] = [Buffer.from(expected), Buffer.from(given)]
  return a.byteLength === b.byteLength && timingSafeEqual(a, b)
}
