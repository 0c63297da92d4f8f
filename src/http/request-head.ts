import type { HttpRequest } from './handler.ts'
import { TransportError } from './transport-error.ts'

/** Writes the heads of requests to one origin. */
export class RequestHeads {
  readonly #origin: string
  readonly #host: string

  constructor({ origin, host }: URL) {
    this.#origin = origin
    this.#host = host
  }

  /** Whether `url` is of the origin, and of no user. */
  areFor({ href }: URL): boolean {
    const { length } = this.#origin
    return href.charCodeAt(length) === slash && href.slice(0, length) === this.#origin
  }

  /**
   * Request line and headers as they go over the wire, in latin1, the empty line included. Throws
   * `TransportError` for anything that could be read as more than one header or request (RFC 9112,
   * section 11): control characters, characters beyond latin1, and headers that say how the message is framed.
   */
  of(request: HttpRequest): string {
    const { method, headers, body } = request
    let head = `${method} ${this.#target(request.url)} HTTP/1.1\r\nhost: ${this.#host}\r\n`
    for (const name in headers) {
      const value = headers[name] ?? ''
      checkHeader(name, value)
      head += `${name}: ${value}\r\n`
    }
    if (body !== undefined || method === 'PUT' || method === 'POST' || method === 'PATCH') {
      head += `content-length: ${body?.byteLength ?? 0}\r\n`
    }
    return `${head}accept-encoding: identity\r\n\r\n`
  }

  #target(url: URL): string {
    // A URL has its whole text at hand; its parts are cut out of it at each look.
    const isPlain = this.areFor(url) && !url.href.includes('#')
    const target = isPlain ? url.href.slice(this.#origin.length) : url.pathname + url.search
    if (!visibleAscii.test(target))
      throw badRequest('its path has a character that must be encoded')
    return target
  }
}

const slash = 0x2f
const visibleAscii = /^[\x21-\x7e]+$/
/** RFC 9110, 5.6.2. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/
/** Names that passed once: a client sends the same few all its life. */
const knownNames = new Set<string>()
const maxKnownNames = 256

/** They frame the message or belong to the connection, so the transport alone writes them. */
const reserved: ReadonlySet<string> = new Set([
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Never names the value: it may be a credential. */
function checkHeader(name: string, value: string): void {
  if (!knownNames.has(name)) checkName(name)
  if (!fieldValue.test(value)) throw badRequest(`invalid ${name} header`)
}

function checkName(name: string): void {
  if (!token.test(name)) throw badRequest('a header has a name that is not a token')
  if (reserved.has(name.toLowerCase())) {
    throw badRequest(`the ${name} header is set by the transport`)
  }
  if (knownNames.size < maxKnownNames) knownNames.add(name)
}

function badRequest(detail: string): TransportError {
  return new TransportError('ABFS_BAD_REQUEST', detail)
}
