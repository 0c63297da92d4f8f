import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname } from 'node:path'
import { FileSystemError } from '../../errors.ts'
import { makeDirectoriesSync } from '../../make-directories.ts'
import type { DriveReport } from './drive-report.ts'
import { formatMetrics } from './metrics.ts'

/** Linux refuses longer socket names. */
const maxSocketBytes = 107

/** What a daemon does for who may open its socket. */
export interface ControlOptions {
  readonly report: () => DriveReport
  /** Gets ready for another process to take over. The result ends this one. Absent where none does. */
  readonly handOver?: (() => Promise<() => void>) | undefined
}

/**
 * Serves reports as HTTP on a socket file that this user alone may open. `GET /end` is answered by what
 * is returned, which closes: with the last report there is. Throws EINVAL for a name that is too long
 * for a socket.
 */
export async function serveControl(
  socket: string,
  { report, handOver }: ControlOptions,
): Promise<() => Promise<void>> {
  if (Buffer.byteLength(socket) > maxSocketBytes) {
    const detail = `a socket's name has at most ${maxSocketBytes} bytes: set XDG_RUNTIME_DIR to a shorter directory`
    throw new FileSystemError('EINVAL', 'config', { path: socket, detail })
  }
  makeDirectoriesSync(dirname(socket), 0o755)
  rmSync(socket, { force: true })
  const waiting = new Set<ServerResponse>()
  const server = createServer((request, response) => {
    if (request.method === 'GET' && request.url === '/end') return keep(waiting, response)
    if (request.method === 'POST' && request.url === '/hand-over') {
      return void answerHandOver(handOver, response)
    }
    answer(report, request, response)
  })
  // The socket appears within `listen`, closed to others from the beginning.
  const umask = process.umask(0o177)
  try {
    server.listen(socket)
  } finally {
    process.umask(umask)
  }
  await once(server, 'listening')
  server.unref()
  return async () => {
    await tellEnd(waiting, report())
    await close(server)
  }
}

/** Who asks hears of it before the process ends. */
async function answerHandOver(
  handOver: ControlOptions['handOver'],
  response: ServerResponse,
): Promise<void> {
  try {
    const leave = await handOver?.()
    if (leave === undefined) return send(response, 409, { error: 'mounted without --failover' })
    response.once('close', leave)
    send(response, 200, {})
  } catch (error) {
    send(response, 500, { error: error instanceof Error ? error.message : String(error) })
  }
}

/** Its head goes out at once: who asks knows that it will hear of the end. */
function keep(waiting: Set<ServerResponse>, response: ServerResponse): void {
  waiting.add(response)
  response.once('close', () => waiting.delete(response))
  response.writeHead(200, { 'content-type': 'application/json' })
  response.flushHeaders()
}

async function tellEnd(waiting: ReadonlySet<ServerResponse>, report: DriveReport): Promise<void> {
  const body = JSON.stringify(report)
  const told = [...waiting].map(async (response) => {
    const closed = once(response, 'close')
    response.end(body)
    await closed
  })
  await Promise.all(told)
}

/** Serves `/metrics` and `/health` alone at `host:port`; port 0 takes a free one. */
export async function serveMetrics(
  address: { readonly host: string; readonly port: number },
  reports: () => readonly DriveReport[],
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = createServer((request, response) => answerScrape(reports, request, response))
  server.listen(address.port, address.host)
  await once(server, 'listening')
  server.unref()
  const { port } = server.address() as AddressInfo
  return { port, close: () => close(server) }
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections()
  await new Promise<void>((resolve) => server.close(() => resolve()))
}

function answerScrape(
  reports: () => readonly DriveReport[],
  { method, url }: IncomingMessage,
  response: ServerResponse,
): void {
  if (method === 'GET' && url === '/metrics') sendMetrics(response, reports())
  else if (method === 'GET' && url === '/health') sendHealth(response, reports())
  else send(response, 404, { error: 'there are GET /metrics and GET /health' })
}

function answer(
  report: () => DriveReport,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  if (request.method === 'GET' && request.url === '/report') send(response, 200, report())
  else answerScrape(() => [report()], request, response)
}

function sendMetrics(response: ServerResponse, reports: readonly DriveReport[]): void {
  response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' })
  response.end(formatMetrics(reports))
}

/** A drive that holds what it could not store wants a person. */
function sendHealth(response: ServerResponse, reports: readonly DriveReport[]): void {
  const state = unsavedState(reports)
  send(response, state.unsavedFiles === 0 ? 200 : 503, state)
}

/** What `/health` says. */
export function unsavedState(reports: readonly DriveReport[]): {
  readonly serving: true
  readonly unsavedFiles: number
  /** Why the change feed cannot be read, where it is to be. */
  readonly changeFeedFailing?: string | undefined
} {
  return {
    serving: true,
    unsavedFiles: reports.reduce((sum, each) => sum + each.unsaved.length, 0),
    changeFeedFailing: reports.find((each) => each.changeFeed?.failing)?.changeFeed?.failing,
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}
