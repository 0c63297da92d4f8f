const quote = 0x22

/**
 * The text from `start` to `end` in quotes and of one piece: joined strings take three times the memory. It
 * stands between tags, whose neighbouring characters lend their place.
 */
export function quotedEtag(bytes: Buffer, start: number, end: number): string {
  if (start < end && bytes[end - 1] === quote) return bytes.toString('latin1', start, end)
  const [before = 0, after = 0] = [bytes[start - 1], bytes[end]]
  bytes[start - 1] = quote
  bytes[end] = quote
  const etag = bytes.toString('latin1', start - 1, end + 1)
  bytes[start - 1] = before
  bytes[end] = after
  return etag
}

/** Milliseconds since the epoch; 0 for what is no date. */
export function parseHttpDate(text: string): number {
  const dateMs = Date.parse(text)
  return Number.isNaN(dateMs) ? 0 : dateMs
}

/** The text of a value, its entities resolved. */
export function decodeText(bytes: Buffer, start: number, end: number): string {
  if (isPlain(bytes, start, end)) return bytes.toString('latin1', start, end)
  const text = bytes.toString('utf8', start, end)
  return text.includes('&') ? text.replace(entityPattern, decodeEntity) : text
}

/** Whether each byte is a character: ASCII without entities. */
function isPlain(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0
    if (byte > 0x7f || byte === ampersand) return false
  }
  return true
}

const ampersand = 0x26

const entityPattern = /&(?:#(\d+)|#x([0-9a-fA-F]+)|(lt|gt|amp|quot|apos));/g

const namedEntities: Readonly<Record<string, string>> = {
  lt: '<',
  gt: '>',
  amp: '&',
  quot: '"',
  apos: "'",
}

function decodeEntity(
  whole: string,
  decimal: string | undefined,
  hexadecimal: string | undefined,
  name: string | undefined,
): string {
  if (name !== undefined) return namedEntities[name] ?? whole
  const code = decimal === undefined ? Number.parseInt(hexadecimal ?? '', 16) : Number(decimal)
  return code <= 0x10ffff ? String.fromCodePoint(code) : whole
}
