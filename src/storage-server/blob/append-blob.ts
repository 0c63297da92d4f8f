import { amendCurrent } from '../model/changes.ts'
import { type Extent, emptyContent } from '../model/extent.ts'
import type { BlobRecord } from '../model/record.ts'
import { parseTagHeader } from '../model/tags.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { checkBody } from '../wire/checksums.ts'
import { readNewContentHeaders } from '../wire/content-headers.ts'
import { integerHeader, readMetadata } from '../wire/metadata.ts'
import { invalidHeader, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { assertEncryption, newEncryption } from './encryption.ts'
import { storeBlob } from './store-blob.ts'
import {
  type BlobTarget,
  existingTarget,
  needOnPath,
  stamp,
  writeTarget,
  writtenHeaders,
} from './target.ts'
import { inferredTier } from './tier-header.ts'
import { readSourceBytes } from './url-source.ts'

/** Append blobs: Put Blob of that type, Append Block (from URL), Append Blob Seal. */
export const appendBlobVerbs: readonly Verb[] = [
  {
    name: 'PutBlob',
    matches: (request) =>
      request.method === 'PUT' &&
      request.path !== undefined &&
      !request.query.has('comp') &&
      request.headers['x-ms-blob-type'] === 'AppendBlob' &&
      request.headers['x-ms-copy-source'] === undefined,
    needs: (request) => needOnPath(request, 'write', 'create'),
    run: createAppendBlob,
  },
  {
    name: 'AppendBlockFromUrl',
    matches: (request) =>
      isOn(request, 'appendblock') && request.headers['x-ms-copy-source'] !== undefined,
    needs: (request) => needOnPath(request, 'add', 'write'),
    run: appendFromUrl,
  },
  {
    name: 'AppendBlock',
    matches: (request) => isOn(request, 'appendblock'),
    needs: (request) => needOnPath(request, 'add', 'write'),
    run: appendBody,
  },
  {
    name: 'AppendBlobSeal',
    matches: (request) => isOn(request, 'seal'),
    needs: (request) => needOnPath(request, 'write'),
    run: seal,
  },
]

function createAppendBlob(context: VerbContext): StorageAnswer {
  const { request } = context
  if (request.headers['x-ms-access-tier'] !== undefined) throw refusal('UnsupportedHeader')
  if ((integerHeader(request, 'content-length') ?? 0) > 0) {
    throw invalidHeader('content-length', request.headers['content-length'] ?? '')
  }
  const target = writeTarget(context)
  const { place, record } = target
  if (record !== undefined) context.authorize(needOnPath(request, 'write'))
  const made = storeBlob(context, target, {
    kind: 'blob',
    blobType: 'AppendBlob',
    ...stamp(place),
    createdMs: place.account.nowMs(),
    content: emptyContent,
    headers: readNewContentHeaders(request),
    metadata: readMetadata(request),
    tags: parseTagHeader(request.headers['x-ms-tags'] ?? ''),
    tier: inferredTier,
    encryption: newEncryption(request, place.container.properties),
    appendedBlocks: 0,
    writtenBy: 'blob',
  })
  return { status: 201, headers: writtenHeaders(made) }
}

async function appendBody(context: VerbContext): Promise<StorageAnswer> {
  const { request } = context
  const data = await request.body(maxBlockBytes)
  const checked = checkBody(request, data)
  return append(context, data, checked)
}

async function appendFromUrl(context: VerbContext): Promise<StorageAnswer> {
  if (((await context.request.body(0)).byteLength ?? 0) > 0) throw refusal('InvalidInput')
  const { data, checked } = await readSourceBytes(context, maxBlockBytes)
  return append(context, data, checked)
}

async function append(
  context: VerbContext,
  data: Uint8Array,
  checked: StorageAnswer['headers'],
): Promise<StorageAnswer> {
  if (data.byteLength === 0) throw invalidHeader('content-length', '0')
  // Checked before and after the bytes are written: another append may come in between.
  assertAppendable(context, data)
  const extent = await context.account.extents.write(data)
  const target = assertAppendable(context, data)
  return appendExtent(target, extent, checked)
}

function appendExtent(
  { place, name, record }: BlobTarget,
  extent: Extent,
  checked: StorageAnswer['headers'],
): StorageAnswer {
  const { content, appendedBlocks = 0 } = record
  const after: BlobRecord = {
    ...record,
    ...stamp(place),
    appendedBlocks: appendedBlocks + 1,
    content: {
      sizeBytes: content.sizeBytes + extent.sizeBytes,
      extents: [...content.extents, extent],
    },
  }
  amendCurrent(place, name, after)
  return {
    status: 201,
    headers: {
      ...writtenHeaders(after),
      ...checked,
      'x-ms-blob-append-offset': String(content.sizeBytes),
      'x-ms-blob-committed-block-count': String(appendedBlocks + 1),
    },
  }
}

/** The blob if these bytes may follow what it holds. */
function assertAppendable(context: VerbContext, data: Uint8Array): BlobTarget {
  const { request } = context
  const target = existingTarget(context, 'AppendBlob')
  const { content, sealed, encryption, appendedBlocks = 0 } = target.record
  assertEncryption(request, encryption, target.place.container.properties)
  if (sealed === true) throw refusal('BlobIsSealed')
  assertPosition(request, content.sizeBytes)
  const maxSize = integerHeader(request, 'x-ms-blob-condition-maxsize')
  if (maxSize !== undefined && content.sizeBytes + data.byteLength > maxSize) {
    throw refusal('MaxBlobSizeConditionNotMet')
  }
  if (appendedBlocks >= maxBlocks) throw refusal('BlockCountExceedsLimit')
  return target
}

function seal(context: VerbContext): StorageAnswer {
  const { place, name, record } = existingTarget(context, 'AppendBlob')
  assertPosition(context.request, record.content.sizeBytes)
  const after: BlobRecord = record.sealed ? record : { ...record, ...stamp(place), sealed: true }
  amendCurrent(place, name, after)
  return { status: 200, headers: { ...writtenHeaders(after), 'x-ms-blob-sealed': 'true' } }
}

function assertPosition(request: StorageRequest, sizeBytes: number): void {
  const wanted = integerHeader(request, 'x-ms-blob-condition-appendpos')
  if (wanted !== undefined && wanted !== sizeBytes) throw refusal('AppendPositionConditionNotMet')
}

function isOn({ method, path, query }: StorageRequest, comp: string): boolean {
  return method === 'PUT' && path !== undefined && query.get('comp') === comp
}

const maxBlockBytes = 100 * 1024 * 1024
const maxBlocks = 50_000
