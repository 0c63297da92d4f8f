import { createHash } from 'node:crypto'
import { inspect } from 'node:util'

/** An AES-256 key of the customer's, which requests bring. Shows itself to nobody who prints it. */
export class CustomerKey {
  readonly #base64: string
  /** Base64 of the key's SHA-256: no secret, and what the service tells of blobs. */
  readonly sha256: string

  private constructor(bytes: Uint8Array) {
    this.#base64 = Buffer.from(bytes).toString('base64')
    this.sha256 = createHash('sha256').update(bytes).digest('base64')
    Object.defineProperty(this, inspect.custom, { value: () => '[secret]' })
  }

  /** A key of 32 bytes, or of their base64; `undefined` for anything else. */
  static from(value: unknown): CustomerKey | undefined {
    const bytes = typeof value === 'string' ? bytesOf(value) : value
    if (!(bytes instanceof Uint8Array) || bytes.byteLength !== keyBytes) return undefined
    return new CustomerKey(bytes)
  }

  /** The key itself, as requests carry it. */
  reveal(): string {
    return this.#base64
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }
}

const keyBytes = 32

function bytesOf(text: string): Uint8Array | undefined {
  return /^[A-Za-z0-9+/]{43}=$/.test(text) ? Buffer.from(text, 'base64') : undefined
}
