/**
 * The agent's listener, on this machine's own address alone. One request passes, in this order: its
 * headers show that neither a web page nor a proxy sent it; its path finds a protocol; the protocol
 * checks its secret and reads which audience is wanted; the audience must be one that the agent was
 * started for; the token comes from memory, or from the connector.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Clock } from '../clock.ts'
import { FileSystemError } from '../errors.ts'
import { type AgentEvent, agentChannel } from '../telemetry.ts'
import type { Audiences } from './audience.ts'
import { guardRequest } from './guard.ts'
import { canTellPeers } from './peer-owner.ts'
import { invalid, type Protocol, refusalFields, type TokenAsk } from './protocol.ts'
import { Refusal, refusalOf } from './refusal.ts'
import {
  type AgentSecrets,
  createRouter,
  type ProtocolOptions,
  type Router,
  splitTarget,
} from './routes.ts'
import { TokenSource, type TokenTarget } from './token-source.ts'

/** What an agent runs with. */
export interface AgentOptions extends ProtocolOptions {
  readonly audiences: Audiences
  readonly clock: Clock
  /**
   * Ids of managed identities that clients may name: programs that name theirs get the agent's
   * instead. A request that names another is refused.
   */
  readonly identities?: readonly string[] | undefined
}

/** An agent that listens. */
export interface Agent {
  /** `http://127.0.0.1:PORT/`. */
  readonly url: URL
  /** What its clients need; conceals itself from those who print the agent. */
  readonly secrets: AgentSecrets
  /** Stops listening and ends every connection; requests that wait are refused. Never throws. */
  close(): Promise<void>
}

const secretBytes = 32
/** A form has one field that matters. */
const maxFormBytes = 4096
const limits = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 30_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 8192,
}
const maxConnections = 512

/** Starts an agent. Rejects with `ENOTSUP` when `openImds` cannot be guarded on this system. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  if (options.openImds === true && !(await canTellPeers())) {
    throw new FileSystemError('ENOTSUP', 'agent.start', {
      detail:
        'IMDS without a secret needs Linux, where the user of a connection can be told: leave it off',
    })
  }
  const secrets: AgentSecrets = {
    header: randomBytes(secretBytes).toString('hex'),
    path: randomBytes(secretBytes).toString('hex'),
  }
  const ending = new AbortController()
  const desk: Desk = {
    ...options,
    route: createRouter(secrets, options),
    tokens: new TokenSource(options.clock),
    signal: ending.signal,
  }
  const server = createServer(limits, (request, response) => void serve(desk, request, response))
  server.maxConnections = maxConnections
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const agent = { url: new URL(`http://127.0.0.1:${portOf(server)}/`), secrets }
  // Not enumerable: what prints or serialises the agent shows where it is, and no more.
  Object.defineProperty(agent, 'secrets', { enumerable: false })
  return Object.assign(agent, { close: () => end(server, ending) })
}

interface Desk extends AgentOptions {
  readonly route: Router
  readonly tokens: TokenSource
  /** Aborted when the agent ends. */
  readonly signal: AbortSignal
}

/** How far a request came: what the answer's form and the log need. */
interface Progress {
  protocol?: Protocol
  ask?: TokenAsk
}

async function serve(
  desk: Desk,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const beganMs = performance.now()
  const progress: Progress = {}
  let refusal: Refusal | undefined
  try {
    send(response, 200, await answer(desk, request, progress))
  } catch (error) {
    refusal = refusalOf(error)
    const { protocol } = progress
    const body = protocol?.formatRefusal(refusal) ?? refusalFields(refusal)
    // A request that was not understood says nothing of where the next one begins.
    const headers = protocol === undefined ? { connection: 'close' } : {}
    send(response, refusal.status, body, { ...refusal.headers, ...headers })
  }
  publish({ progress, refusal, durationMs: performance.now() - beganMs })
}

async function answer(desk: Desk, request: IncomingMessage, progress: Progress): Promise<object> {
  guardRequest(request, request.socket.localPort ?? 0)
  const { method = '', headers, socket, url = '' } = request
  const { path, query } = splitTarget(url)
  const hasMetadata = headers['metadata'] !== undefined
  const protocol = await desk.route({ method, path, query, hasMetadata, socket })
  progress.protocol = protocol
  const fields = method === 'POST' ? await readForm(request) : query
  const ask = protocol.read({ headers, fields })
  progress.ask = ask
  checkIdentity(ask, desk)
  const token = await desk.tokens.get(targetOf(ask, desk), desk.signal)
  return protocol.format(ask, token, desk.clock.nowMs())
}

/** An agent has one identity. To give it to a client that names another would deceive it. */
function checkIdentity({ identity }: TokenAsk, { identities = [] }: Desk): void {
  if (identity === undefined || identities.includes(identity)) return
  throw invalid(
    'Identity not found: the agent has one identity; name none, or start the agent with --identity and this id',
  )
}

function targetOf({ resource }: TokenAsk, { audiences }: Desk): TokenTarget {
  const target = audiences.get(resource)
  if (target !== undefined) return target
  throw new Refusal(403, 'audience_not_allowed', {
    message: `the agent was not started for tokens of '${printable(resource)}': it gives them for ${[...audiences.keys()].filter((name) => !name.endsWith('/')).join(', ')}`,
  })
}

function printable(text: string): string {
  return text.slice(0, 200).replaceAll(/[^\x20-\x7e]/g, '?')
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const pieces: Buffer[] = []
  let sizeBytes = 0
  for await (const piece of request as AsyncIterable<Buffer>) {
    sizeBytes += piece.length
    if (sizeBytes > maxFormBytes) {
      const message = `a form has ${maxFormBytes} bytes at most`
      throw new Refusal(413, 'invalid_request', { message, headers: { connection: 'close' } })
    }
    pieces.push(piece)
  }
  return new URLSearchParams(Buffer.concat(pieces).toString('utf8'))
}

function send(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  })
  response.end(text)
}

interface Served {
  readonly progress: Progress
  readonly refusal: Refusal | undefined
  readonly durationMs: number
}

function publish({ progress, refusal, durationMs }: Served): void {
  if (!agentChannel.hasSubscribers) return
  const event: AgentEvent = {
    protocol: progress.protocol?.name,
    // Before the secret was checked, what is asked for is anybody's text.
    resource: progress.ask === undefined ? undefined : printable(progress.ask.resource),
    status: refusal?.status ?? 200,
    refusal: refusal?.word,
    correlationId: refusal?.correlationId,
    cause: refusal?.cause,
    durationMs,
  }
  agentChannel.publish(event)
}

function portOf(server: Server): number {
  const address = server.address()
  if (typeof address === 'object' && address !== null) return address.port
  throw new FileSystemError('EIO', 'agent.start', { detail: 'the agent does not listen' })
}

async function end(server: Server, ending: AbortController): Promise<void> {
  if (!server.listening) return
  const closed = once(server, 'close')
  server.close()
  ending.abort(
    new Refusal(503, 'temporarily_unavailable', {
      message: 'the agent is ending',
      headers: { connection: 'close' },
    }),
  )
  // One turn for the refusals to leave; then whoever still holds a connection loses it.
  await new Promise((resolve) => setImmediate(resolve))
  server.closeAllConnections()
  await closed
}
