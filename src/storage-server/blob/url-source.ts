import type { Content } from '../model/extent.ts'
import { assertLease } from '../model/lease.ts'
import type { BlobRecord, ContentHeaders, TierState } from '../model/record.ts'
import type { VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { md5 } from '../wire/checksums.ts'
import { checkSource, readConditions } from '../wire/conditions.ts'
import { crc64Header, md5Header } from '../wire/content-headers.ts'
import { crc64 } from '../wire/crc64.ts'
import { requireHeader } from '../wire/metadata.ts'
import { parseRequest } from '../wire/parse-request.ts'
import { readRange, satisfyRange } from '../wire/range.ts'
import { invalidHeader, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { StorageError } from '../wire/storage-error.ts'
import { sourceKeyHeaders, sourceKeyOf } from './encryption.ts'
import { namedRecord, needOnPath, subjectOf } from './target.ts'
import { inferredTier } from './tier-header.ts'

/** The blob that `x-ms-copy-source` names, once the caller may read it. */
export interface Source {
  /** Without its query: that may hold a signature. */
  readonly url: string
  readonly blobType: BlobRecord['blobType']
  readonly content: Content
  readonly headers: ContentHeaders
  readonly metadata: Readonly<Record<string, string>>
  readonly tier: TierState
  /** The record itself, when it is of the same account. */
  readonly record?: BlobRecord | undefined
}

/** How a source is authorised. */
export interface SourceAccess {
  /**
   * `account`: whoever may write the destination with the account's key or a token may read blobs
   * of the same account with it, as Copy Blob has it. `url`: only a signature in the URL,
   * `x-ms-copy-source-authorization` or public access count.
   */
  readonly by: 'account' | 'url'
}

/**
 * Opens the source of a copy on this server: authorises the caller on it and checks
 * `x-ms-source-if-…` (412 `SourceConditionNotMet`) and `x-ms-source-lease-id`. What cannot be read
 * is `CannotVerifyCopySource` with the status of the refusal.
 */
export async function openSource(context: VerbContext, access: SourceAccess): Promise<Source> {
  const { account } = context
  const url = sourceUrl(context.request)
  const request = sourceRequest(context.request, url)
  const shown = `${url.origin}${url.pathname}`
  if (request.account !== account.settings.name) return foreignSource(context, request, shown)
  await authorizeSource(context, request, access)
  const { record, state, isCurrent } = verified(() => namedRecord(sourceContext(context, request)))
  if (record.encryption?.keySha256 !== sourceKeyOf(context.request)) throw sealedSource()
  checkSource(readConditions(context.request, 'x-ms-source-'), subjectOf(record))
  if (isCurrent) {
    const header = 'x-ms-source-lease-id'
    assertLease(state, context.request, { use: 'read', nowMs: account.nowMs(), header })
  }
  const { blobType, content, headers, metadata, tier } = record
  return { url: shown, blobType, content, headers, metadata, tier, record }
}

/**
 * The bytes that `x-ms-source-range` names of a source, checked against `x-ms-source-content-md5`
 * and `-crc64`; with the headers that confirm the check.
 */
export async function readSourceBytes(
  context: VerbContext,
  maxBytes: number,
): Promise<{ readonly data: Uint8Array; readonly checked: StorageAnswer['headers'] }> {
  const { headers } = context.request
  const { content, tier } = await openSource(context, { by: 'url' })
  if (tier.name === 'Archive') throw refusal('BlobArchived')
  const { 'x-ms-source-range': text } = headers
  const asked = text === undefined ? undefined : readRange({ 'x-ms-range': text })
  const whole = { start: 0, end: content.sizeBytes }
  const { start, end } = asked === undefined ? whole : satisfyRange(asked, content.sizeBytes)
  if (end - start > maxBytes) throw refusal('RequestBodyTooLarge')
  const data = await readContent(content, start, end)
  const wantedMd5 = md5Header(headers, 'x-ms-source-content-md5')
  const wantedCrc = crc64Header(headers, 'x-ms-source-content-crc64')
  if (wantedMd5 !== undefined && wantedMd5 !== md5(data)) throw refusal('Md5Mismatch')
  if (wantedCrc !== undefined && wantedCrc !== crc64(data)) throw refusal('Crc64Mismatch')
  return { data, checked: { 'content-md5': md5(data), 'x-ms-content-crc64': wantedCrc } }
}

/** The bytes of `[start, end)` in one piece. */
export async function readContent(
  { extents }: Content,
  start: number,
  end: number,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let at = 0
  for (const extent of extents) {
    const [from, to] = [Math.max(start - at, 0), Math.min(end - at, extent.sizeBytes)]
    if (from < to) pieces.push(await extent.read(from, to))
    at += extent.sizeBytes
  }
  return Buffer.concat(pieces)
}

function sourceUrl(request: StorageRequest): URL {
  const text = requireHeader(request, 'x-ms-copy-source')
  try {
    return new URL(text)
  } catch (cause) {
    throw invalidHeader('x-ms-copy-source', withoutQuery(text), { cause })
  }
}

function sourceRequest(request: StorageRequest, url: URL): StorageRequest {
  if (!isHere(url, request)) throw cannotVerify(404)
  const authorization = request.headers['x-ms-copy-source-authorization']
  const credentials = authorization === undefined ? [] : ['authorization', authorization]
  return parseRequest(
    {
      method: 'HEAD',
      url: `${url.pathname}${url.search}`,
      rawHeaders: [
        ...['host', url.host, 'x-ms-version', request.version],
        ...credentials,
        ...sourceKeyHeaders(request),
      ],
      secure: url.protocol === 'https:',
      remoteAddress: request.remoteAddress,
      requestId: request.requestId,
      body: async () => new Uint8Array(0),
    },
    () => true,
  )
}

/** The server's own addresses; no request leaves it. */
function isHere(url: URL, { headers }: StorageRequest): boolean {
  const host = headers['host']?.toLowerCase() ?? ''
  if (url.host === host) return true
  return /^(?:127\.[\d.]+|\[::1\]|localhost|[^.]+\.(?:blob|dfs)\..+)$/u.test(url.hostname)
}

async function authorizeSource(
  context: VerbContext,
  request: StorageRequest,
  { by }: SourceAccess,
): Promise<void> {
  const signed = request.query.has('sig') || request.headers['authorization'] !== undefined
  const { kind } = context.caller
  const reusable = by === 'account' && (kind === 'sharedKey' || kind === 'bearer')
  const ownRight = reusable && !signed && mayRead(context, request)
  if (!ownRight) await verifiedAsync(() => context.dispatch(request))
}

function mayRead({ authorize }: VerbContext, request: StorageRequest): boolean {
  try {
    authorize(needOnPath(request, 'read'))
    return true
  } catch (error) {
    // Not with this credential; the blob may still be public.
    if (error instanceof StorageError) return false
    throw error
  }
}

/** A blob of another account, as its own answer to a read describes it. */
async function foreignSource(
  context: VerbContext,
  request: StorageRequest,
  url: string,
): Promise<Source> {
  const { headers = {}, body } = await verifiedAsync(() =>
    context.dispatch({ ...request, method: 'GET' }),
  )
  const content = typeof body === 'object' && 'content' in body ? body.content : undefined
  checkSource(readConditions(context.request, 'x-ms-source-'), {
    etag: headers['etag'] ?? '',
    lastModifiedMs: Date.parse(headers['last-modified'] ?? ''),
  })
  return {
    url,
    blobType: blobTypeOf(headers['x-ms-blob-type']),
    content: content ?? { sizeBytes: 0, extents: [] },
    headers: contentHeadersOf(headers),
    metadata: metadataOf(headers),
    tier: inferredTier,
  }
}

function contentHeadersOf(headers: NonNullable<StorageAnswer['headers']>): ContentHeaders {
  return {
    contentType: headers['content-type'],
    contentEncoding: headers['content-encoding'],
    contentLanguage: headers['content-language'],
    contentDisposition: headers['content-disposition'],
    cacheControl: headers['cache-control'],
    contentMd5: headers['content-md5'] ?? headers['x-ms-blob-content-md5'],
  }
}

function metadataOf(headers: NonNullable<StorageAnswer['headers']>): Record<string, string> {
  const pairs = Object.entries(headers).flatMap(([name, value]) =>
    name.startsWith('x-ms-meta-') && value !== undefined ? [[name.slice(10), value]] : [],
  )
  return Object.fromEntries(pairs)
}

function blobTypeOf(text: string | undefined): BlobRecord['blobType'] {
  return text === 'PageBlob' || text === 'AppendBlob' ? text : 'BlockBlob'
}

function sourceContext(context: VerbContext, request: StorageRequest): VerbContext {
  const container = () => {
    const found = context.account.container(request.container ?? '')
    if (found === undefined) throw refusal('ContainerNotFound')
    return found
  }
  return { ...context, request, container }
}

function verified<T>(find: () => T): T {
  try {
    return find()
  } catch (error) {
    throw asSourceError(error)
  }
}

async function verifiedAsync<T>(find: () => Promise<T>): Promise<T> {
  try {
    return await find()
  } catch (error) {
    throw asSourceError(error)
  }
}

function asSourceError(error: unknown): unknown {
  return error instanceof StorageError ? cannotVerify(error.status, error) : error
}

function cannotVerify(status: number, cause?: StorageError): StorageError {
  const message = cause?.message ?? 'The specified resource does not exist.'
  return new StorageError(status, 'CannotVerifyCopySource', message, { cause })
}

/** The service says so of what another key than the account's is needed for. */
function sealedSource(): StorageError {
  return cannotVerify(409, refusal('BlobUsesCustomerSpecifiedEncryption'))
}

function withoutQuery(url: string): string {
  return url.replace(/\?.*$/su, '')
}
