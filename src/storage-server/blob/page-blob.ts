import { amendCurrent } from '../model/changes.ts'
import type { BlobRecord } from '../model/record.ts'
import {
  overwrite,
  resized,
  type Stretch,
  withoutStretch,
  withStretch,
  zeroExtent,
} from '../model/sparse-content.ts'
import { parseTagHeader } from '../model/tags.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { checkBody } from '../wire/checksums.ts'
import { readNewContentHeaders } from '../wire/content-headers.ts'
import { integerHeader, readMetadata, requireHeader } from '../wire/metadata.ts'
import { readRange } from '../wire/range.ts'
import { invalidHeader, missingHeader, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { newEncryption } from './encryption.ts'
import { storeBlob } from './store-blob.ts'
import { existingTarget, needOnPath, stamp, writeTarget, writtenHeaders } from './target.ts'
import { inferredTier } from './tier-header.ts'
import { readSourceBytes } from './url-source.ts'

/** Page blobs: Put Blob of that type, Put Page (update, clear, from URL). */
export const pageBlobVerbs: readonly Verb[] = [
  {
    name: 'PutBlob',
    matches: (request) =>
      request.method === 'PUT' &&
      request.path !== undefined &&
      !request.query.has('comp') &&
      request.headers['x-ms-blob-type'] === 'PageBlob' &&
      request.headers['x-ms-copy-source'] === undefined,
    needs: (request) => needOnPath(request, 'write', 'create'),
    run: createPageBlob,
  },
  {
    name: 'PutPageFromUrl',
    matches: (request) => isPutPage(request) && request.headers['x-ms-copy-source'] !== undefined,
    needs: (request) => needOnPath(request, 'write'),
    run: putPageFromUrl,
  },
  {
    name: 'PutPage',
    matches: isPutPage,
    needs: (request) => needOnPath(request, 'write'),
    run: putPage,
  },
]

/**
 * A page blob after what Set Blob Properties says of its size (`x-ms-blob-content-length`) and
 * sequence number; any other blob as it is, 409 `InvalidBlobType` when such headers are sent.
 */
export function withPageProperties(request: StorageRequest, record: BlobRecord): BlobRecord {
  const size = pageSizeHeader(request)
  const action = request.headers['x-ms-sequence-number-action']
  if (size === undefined && action === undefined) return record
  if (record.blobType !== 'PageBlob') throw refusal('InvalidBlobType')
  const sequenceNumber = nextSequenceNumber(request, record.sequenceNumber ?? 0)
  if (size === undefined) return { ...record, sequenceNumber }
  const beyond = { start: size, end: Number.MAX_SAFE_INTEGER }
  return {
    ...record,
    sequenceNumber,
    content: resized(record.content, size),
    pages: withoutStretch(record.pages ?? [], beyond),
  }
}

function createPageBlob(context: VerbContext): StorageAnswer {
  const { request } = context
  const sizeBytes = pageSizeHeader(request)
  if (sizeBytes === undefined) throw missingHeader('x-ms-blob-content-length')
  if ((integerHeader(request, 'content-length') ?? 0) > 0) {
    throw invalidHeader('content-length', request.headers['content-length'] ?? '')
  }
  const target = writeTarget(context)
  const { place, record } = target
  if (record !== undefined) context.authorize(needOnPath(request, 'write'))
  const made = storeBlob(context, target, {
    kind: 'blob',
    blobType: 'PageBlob',
    ...stamp(place),
    createdMs: place.account.nowMs(),
    content: resized({ sizeBytes: 0, extents: [] }, sizeBytes),
    pages: [],
    sequenceNumber: integerHeader(request, 'x-ms-blob-sequence-number') ?? 0,
    headers: readNewContentHeaders(request),
    metadata: readMetadata(request),
    tags: parseTagHeader(request.headers['x-ms-tags'] ?? ''),
    tier: inferredTier,
    encryption: newEncryption(request, place.container.properties),
    writtenBy: 'blob',
  })
  return { status: 201, headers: writtenHeaders(made) }
}

async function putPage(context: VerbContext): Promise<StorageAnswer> {
  const { request } = context
  const action = requireHeader(request, 'x-ms-page-write').toLowerCase()
  const range = readPageRange(request, 'x-ms-range')
  const data = await request.body(maxPutBytes)
  if (action === 'clear') {
    if (data.byteLength > 0) throw invalidHeader('content-length', String(data.byteLength))
    return storePages(context, range)
  }
  if (action !== 'update') throw invalidHeader('x-ms-page-write', action)
  if (data.byteLength !== range.end - range.start) {
    throw invalidHeader('content-length', String(data.byteLength))
  }
  const checked = checkBody(request, data)
  return storePages(context, range, { data, checked })
}

async function putPageFromUrl(context: VerbContext): Promise<StorageAnswer> {
  const { request } = context
  requireHeader(request, 'x-ms-source-range')
  const range = readPageRange(request, 'x-ms-range')
  const written = await readSourceBytes(context, maxPutBytes)
  if (written.data.byteLength !== range.end - range.start) throw refusal('InvalidPageRange')
  return storePages(context, range, written)
}

interface Written {
  readonly data: Uint8Array
  readonly checked: StorageAnswer['headers']
}

/** Writes pages, or clears them when there is no data. */
async function storePages(
  context: VerbContext,
  range: Stretch,
  written?: Written,
): Promise<StorageAnswer> {
  assertWritable(context, range)
  const extent =
    written === undefined
      ? zeroExtent(range.end - range.start)
      : await context.account.extents.write(written.data)
  const { place, name, record } = assertWritable(context, range)
  const { pages = [] } = record
  const after: BlobRecord = {
    ...record,
    ...stamp(place),
    content: overwrite(record.content, range.start, extent),
    pages: written === undefined ? withoutStretch(pages, range) : withStretch(pages, range),
    headers: { ...record.headers, contentMd5: undefined },
  }
  amendCurrent(place, name, after)
  const sequence = { 'x-ms-blob-sequence-number': String(record.sequenceNumber ?? 0) }
  return { status: 201, headers: { ...writtenHeaders(after), ...written?.checked, ...sequence } }
}

function assertWritable(context: VerbContext, range: Stretch) {
  const target = existingTarget(context, 'PageBlob')
  const { content, sequenceNumber = 0 } = target.record
  if (range.end > content.sizeBytes) throw refusal('InvalidPageRange')
  assertSequence(context.request, sequenceNumber)
  return target
}

function assertSequence(request: StorageRequest, held: number): void {
  const [le, lt, eq] = ['le', 'lt', 'eq'].map((operator) =>
    integerHeader(request, `x-ms-if-sequence-number-${operator}`),
  )
  if ((le ?? held) < held || (lt ?? held + 1) <= held || (eq ?? held) !== held) {
    throw refusal('SequenceNumberConditionNotMet')
  }
}

function nextSequenceNumber(request: StorageRequest, held: number): number {
  const action = request.headers['x-ms-sequence-number-action']?.toLowerCase()
  const wanted = integerHeader(request, 'x-ms-blob-sequence-number')
  if (action === undefined) return held
  if (action === 'increment') {
    if (wanted === undefined) return held + 1
    throw invalidHeader('x-ms-blob-sequence-number', String(wanted))
  }
  if (action !== 'max' && action !== 'update') {
    throw invalidHeader('x-ms-sequence-number-action', action)
  }
  if (wanted === undefined) throw missingHeader('x-ms-blob-sequence-number')
  return action === 'max' ? Math.max(held, wanted) : wanted
}

/** A range of whole pages: 416 `InvalidPageRange` when it is none. */
function readPageRange(request: StorageRequest, name: 'x-ms-range'): Stretch {
  const range = readRange(request.headers)
  if (range === undefined) throw missingHeader(name)
  if (range.start % pageBytes !== 0 || range.end % pageBytes !== 0) {
    throw refusal('InvalidPageRange')
  }
  return range
}

function pageSizeHeader(request: StorageRequest): number | undefined {
  const size = integerHeader(request, 'x-ms-blob-content-length')
  if (size === undefined || (size % pageBytes === 0 && size <= maxBytes)) return size
  throw invalidHeader('x-ms-blob-content-length', String(size))
}

function isPutPage({ method, path, query }: StorageRequest): boolean {
  return method === 'PUT' && path !== undefined && query.get('comp') === 'page'
}

const pageBytes = 512
const maxPutBytes = 4 * 1024 * 1024
const maxBytes = 8 * 1024 ** 4
