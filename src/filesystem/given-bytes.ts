/** What a caller gives to be written: bytes, or text that becomes UTF-8. */
export type FileData = Uint8Array | string

/**
 * The bytes of `data`. `TypeError` for all else: of the elements of another typed array each would be cut to a
 * byte, and an object has no length.
 */
export function bytesOf(data: FileData): Uint8Array {
  if (data instanceof Uint8Array) return data
  if (typeof data === 'string') return new TextEncoder().encode(data)
  throw new TypeError(`data: expected a Uint8Array or a string, got ${kindOf(data)}`)
}

function kindOf(data: unknown): string {
  if (typeof data !== 'object' || data === null) return String(data === null ? null : typeof data)
  const name = data.constructor?.name ?? 'object'
  if (ArrayBuffer.isView(data)) {
    return `${name}: new Uint8Array(it.buffer, it.byteOffset, it.byteLength) are its bytes`
  }
  return data instanceof ArrayBuffer ? `${name}: new Uint8Array(it) are its bytes` : name
}
