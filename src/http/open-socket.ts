import { connect as connectTcp, isIP, type OnReadOpts, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls, type SecureContext } from 'node:tls'
import { localhostLookup } from './localhost-lookup.ts'

/** Where connections of one origin go, and what TLS remembers of them. */
export interface Peer {
  readonly protocol: string
  /** Without the brackets of an IPv6 address. */
  readonly host: string
  readonly port: number
  /** Who may sign the server's certificate; asked for when the first connection needs it. */
  readonly secureContext: () => SecureContext
  /** The latest session ticket: it spares the next connection half a handshake. */
  session: Buffer | undefined
}

/** The peer that serves the origin of `url`. */
export function peerOf(url: URL, secureContext: () => SecureContext): Peer {
  const { protocol, hostname } = url
  const port = Number(url.port || (protocol === 'https:' ? 443 : 80))
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  return { protocol, host, port, secureContext, session: undefined }
}

/**
 * Begins to connect. `onReady` is called once bytes may be sent: for TLS only after the
 * certificate was verified, so that no request ever reaches a server that is not trusted.
 */
export function openSocket(peer: Peer, onread: OnReadOpts, onReady: () => void): Socket {
  const { host, port } = peer
  const lookup = localhostLookup
  if (peer.protocol !== 'https:') {
    return connectTcp({ host, port, lookup, noDelay: true, onread }, onReady)
  }
  const options: ConnectionOptions & { onread: OnReadOpts } = {
    host,
    port,
    lookup,
    secureContext: peer.secureContext(),
    rejectUnauthorized: true,
    ALPNProtocols: ['http/1.1'],
    onread,
  }
  // A server name is a DNS name (RFC 6066, 3); an address is verified against the certificate all the same.
  if (isIP(host) === 0) options.servername = host
  if (peer.session !== undefined) options.session = peer.session
  const socket = connectTls(options, onReady)
  socket.setNoDelay(true)
  socket.on('session', (session) => {
    peer.session = session
  })
  return socket
}
