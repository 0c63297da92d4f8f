import type { Scope } from '../credential/credential.ts'
import { FileSystemError } from '../errors.ts'
import type { HttpHandler, HttpRequest, HttpResponse } from '../http/handler.ts'
import { isLoopback } from '../loopback.ts'

/** What a session is opened for: scopes of storage, what is no storage, or both. */
export interface SessionWish {
  readonly grants?: readonly Scope[]
  /** As `audience` and `scope` of a token exchange. */
  readonly tokens?: readonly {
    readonly audience?: string | undefined
    readonly scope?: string | undefined
  }[]
}

/** By what a request shows whose it is. */
export interface ProvenBy {
  /** The value of its header `Authorization`. */
  readonly authorization: string
  /** What stands in it behind the scheme: a secret. */
  readonly token: string
}

/** What every client of a connector asks with. */
export interface Asking {
  /** The connector's URL, before `/v1`. `https`, or `http` on this machine alone. */
  readonly endpoint: URL
  /** Gives the caller's key or token, read anew for each request: tokens are rotated under us. */
  readonly callerProof: () => Promise<string>
  readonly http: HttpHandler
  /**
   * Sessions to ask in: the caller's proof is then sent to open them alone, and every request is
   * signed by a key of this process.
   */
  readonly sessions?: Sessions | undefined
}

interface Sessions {
  ask(wanted: SessionWish, request: (proof: ProvenBy) => HttpRequest): Promise<HttpResponse>
}

/**
 * Sends a request to a connector, with the caller's proof or in a session for what is wanted.
 * Rejects with `EACCES` for a proof that cannot be one, else as the HTTP handler does.
 */
export async function askConnector(
  { callerProof, http, sessions }: Asking,
  wanted: SessionWish,
  request: (proof: ProvenBy) => HttpRequest,
): Promise<HttpResponse> {
  if (sessions !== undefined) return sessions.ask(wanted, request)
  const token = await checkedProof(callerProof)
  return http(request({ authorization: `Bearer ${token}`, token }))
}

/** Where a path of the protocol is. */
export function connectorUrl(endpoint: URL, path: string): URL {
  const url = new URL(endpoint)
  url.pathname = `${url.pathname.replace(/\/$/, '')}${path}`
  return url
}

/** The caller's proof, fit for a header. Rejects with `EACCES` when it is empty or none. */
export async function checkedProof(callerProof: () => Promise<string>): Promise<string> {
  const proof = (await callerProof()).trim()
  if (/^[\w.~+/=-]+$/.test(proof)) return proof
  throw new FileSystemError('EACCES', 'connector.credentials', {
    detail:
      proof === ''
        ? "the caller's key or token is empty: write it to the file that is named for it"
        : "the caller's key or token has characters that cannot be one: check the file that is named for it",
  })
}

/** Throws `TypeError` for an endpoint to which a proof cannot be sent safely. */
export function checkEndpoint(endpoint: URL): void {
  const { protocol, hostname, search, username } = endpoint
  if (protocol !== 'https:' && !(protocol === 'http:' && isLoopback(hostname))) {
    throw new TypeError(
      `endpoint: '${endpoint.protocol}//${endpoint.host}' would carry the caller's key in the clear; expected an https URL, or http on 127.0.0.1`,
    )
  }
  if (search !== '' || username !== '') {
    throw new TypeError('endpoint: expected a URL without query and user name')
  }
}

/** The caller's own proof cannot be read or sent: nothing that the connector could answer. */
export function isOfProof(error: unknown): boolean {
  return error instanceof FileSystemError && ['EACCES', 'EINVAL', 'ENOENT'].includes(error.code)
}
