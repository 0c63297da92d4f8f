import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { ZodError, z } from 'zod'
import { clockBody, faultsBody, linkBody, revokedBody, rolesBody } from './control-schema.ts'
import type { ServerControl } from './server-control.ts'

/*
 * A server's control over HTTP on loopback: JSON in and out, `Authorization: Bearer` with a secret
 * that is made at each start. GET shows, PUT replaces, DELETE empties.
 */

/** A running control port. */
export interface ControlPort {
  /** `http://127.0.0.1:PORT/`. */
  readonly url: URL
  /** What callers send as their bearer. */
  readonly secret: string
  /** Stops listening and ends open connections. Never throws. */
  close(): Promise<void>
}

interface Answer {
  readonly status: number
  readonly body: unknown
}

type Route = (control: ServerControl, body: unknown, query: URLSearchParams) => unknown

const host = '127.0.0.1'
const secretBytes = 32
const maxBodyBytes = 1024 * 1024

const routes: Readonly<Record<string, Route>> = {
  'GET /faults': ({ faults }) => ({ faults: faults.active }),
  'PUT /faults': (control, body) => ({
    faults: control.replaceFaults(faultsBody.parse(body).faults),
  }),
  'DELETE /faults': (control) => ({ faults: control.replaceFaults([]) }),
  'GET /ledger': ({ ledger }, _body, query) => ({
    entries: ledger.entries({
      verb: query.get('verb') ?? undefined,
      account: query.get('account') ?? undefined,
      clientRequestId: query.get('clientRequestId') ?? undefined,
    }),
    counters: ledger.counters(),
  }),
  'DELETE /ledger': ({ ledger }) => {
    ledger.clear()
    return {}
  },
  'GET /clock': ({ clock }) => ({ skewMs: clock.skewMs, nowMs: clock.nowMs() }),
  'PUT /clock': ({ clock }, body) => {
    clock.skewMs = clockBody.parse(body).skewMs
    return { skewMs: clock.skewMs, nowMs: clock.nowMs() }
  },
  'GET /latency': ({ link }) => link,
  'PUT /latency': (control, body) => {
    control.link = linkBody.parse(body)
    return control.link
  },
  'GET /revoked': ({ revocations }) => ({ tokens: revocations.list }),
  'PUT /revoked': ({ revocations, delegationKeys }, body) => {
    const { tokens, delegationKeysOf = [] } = revokedBody.parse(body)
    if (tokens !== undefined) revocations.replace(tokens)
    for (const account of delegationKeysOf) delegationKeys.revokeAll(account)
    return { tokens: revocations.list }
  },
  'DELETE /revoked': ({ revocations }) => {
    revocations.replace([])
    return { tokens: [] }
  },
  'GET /roles': ({ roles }) => ({ assignments: roles.assignments }),
  'PUT /roles': ({ roles }, body) => {
    roles.replace(rolesBody.parse(body).assignments)
    return { assignments: roles.assignments }
  },
}

/** Starts a control port; 0 is any that is free. */
export async function startControlPort(control: ServerControl, port = 0): Promise<ControlPort> {
  const secret = randomBytes(secretBytes).toString('base64url')
  const server = createServer((message, response) => void serve(control, secret, message, response))
  server.listen({ host, port })
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('expected a TCP address')
  return {
    url: new URL(`http://${host}:${address.port}/`),
    secret,
    close: async () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

async function serve(
  control: ServerControl,
  secret: string,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { status, body } = await answer(control, secret, message)
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(JSON.stringify(body))
}

async function answer(
  control: ServerControl,
  secret: string,
  message: IncomingMessage,
): Promise<Answer> {
  if (!isSame(message.headers.authorization ?? '', `Bearer ${secret}`)) {
    return { status: 401, body: { error: 'expected Authorization: Bearer with the port’s secret' } }
  }
  const { pathname, searchParams } = new URL(message.url ?? '/', 'http://control')
  const route = routes[`${message.method} ${pathname}`]
  if (route === undefined) {
    return { status: 404, body: { error: `expected one of ${Object.keys(routes).join(', ')}` } }
  }
  try {
    return { status: 200, body: route(control, await readJson(message), searchParams) }
  } catch (error) {
    return { status: 400, body: { error: reasonOf(error) } }
  }
}

async function readJson(message: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of message) {
    bytes += chunk.byteLength
    if (bytes > maxBodyBytes) throw new RangeError(`the body is longer than ${maxBodyBytes} bytes`)
    chunks.push(chunk)
  }
  return bytes === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString())
}

function reasonOf(error: unknown): string {
  if (error instanceof ZodError) return z.prettifyError(error)
  return error instanceof Error ? error.message : String(error)
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [one, other].map((text) => createHash('sha256').update(text).digest())
  return a !== undefined && b !== undefined && timingSafeEqual(a, b)
}
