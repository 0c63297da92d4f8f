import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { type Clock, systemClock } from '../clock.ts'
import type { ServerHooks } from './control/hooks.ts'
import type { ServerParts } from './run-verb.ts'
import { serve } from './serve.ts'

/** How a storage server is made. */
export interface StorageServerOptions extends ServerParts {
  /** Watches and disturbs requests. */
  readonly hooks?: ServerHooks | undefined
  readonly clock?: Clock | undefined
}

/** Where a storage server listens. */
export interface ListenOptions {
  /** Default `127.0.0.1`. */
  readonly host?: string | undefined
  /** 0, the default: any that is free. */
  readonly port?: number | undefined
  /** PEM. Without it the server speaks plain http. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined
}

/** A local Azure Storage: both faces, blob and dfs, on every address it listens on. */
export interface StorageServer {
  /** Starts listening; may be called again for another address. Returns the base URL, without slash. */
  listen(options?: ListenOptions): Promise<string>
  /** Stops listening and ends all connections. */
  close(): Promise<void>
}

// Longer than any client keeps an idle connection, so that it is never the server that closes one
// while a request is on its way.
const keepAliveMs = 10 * 60 * 1000

const serverOptions = {
  // Room for 8 KiB of metadata that is too large by Azure's measure, and for long tokens.
  maxHeaderSize: 128 * 1024,
  // Uploads on slow links, as faults make them, take their time.
  requestTimeout: 0,
  headersTimeout: 60_000,
  keepAliveTimeout: keepAliveMs,
  noDelay: true,
  highWaterMark: 1024 * 1024,
}

/** Makes a storage server that does not listen yet. */
export function createStorageServer(options: StorageServerOptions): StorageServer {
  return new LoopbackStorageServer(options)
}

class LoopbackStorageServer implements StorageServer {
  readonly #options: StorageServerOptions
  readonly #servers = new Set<Server>()
  readonly #sockets = new Set<Socket>()

  constructor(options: StorageServerOptions) {
    this.#options = options
  }

  async listen({ host = '127.0.0.1', port = 0, tls }: ListenOptions = {}): Promise<string> {
    const { clock = systemClock, hooks, accounts, access } = this.#options
    const parts = { accounts, access, hooks, clock, newRequestId: randomUUID }
    const answer = (request: IncomingMessage, response: ServerResponse) =>
      void serve(parts, request, response)
    const server =
      tls === undefined
        ? createServer(serverOptions, answer)
        : createSecureServer({ ...serverOptions, ...tls }, answer)
    server.on('clientError', refuseMalformed)
    server.on(tls === undefined ? 'connection' : 'secureConnection', (socket) => this.#keep(socket))
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host, port }, () => resolve())
    })
    this.#servers.add(server)
    return urlOf(tls === undefined ? 'http' : 'https', server.address())
  }

  async close(): Promise<void> {
    const closing = [...this.#servers].map(
      (server) => new Promise<void>((resolve) => server.close(() => resolve())),
    )
    this.#servers.clear()
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(closing)
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
  }
}

/** What is no HTTP gets an answer before the connection ends. */
function refuseMalformed(
  error: NodeJS.ErrnoException,
  socket: { writable: boolean; end(text: string): unknown; destroy(): unknown },
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy()
  else socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
}

function urlOf(scheme: 'http' | 'https', address: AddressInfo | string | null): string {
  if (address === null || typeof address === 'string') throw new TypeError('host: no address')
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `${scheme}://${host}:${address.port}`
}
