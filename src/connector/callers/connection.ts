import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { type PeerCredentials, peerCredentials } from '../../peer-credentials.ts'

/** What the connection itself proves of who is at its other end. */
export interface ConnectionProof {
  /** It came over the connector's Unix socket. */
  readonly unixSocket: boolean
  /** Who is at the other end of the Unix socket; absent where the kernel cannot be asked. */
  readonly peer?: PeerCredentials | undefined
  /** A client certificate that an authority of the listener has signed. */
  readonly certificate?: ClientCertificate | undefined
}

/** The names in a client certificate. */
export interface ClientCertificate {
  /** The common name of its subject. */
  readonly commonName?: string | undefined
  /** `DNS:…`, `URI:…`, `email:…`, as OpenSSL writes them. */
  readonly alternativeNames: readonly string[]
}

/** A caller that is known by its connection. */
export interface ConnectionRule {
  readonly name: string
  /** The user that the connector runs as, or root, over the Unix socket. */
  readonly unixSocket?: boolean | undefined
  /** The user and the group, its own or one of its others, of who is at the other end of it. */
  readonly unixPeer?:
    | { readonly uid?: number | undefined; readonly gid?: number | undefined }
    | undefined
  /** Every name given must be in the certificate. */
  readonly certificate?:
    | { readonly commonName?: string | undefined; readonly alternativeName?: string | undefined }
    | undefined
}

/** Reads what a socket proves; `unixSocket` says what it listens on. */
export function connectionProof(socket: Socket, unixSocket: boolean): ConnectionProof {
  if (unixSocket) return { unixSocket, peer: peerCredentials(socket) }
  if (!(socket instanceof TLSSocket) || !socket.authorized) return { unixSocket }
  const { subject, subjectaltname } = socket.getPeerCertificate()
  const commonName = subject?.CN
  return {
    unixSocket,
    certificate: {
      ...(typeof commonName === 'string' ? { commonName } : {}),
      alternativeNames: alternativeNames(subjectaltname ?? ''),
    },
  }
}

/** The first caller that fits what the connection proves. */
export function callerOfConnection(
  rules: readonly ConnectionRule[],
  { unixSocket, peer, certificate }: ConnectionProof,
): string | undefined {
  const fitting = rules.find((rule) => {
    if (rule.unixSocket === true) return unixSocket && isOwner(peer)
    if (rule.unixPeer !== undefined) return peer !== undefined && isPeer(rule.unixPeer, peer)
    return (
      rule.certificate !== undefined &&
      certificate !== undefined &&
      fits(rule.certificate, certificate)
    )
  })
  return fitting?.name
}

/** Where the kernel cannot be asked the mode of the socket says so: its owner alone may open it. */
function isOwner(peer: PeerCredentials | undefined): boolean {
  return peer === undefined || peer.uid === 0 || peer.uid === process.getuid?.()
}

function isPeer(
  { uid, gid }: NonNullable<ConnectionRule['unixPeer']>,
  peer: PeerCredentials,
): boolean {
  const isUser = uid === undefined || uid === peer.uid
  return isUser && (gid === undefined || gid === peer.gid || peer.groups.includes(gid))
}

function fits(
  rule: NonNullable<ConnectionRule['certificate']>,
  { commonName, alternativeNames: names }: ClientCertificate,
): boolean {
  const { commonName: wantedName, alternativeName } = rule
  const isNamed = wantedName === undefined || wantedName === commonName
  const isAlternative = alternativeName === undefined || names.includes(alternativeName)
  return isNamed && isAlternative && (wantedName ?? alternativeName) !== undefined
}

/**
 * Splits OpenSSL's list. A name with a comma or a quote stands there as a JSON string, which is
 * read as one: a name cannot smuggle in another.
 */
function alternativeNames(text: string): readonly string[] {
  const names = text.match(
    /(?:DNS|URI|email|IP Address|Registered ID|othername|DirName):(?:"(?:[^"\\]|\\.)*"|[^,"]*)/g,
  )
  return (names ?? []).map((name) => {
    const colon = name.indexOf(':') + 1
    const value = name.slice(colon)
    return value.startsWith('"') ? `${name.slice(0, colon)}${JSON.parse(value)}` : name
  })
}
