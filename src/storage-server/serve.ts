import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../clock.ts'
import { faultChannel } from '../telemetry.ts'
import type { Exchange, ServerHooks } from './control/hooks.ts'
import { runRequest, type ServerParts } from './run-verb.ts'
import { findVerb } from './verbs.ts'
import type { StorageAnswer } from './wire/answer.ts'
import { httpDate } from './wire/http-date.ts'
import { parseRequest } from './wire/parse-request.ts'
import { documentMaxBytes, readBody } from './wire/read-body.ts'
import { refusal } from './wire/refusals.ts'
import type { StorageRequest } from './wire/request.ts'
import { StorageError } from './wire/storage-error.ts'
import { writeAnswer } from './wire/write-answer.ts'
import { errorAnswer } from './wire/write-error.ts'

/** What the frame around verbs works with. */
export interface ServeParts extends ServerParts {
  readonly hooks?: ServerHooks | undefined
  readonly clock: Clock
  readonly newRequestId: () => string
}

interface Call {
  readonly parts: ServeParts
  readonly message: IncomingMessage
  readonly response: ServerResponse
  readonly requestId: string
}

/**
 * Answers one request: parse, hooks, access, verb, answer. Never rejects: what is no refusal
 * becomes 500 `InternalError` and is published on `abfs:fault`.
 */
export async function serve(
  parts: ServeParts,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const call: Call = { parts, message, response, requestId: parts.newRequestId() }
  // A connection that the client ends shows as the end of the write or of the body.
  response.on('error', () => undefined)
  message.on('error', () => undefined)
  try {
    const request = understand(call)
    if (request !== undefined) await answerRequest(call, request)
  } catch (error) {
    report(call, error)
    response.destroy()
  }
}

/** `undefined` after an answer to a request that cannot be read. */
function understand(call: Call): StorageRequest | undefined {
  const { parts, message, requestId } = call
  try {
    return parseRequest(
      {
        method: message.method ?? 'GET',
        url: message.url ?? '/',
        rawHeaders: message.rawHeaders,
        secure: 'encrypted' in message.socket,
        remoteAddress: message.socket.remoteAddress ?? '',
        requestId,
        body: (maxBytes = documentMaxBytes) => readBody(message, maxBytes),
      },
      (name) => parts.accounts.has(name),
    )
  } catch (error) {
    void send(call, refused(call, 'blob', error))
    return undefined
  }
}

async function answerRequest(call: Call, request: StorageRequest): Promise<void> {
  const { hooks } = call.parts
  const verb = findVerb(request)
  if (hooks === undefined) {
    await send(call, await settle(call, request, () => runRequest(call.parts, request, verb)))
    return
  }
  const exchange = await hooks.begin(request, verb?.name ?? 'Unknown')
  const { instead } = exchange
  if (instead !== undefined && exchange.runsVerb === true) {
    await settle(call, request, () => runRequest(call.parts, request, verb))
  }
  if (instead?.kind === 'reset') {
    call.message.socket.destroy()
    exchange.end({ status: 0, bytesIn: bytesIn(call), bytesOut: 0 })
    return
  }
  const answer = await settle(call, request, async () => {
    if (instead?.kind === 'error') throw instead.error
    return instead?.answer ?? (await runRequest(call.parts, request, verb))
  })
  await sendWatched(call, answer, exchange)
}

async function sendWatched(call: Call, answer: StorageAnswer, exchange: Exchange): Promise<void> {
  let bytesOut = 0
  try {
    bytesOut = await send(call, answer, exchange)
  } finally {
    const errorCode = answer.headers?.['x-ms-error-code']
    exchange.end({ status: answer.status, errorCode, bytesIn: bytesIn(call), bytesOut })
  }
}

async function settle(
  call: Call,
  { face }: StorageRequest,
  run: () => Promise<StorageAnswer>,
): Promise<StorageAnswer> {
  try {
    return await run()
  } catch (error) {
    return refused(call, face, error)
  }
}

/** A refusal as it goes out; anything else is our bug, and the client is told no more than that. */
function refused(call: Call, face: 'blob' | 'dfs', error: unknown): StorageAnswer {
  const known = error instanceof StorageError
  if (!known) report(call, error)
  const refused = known ? error : refusal('InternalError')
  const { requestId, parts } = call
  return errorAnswer(refused, { face, requestId, nowMs: parts.clock.nowMs() })
}

async function send(call: Call, answer: StorageAnswer, exchange?: Exchange): Promise<number> {
  const { message, response } = call
  const head = message.method === 'HEAD'
  const frame = { headers: frameHeaders(call), head, filter: exchange?.body }
  try {
    return await writeAnswer(response, answer, frame)
  } catch (error) {
    if (response.headersSent || !isInvalidHeader(error)) throw error
    // A signature may put any text in the place of a header.
    const refusedHeader = refused(call, 'blob', refusal('InvalidInput', { cause: error }))
    return writeAnswer(response, refusedHeader, { ...frame, filter: undefined })
  }
}

function isInvalidHeader(error: unknown): boolean {
  return error instanceof TypeError && 'code' in error && error.code === 'ERR_INVALID_CHAR'
}

function frameHeaders({ parts, message, requestId }: Call): Record<string, string | undefined> {
  const version = message.headers['x-ms-version']
  const clientId = message.headers['x-ms-client-request-id']
  const isShown = typeof clientId === 'string' && clientId.length <= 1024
  return {
    server: 'Windows-Azure-Blob/1.0 abfs',
    'x-ms-request-id': requestId,
    date: httpDate(parts.clock.nowMs()),
    'x-ms-version': typeof version === 'string' ? version : undefined,
    'x-ms-client-request-id': isShown ? clientId : undefined,
  }
}

function bytesIn({ message }: Call): number {
  return Number(message.headers['content-length'] ?? 0)
}

function report({ message }: Call, cause: unknown): void {
  const error = cause instanceof Error ? cause : new Error('not an error', { cause })
  const path = (message.url ?? '').replace(/\?.*$/s, '')
  faultChannel.publish({ operation: `storage-server.${message.method}`, path, error })
}
