import { randomUUID } from 'node:crypto'
import type { ByteRange } from '../byte-range.ts'
import type { BlobPath } from '../path.ts'
import type {
  Conditions,
  ContentHeaders,
  FormerId,
  ListOptions,
  Metadata,
  PutOptions,
} from './store.ts'
import { maxListResults } from './validate.ts'

/**
 * The version of the service's REST API that every request names, the SDK's included. It has what
 * abfs uses (percent-encoded names in listings, blocks of 4,000 MiB), and the emulator knows it:
 * Azurite answers 400 to any version newer than itself.
 */
export const apiVersion = '2025-05-05'

/** The first version that lists from a name on. */
export const startFromVersion = '2026-02-06'

export type Headers = Record<string, string>

/** Headers of every request. */
export function baseHeaders(): Headers {
  return { 'x-ms-version': apiVersion, 'x-ms-client-request-id': nextRequestId() }
}

/** Drawn once, as one for each request takes longer than all other headers: the rest of an id is a count. */
let idsOfProcess: string | undefined
let requests = 0

/** In the form of a UUID. */
function nextRequestId(): string {
  idsOfProcess ??= randomUUID().slice(0, -12)
  requests += 1
  return idsOfProcess + requests.toString(16).padStart(12, '0')
}

/** The endpoint as a string to which `/container/name` is appended. */
export function endpointBase(endpoint: URL): string {
  return `${endpoint.origin}${endpoint.pathname.replace(/\/+$/, '')}`
}

/** The URL of a container or, when `path.name` is not empty, of a blob. */
export function resourceUrl(base: string, path: BlobPath, query = ''): URL {
  const name = path.name === '' ? '' : `/${encodeName(path.name)}`
  return new URL(`${base}/${encodeURIComponent(path.container)}${name}${query}`)
}

/** Percent-encodes everything but letters, digits, `-_.!~*'()` and the slashes between segments. */
export function encodeName(name: string): string {
  if (plainName.test(name)) return name
  return encodeURIComponent(name).replaceAll('%2F', '/')
}

const plainName = /^[A-Za-z0-9\-_./]*$/

/** Adds the headers of preconditions. */
export function addConditions(headers: Headers, conditions: Conditions): Headers {
  if (conditions.ifMatch !== undefined) headers['if-match'] = conditions.ifMatch
  if (conditions.ifNoneMatch !== undefined) headers['if-none-match'] = conditions.ifNoneMatch
  if (conditions.leaseId !== undefined) headers['x-ms-lease-id'] = conditions.leaseId
  return headers
}

/** Adds one `x-ms-meta-` header per entry; the entries were checked before. */
export function addMetadata(headers: Headers, metadata: Metadata | undefined): Headers {
  for (const key in metadata) headers[`x-ms-meta-${key}`] = metadata[key] ?? ''
  return headers
}

/** Headers that describe the blob that a put or a commit makes. */
export function blobHeaders(options: PutOptions): Headers {
  const headers = addMetadata(addConditions(baseHeaders(), options), options.metadata)
  headers['x-ms-blob-content-type'] = options.contentType ?? defaultContentType
  if (options.headers !== undefined) addContentHeaders(headers, options.headers)
  return addTierAndTags(headers, options)
}

/** Adds what says the tier and the index tags of the blob that is made. */
export function addTierAndTags(
  headers: Headers,
  { tier, tags }: Pick<PutOptions, 'tier' | 'tags'>,
): Headers {
  if (tier !== undefined) headers['x-ms-access-tier'] = tier
  const taken = tags === undefined ? '' : new URLSearchParams(tags).toString()
  if (taken !== '') headers['x-ms-tags'] = taken
  return headers
}

function addContentHeaders(headers: Headers, content: ContentHeaders): void {
  const byName = {
    'x-ms-blob-content-encoding': content.contentEncoding,
    'x-ms-blob-content-language': content.contentLanguage,
    'x-ms-blob-content-disposition': content.contentDisposition,
    'x-ms-blob-cache-control': content.cacheControl,
  }
  for (const [name, value] of Object.entries(byName)) {
    if (value !== undefined && value !== '') headers[name] = value
  }
}

/** What Azure stores when nobody says. Sent outright: emulators differ in what they make up. */
export const defaultContentType = 'application/octet-stream'

/**
 * `bytes=first-last`: both ends included, and never empty. An end beyond every blob is left out: services
 * take a number that large for no range at all.
 */
export function rangeHeader(range: ByteRange): string {
  if (range.end === Number.MAX_SAFE_INTEGER) return `bytes=${range.start}-`
  return `bytes=${range.start}-${range.end - 1}`
}

/** The query of one page of List Blobs. */
export function listQuery(prefix: string, options: ListOptions): string {
  const limit = Math.min(options.maxResults ?? maxListResults, maxListResults)
  let query = `?restype=container&comp=list&maxresults=${limit}`
  if (prefix !== '') query += `&prefix=${encodeURIComponent(prefix)}`
  if (options.delimiter !== undefined) query += `&delimiter=${options.delimiter}`
  const include = includes.filter((name) => options[name] === true || isDefault(name, options))
  if (include.length > 0) query += `&include=${include.join(',')}`
  const { continuation, startFrom } = options
  if (startFrom !== undefined) query += `&startFrom=${encodeURIComponent(startFrom)}`
  return continuation === undefined ? query : `${query}&marker=${encodeURIComponent(continuation)}`
}

const includes = ['metadata', 'tags', 'versions', 'snapshots', 'deleted'] as const

function isDefault(name: (typeof includes)[number], options: ListOptions): boolean {
  return name === 'metadata' && options.metadata !== false
}

/** The query that names a former state; empty for the current one. */
export function formerQuery(former: FormerId | undefined): string {
  if (former === undefined) return ''
  return former.versionId === undefined
    ? `?snapshot=${encodeURIComponent(former.snapshot)}`
    : `?versionid=${encodeURIComponent(former.versionId)}`
}

/** The body of Put Block List. `Latest` prefers a block staged since to a committed one. */
export function blockListXml(blockIds: readonly string[]): Buffer {
  const latest = blockIds.map((id) => `<Latest>${id}</Latest>`).join('')
  return Buffer.from(`<?xml version="1.0" encoding="utf-8"?><BlockList>${latest}</BlockList>`)
}

/** Listings give etags bare, headers give them quoted; conditions want them quoted. */
export function quoted(etag: string): string {
  return etag === '' || etag.endsWith('"') ? etag : `"${etag}"`
}
