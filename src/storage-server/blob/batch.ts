import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { parseRequest } from '../wire/parse-request.ts'
import { documentMaxBytes } from '../wire/read-body.ts'
import { invalidHeader, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { StorageError } from '../wire/storage-error.ts'
import { errorAnswer } from '../wire/write-error.ts'

/** Blob Batch: up to 256 deletions or tier changes in one request, each authorised by itself. */
export const batchVerbs: readonly Verb[] = [
  {
    name: 'BlobBatch',
    matches: ({ method, path, query }) =>
      method === 'POST' && path === undefined && query.get('comp') === 'batch',
    needs: () => [],
    run: runBatch,
  },
]

interface Item {
  readonly contentId: string | undefined
  readonly request: StorageRequest
}

async function runBatch(context: VerbContext): Promise<StorageAnswer> {
  const { request } = context
  const body = await request.body(documentMaxBytes)
  const parts = splitParts(Buffer.from(body).toString('utf8'), boundaryOf(request))
  if (parts.length === 0) throw refusal('InvalidInput')
  if (parts.length > maxItems) throw refusal('ExceedsMaxBatchRequestCount')
  const items = parts.map((part) => readItem(part, request))
  assertSameVerb(items)
  const boundary = `batchresponse_${randomUUID()}`
  const answers: string[] = []
  for (const item of items) answers.push(await runItem(context, item))
  return {
    status: 202,
    headers: { 'content-type': `multipart/mixed; boundary=${boundary}` },
    body: `${answers.map((answer) => `--${boundary}\r\n${answer}`).join('')}--${boundary}--\r\n`,
  }
}

/** An item that fails says so in its own part; the others go on. */
async function runItem(context: VerbContext, { contentId, request }: Item): Promise<string> {
  const answer = await settle(context, request)
  const { status, headers = {}, body = '' } = answer
  if (typeof body !== 'string') throw new TypeError('body: a batch has no verbs that send content')
  const sent = {
    ...headers,
    'x-ms-request-id': request.requestId,
    'x-ms-version': request.version,
    'x-ms-client-request-id': request.headers['x-ms-client-request-id'],
    'content-length': body === '' ? undefined : String(Buffer.byteLength(body)),
  }
  return [
    'Content-Type: application/http\r\n',
    contentId === undefined ? '' : `Content-ID: ${contentId}\r\n`,
    `\r\nHTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`,
    ...Object.entries(sent).map(([name, value]) =>
      value === undefined ? '' : `${name}: ${value}\r\n`,
    ),
    `\r\n${body}${body === '' ? '' : '\r\n'}`,
  ].join('')
}

async function settle(context: VerbContext, request: StorageRequest): Promise<StorageAnswer> {
  try {
    assertInScope(context.request, request)
    return await context.dispatch(request)
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    const { requestId } = request
    return errorAnswer(error, { face: 'blob', requestId, nowMs: context.account.nowMs() })
  }
}

/** A batch reaches one account; one that names a container reaches that alone. */
function assertInScope(batch: StorageRequest, item: StorageRequest): void {
  const outside = batch.container !== undefined && batch.container !== item.container
  if (item.account !== batch.account || outside) throw refusal('InvalidInput')
}

function assertSameVerb(items: readonly Item[]): void {
  const verbs = new Set(items.map(({ request }) => verbOf(request)))
  if (verbs.size > 1) throw refusal('AllSubRequestsMustBeSameVerb')
}

function verbOf({ method, path, query }: StorageRequest): 'delete' | 'tier' {
  if (path !== undefined && method === 'DELETE' && !query.has('comp')) return 'delete'
  if (path !== undefined && method === 'PUT' && query.get('comp') === 'tier') return 'tier'
  throw refusal('InvalidInput')
}

function readItem(part: string, batch: StorageRequest): Item {
  const [head = '', inner = ''] = splitOnce(part, '\r\n\r\n')
  const partHeaders = new Map(headerPairs(head.split('\r\n')))
  if (partHeaders.get('content-type')?.toLowerCase() !== 'application/http') {
    throw refusal('InvalidInput')
  }
  const [line = '', ...headerLines] = splitOnce(inner, '\r\n\r\n')[0]?.split('\r\n') ?? []
  const [method = '', target = '', protocol = ''] = line.split(' ')
  if (!protocol.startsWith('HTTP/') || !target.startsWith('/')) throw refusal('InvalidInput')
  const host = batch.headers['host'] ?? ''
  const raw = [...headerPairs(headerLines).filter(([name]) => name !== 'host'), ['host', host]]
  const request = parseRequest(
    {
      method,
      url: target,
      rawHeaders: raw.flat(),
      secure: batch.secure,
      remoteAddress: batch.remoteAddress,
      requestId: randomUUID(),
      body: async () => new Uint8Array(0),
    },
    () => true,
  )
  // Items carry no version of their own.
  return {
    contentId: partHeaders.get('content-id'),
    request: { ...request, version: batch.version },
  }
}

function headerPairs(lines: readonly string[]): readonly (readonly [string, string])[] {
  return lines.flatMap((line) => {
    const colon = line.indexOf(':')
    if (colon < 1) return []
    return [[line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()] as const]
  })
}

function splitParts(body: string, boundary: string): readonly string[] {
  const text = body.replace(/\r?\n/gu, '\r\n')
  const [, ...parts] = `\r\n${text}`.split(`\r\n--${boundary}`)
  const end = parts.findIndex((part) => part.startsWith('--'))
  if (end < 0) throw refusal('InvalidInput')
  return parts.slice(0, end).map((part) => part.replace(/^\s*\r\n/u, ''))
}

function splitOnce(text: string, separator: string): readonly string[] {
  const at = text.indexOf(separator)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + separator.length)]
}

function boundaryOf({ headers }: StorageRequest): string {
  const type = headers['content-type'] ?? ''
  const boundary = /^multipart\/mixed\s*;\s*boundary="?([^";]{1,70})"?/iu.exec(type)?.[1]
  if (boundary === undefined) throw invalidHeader('content-type', type)
  return boundary
}

const maxItems = 256
