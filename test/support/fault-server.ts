import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import type { ServerCertificate } from './server-certificate.ts'

/** What the server does with one request. */
export type Step = (request: IncomingMessage, response: ServerResponse) => void

/** What the server saw of one request. */
export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** A loopback server that answers by a script and keeps what it was asked. */
export interface FaultServer {
  readonly url: URL
  readonly seen: readonly SeenRequest[]
  /** Connections accepted. */
  readonly connections: () => number
}

/** Answers the n-th request with the n-th step, and the last step from then on. */
export function startFaultServer(t: Test, ...steps: readonly Step[]): Promise<FaultServer> {
  return startOn(t, undefined, steps)
}

/** The same over TLS; over plain TCP when there is no certificate. */
export async function startOn(
  t: Test,
  certificate: ServerCertificate | undefined,
  steps: readonly Step[],
): Promise<FaultServer> {
  const seen: SeenRequest[] = []
  let connections = 0
  const listener: Step = (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url = '', headers } = request
      seen.push({ method, url, headers, body: Buffer.concat(chunks).toString() })
      const step = steps[Math.min(seen.length, steps.length) - 1]
      step?.(request, response)
    })
  }
  const server =
    certificate === undefined ? createServer(listener) : createSecureServer(certificate, listener)
  server.on('connection', () => connections++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const scheme = certificate === undefined ? 'http' : 'https'
  return { url: new URL(`${scheme}://127.0.0.1:${port}/`), seen, connections: () => connections }
}

/** An answer with status, body and headers. */
export function answer(status: number, body = '', headers: Record<string, string> = {}): Step {
  return (_request, response) => {
    response.writeHead(status, headers)
    response.end(body)
  }
}

/** An error as the blob service tells it. */
export function azureError(status: number, code: string): Step {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`
  return answer(status, body, { 'x-ms-error-code': code, 'x-ms-request-id': 'request-1' })
}

/** Announces more bytes than it sends, then breaks the connection. */
export function truncated(announcedBytes: number, body: string): Step {
  return (_request, response) => {
    response.writeHead(200, { 'content-length': announcedBytes })
    response.write(body, () => response.destroy())
  }
}

/** Breaks the connection without an answer. */
export const hangUp: Step = (request) => {
  request.socket.destroy()
}

/** Never answers. */
export const silence: Step = () => {}

/** Sends headers and a first byte, and then nothing. */
export const stall: Step = (_request, response) => {
  response.writeHead(200, { 'content-length': 10 })
  response.write('x')
}
