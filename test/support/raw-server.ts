import { type AddressInfo, createServer, type Socket } from 'node:net'
import { createServer as createSecureServer } from 'node:tls'
import type { Test } from 'tap'
import type { ServerCertificate } from './server-certificate.ts'

/** One complete request on a connection, and where it came. */
export interface RawRequest {
  /** The head in latin1, without its empty line. */
  readonly head: string
  /** Connections are counted from 1, and so are the requests of each. */
  readonly connection: number
  readonly request: number
}

/** What the server does with a request: it writes bytes as they go over the wire. */
export type RawStep = (socket: Socket, request: RawRequest) => void

/** A loopback server that writes exactly the bytes of its script. */
export interface RawServer {
  readonly url: URL
  readonly connections: () => number
  /** Every byte received, of all connections, in latin1. */
  readonly received: () => string
}

export interface RawServerOptions {
  /** Absent: plain TCP. */
  readonly certificate?: ServerCertificate | undefined
  /** Called with each request once it is complete. */
  readonly onRequest?: RawStep | undefined
  /** Called with each connection. */
  readonly onConnection?: ((socket: Socket) => void) | undefined
}

/** Starts a {@link RawServer}; it ends with the test. */
export async function startRawServer(t: Test, options: RawServerOptions): Promise<RawServer> {
  const sockets = new Set<Socket>()
  let received = ''
  let connections = 0
  const serve = (socket: Socket) => {
    sockets.add(socket)
    const connection = ++connections
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
    options.onConnection?.(socket)
    const { onRequest } = options
    if (onRequest === undefined) return
    const reader = requestReader((head, request) =>
      onRequest(socket, { head, connection, request }),
    )
    socket.on('data', (data) => {
      received += data.toString('latin1')
      reader(data)
    })
  }
  const { certificate } = options
  const server = certificate ? createSecureServer(certificate, serve) : createServer(serve)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const url = new URL(`${certificate ? 'https' : 'http'}://127.0.0.1:${port}/`)
  return { url, connections: () => connections, received: () => received }
}

/** Cuts what a client sends into requests with `content-length` bodies. */
function requestReader(onRequest: (head: string, count: number) => void): (data: Buffer) => void {
  let pending = ''
  let count = 0
  return (data) => {
    pending += data.toString('latin1')
    for (;;) {
      const end = pending.indexOf('\r\n\r\n')
      if (end < 0) return
      const head = pending.slice(0, end)
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)
      if (pending.length < end + 4 + length) return
      pending = pending.slice(end + 4 + length)
      onRequest(head, ++count)
    }
  }
}

/** Writes `pieces` one by one, each as a packet of its own as far as the system allows. */
export async function writePieces(socket: Socket, pieces: readonly Uint8Array[]): Promise<void> {
  for (const piece of pieces) {
    if (socket.destroyed) return
    await new Promise<void>((resolve) => {
      socket.write(piece, () => setImmediate(resolve))
    })
  }
}
