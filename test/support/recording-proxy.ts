import {
  createServer as createTcpServer,
  type Server,
  type Socket,
  connect as tcpConnect,
} from 'node:net'
import { createServer as createTlsServer, connect as tlsConnect } from 'node:tls'
import { generateServerCertificate, type ServerCertificate } from './server-certificate.ts'

/** What stands between a client and a server and keeps every byte that passes. */
export interface RecordingProxy {
  /** Where the client connects instead of to the target. */
  readonly url: URL
  /** PEM that the client must trust; `undefined` without TLS. */
  readonly ca: string | undefined
  /** Everything that passed, decrypted, in both directions. */
  bytes(): Buffer
  close(): Promise<void>
}

/** The server behind, and the authority that signed its certificate when it speaks TLS. */
export interface ProxyTarget {
  readonly url: URL
  readonly ca?: string
}

/** Ends TLS on both sides when the target speaks it; forwards plain TCP otherwise. */
export async function startRecordingProxy(target: ProxyTarget): Promise<RecordingProxy> {
  const certificate =
    target.url.protocol === 'https:' ? await generateServerCertificate() : undefined
  const recorded: Buffer[] = []
  const sockets = new Set<Socket>()
  const server = listener(certificate, (client) => {
    const upstream = connectTo(target)
    join(client, upstream, recorded, sockets)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = new URL(target.url)
  url.hostname = '127.0.0.1'
  url.port = String(portOf(server))
  return {
    url,
    ca: certificate?.cert,
    bytes: () => Buffer.concat(recorded),
    close: () => {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

function listener(
  certificate: ServerCertificate | undefined,
  onClient: (client: Socket) => void,
): Server {
  return certificate === undefined
    ? createTcpServer(onClient)
    : createTlsServer({ cert: certificate.cert, key: certificate.key }, onClient)
}

function connectTo({ url, ca }: ProxyTarget): Socket {
  const place = { host: url.hostname, port: Number(url.port) }
  return ca === undefined ? tcpConnect(place) : tlsConnect({ ...place, ca })
}

function join(client: Socket, server: Socket, recorded: Buffer[], sockets: Set<Socket>): void {
  for (const [from, to] of [
    [client, server],
    [server, client],
  ] as const) {
    sockets.add(from)
    from.on('data', (piece: Buffer) => {
      recorded.push(piece)
      to.write(piece)
    })
    from.on('end', () => to.end())
    from.on('error', () => to.destroy())
    from.on('close', () => sockets.delete(from))
  }
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy does not listen')
  return address.port
}
