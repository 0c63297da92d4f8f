import { badAnswer } from './transport-error.ts'

/** How the bytes after the head are delimited (RFC 9112, 6.3). */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'until-close' }

/** The status line and headers of an answer. */
export interface AnswerHead {
  readonly status: number
  /** Lower-case names; repeated headers are joined by `, `. */
  readonly headers: Readonly<Record<string, string>>
  /** Whether the server keeps the connection open after this answer. */
  readonly keepAlive: boolean
}

/**
 * Reads a head, given in latin1 without its empty line. Throws `TransportError` for anything that
 * is not strictly HTTP/1.x: folded lines, bare CR or LF, control characters.
 */
export function parseHead(text: string): AnswerHead {
  const firstEnd = text.indexOf('\r\n')
  const statusLine = firstEnd < 0 ? text : text.slice(0, firstEnd)
  const [, minor, status] = statusLinePattern.exec(statusLine) ?? []
  if (minor === undefined || status === undefined) throw badAnswer('it has no status line')
  const headers = firstEnd < 0 ? {} : parseFields(text, firstEnd + 2)
  return { status: Number(status), headers, keepAlive: staysOpen(minor, headers) }
}

/** How the body of an answer to `method` is delimited; throws where two ways contradict each other. */
export function framingOf({ status, headers }: AnswerHead, method: string): Framing {
  if (method === 'HEAD' || status === 204 || status === 304 || status < 200) return none
  const coding = headers['transfer-encoding']
  const length = headers['content-length']
  if (coding !== undefined) {
    if (length !== undefined) throw badAnswer('it has both a length and a transfer encoding')
    if (coding.toLowerCase() !== 'chunked') throw badAnswer('its transfer encoding is unknown')
    return { kind: 'chunked' }
  }
  if (length === undefined) return { kind: 'until-close' }
  if (!/^\d{1,15}$/.test(length)) throw badAnswer('its content length is not a number')
  return { kind: 'length', bytes: Number(length) }
}

const none: Framing = { kind: 'none' }
const statusLinePattern = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const maxFields = 1000

function parseFields(text: string, start: number): Record<string, string> {
  const headers: Record<string, string> = {}
  let count = 0
  for (let at = start; at < text.length; ) {
    const lineEnd = text.indexOf('\r\n', at)
    const end = lineEnd < 0 ? text.length : lineEnd
    const colon = text.indexOf(':', at)
    if (colon < 0 || colon > end) throw badAnswer('a header has no colon')
    if (++count > maxFields) throw badAnswer('it has too many headers')
    const name = lowerCaseName(text.slice(at, colon))
    const value = fieldValue(text.slice(colon + 1, end))
    headers[name] = Object.hasOwn(headers, name) ? `${headers[name]}, ${value}` : value
    at = end + 2
  }
  return headers
}

/** By the spelling on the wire: a service sends the same few all its life. */
const knownNames = new Map<string, string>()
const maxKnownNames = 512

function lowerCaseName(name: string): string {
  const known = knownNames.get(name)
  if (known !== undefined) return known
  if (!token.test(name)) throw badAnswer('a header has a name that is not a token')
  const lower = name.toLowerCase()
  // A name cut out of the head would keep all of it in memory.
  if (knownNames.size < maxKnownNames) knownNames.set(Buffer.from(name).toString(), lower)
  return lower
}

/** What follows the colon, without outer blanks. Throws `TransportError` for control characters. */
export function fieldValue(text: string): string {
  const value = text.charCodeAt(0) === 0x20 ? text.slice(1) : text
  if (plainValue.test(value)) return value
  const trimmed = value.replace(/^[\t ]+|[\t ]+$/g, '')
  if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(trimmed)) {
    throw badAnswer('a header has a control character')
  }
  return /[\x80-\xff]/.test(trimmed) ? Buffer.from(trimmed, 'latin1').toString() : trimmed
}

/** Visible ASCII with single spaces or tabs inside. */
const plainValue = /^(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?$/

/** Whether the server keeps the connection open; `minor` is the second digit of its HTTP version. */
export function staysOpen(minor: string, headers: Readonly<Record<string, string>>): boolean {
  const options = headers['connection']?.toLowerCase()
  if (options === undefined) return minor === '1'
  if (/(^|[\s,])close($|[\s,])/.test(options)) return false
  return minor === '1' || /(^|[\s,])keep-alive($|[\s,])/.test(options)
}
