import { createServer } from 'node:https'
import { type FastifyInstance, fastify } from 'fastify'
import type { CertificateAndKey } from './certificate-authority.ts'

/** A server that listens on 127.0.0.1. */
export interface LoopbackServer {
  /** Scheme, address and port; the path is `/`. */
  readonly url: URL
  /** Stops listening and ends open connections. */
  close(): Promise<void>
}

// Clients differ in the case and in the slashes of these paths.
const routerOptions = {
  caseSensitive: false,
  ignoreDuplicateSlashes: true,
  ignoreTrailingSlash: true,
}

/** Makes a server with no routes: https with a certificate, plain http without. */
export function createLoopbackServer(certificate?: CertificateAndKey): FastifyInstance {
  if (certificate === undefined) return fastify({ routerOptions, forceCloseConnections: true })
  const { certificatePem: cert, privateKeyPem: key } = certificate
  return fastify({
    routerOptions,
    forceCloseConnections: true,
    serverFactory: (handler) => createServer({ cert, key }, handler),
  })
}

/** Listens on a port that the system picks. */
export async function listenOnLoopback(
  server: FastifyInstance,
  scheme: 'http' | 'https',
): Promise<LoopbackServer> {
  const address = await server.listen({ host: '127.0.0.1', port: 0 })
  const { port } = new URL(address)
  return { url: new URL(`${scheme}://127.0.0.1:${port}/`), close: () => server.close() }
}
