import { randomUUID } from 'node:crypto'
import type { BlobRecord, ContentHeaders } from '../model/record.ts'
import { parseTagHeader } from '../model/tags.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { md5 } from '../wire/checksums.ts'
import { md5Header, readContentHeaders } from '../wire/content-headers.ts'
import { readMetadata } from '../wire/metadata.ts'
import { invalidHeader, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { putCopy } from './copy-blob.ts'
import { newEncryption } from './encryption.ts'
import { blockIdOf, stageBlock, stagingTarget } from './put-block.ts'
import { storeBlob } from './store-blob.ts'
import { needOnPath, stamp, writeTarget, writtenHeaders } from './target.ts'
import { assertOnline, readTierHeader } from './tier-header.ts'
import { openSource, readContent, readSourceBytes, type Source } from './url-source.ts'

/** Copy Blob, Put Blob and Put Block From URL: copies that are done when they are answered. */
export const fromUrlVerbs: readonly Verb[] = [
  {
    name: 'CopyBlobFromUrl',
    matches: (request) =>
      isFromUrl(request) &&
      request.headers['x-ms-blob-type'] === undefined &&
      request.headers['x-ms-requires-sync'] === 'true',
    needs: (request) => needOnPath(request, 'write', 'create'),
    run: copyFromUrl,
  },
  {
    name: 'PutBlobFromUrl',
    matches: (request) => isFromUrl(request) && request.headers['x-ms-blob-type'] !== undefined,
    needs: (request) => needOnPath(request, 'write', 'create'),
    run: putBlobFromUrl,
  },
  {
    name: 'PutBlockFromUrl',
    matches: ({ method, path, query, headers }) =>
      method === 'PUT' &&
      path !== undefined &&
      query.get('comp') === 'block' &&
      headers['x-ms-copy-source'] !== undefined,
    needs: (request) => needOnPath(request, 'write', 'create'),
    run: putBlockFromUrl,
  },
]

/** `x-ms-copy-source-tag-option: COPY` takes the source's tags; the caller needs the right to them. */
function tagsOf({ request }: VerbContext, source: Source): BlobRecord['tags'] {
  const option = request.headers['x-ms-copy-source-tag-option'] ?? 'REPLACE'
  const own = request.headers['x-ms-tags']
  if (option === 'REPLACE') return parseTagHeader(own ?? '')
  if (option !== 'COPY') throw invalidHeader('x-ms-copy-source-tag-option', option)
  if (own !== undefined) throw refusal('BothUserTagsAndSourceTagsCopyPresentException')
  return source.record?.tags ?? {}
}

async function copyFromUrl(context: VerbContext): Promise<StorageAnswer> {
  const { request, account } = context
  writeTarget(context)
  const source = await openSource(context, { by: 'url' })
  const { sizeBytes } = source.content
  if (sizeBytes > maxSyncBytes) throw refusal('RequestBodyTooLarge')
  if (source.blobType === 'PageBlob') throw refusal('InvalidBlobType')
  assertSourceOnline(source)
  const hash = await checkSourceMd5(request, source)
  const record = putCopy(context, source, {
    tags: tagsOf(context, source),
    copy: {
      id: randomUUID(),
      source: source.url,
      status: 'success',
      progressBytes: sizeBytes,
      totalBytes: sizeBytes,
      completedMs: account.nowMs(),
    },
  })
  return {
    status: 202,
    headers: {
      ...writtenHeaders(record),
      'content-md5': hash,
      'x-ms-copy-id': record.copy?.id,
      'x-ms-copy-status': 'success',
    },
  }
}

/** Makes a block blob of any blob's content; no copy state, no metadata comes along. */
async function putBlobFromUrl(context: VerbContext): Promise<StorageAnswer> {
  const { request } = context
  const type = request.headers['x-ms-blob-type'] ?? ''
  if (type !== 'BlockBlob') throw invalidHeader('x-ms-blob-type', type)
  writeTarget(context)
  const source = await openSource(context, { by: 'url' })
  if (source.content.sizeBytes > maxPutBytes) throw refusal('RequestBodyTooLarge')
  assertSourceOnline(source)
  const hash = await checkSourceMd5(request, source)
  const target = writeTarget(context)
  const { place, record } = target
  const encryption = newEncryption(request, place.container.properties)
  if (record !== undefined) context.authorize(needOnPath(request, 'write'))
  const made = storeBlob(context, target, {
    kind: 'blob',
    blobType: 'BlockBlob',
    ...stamp(place),
    createdMs: record?.createdMs ?? place.account.nowMs(),
    content: source.content,
    headers: { ...headersFor(request, source), contentMd5: hash },
    metadata: readMetadata(request),
    tags: tagsOf(context, source),
    tier: readTierHeader(request, place.account.nowMs()),
    encryption,
    writtenBy: 'blob',
  })
  return { status: 201, headers: { ...writtenHeaders(made), 'content-md5': hash } }
}

async function putBlockFromUrl(context: VerbContext): Promise<StorageAnswer> {
  const id = blockIdOf(context.request)
  stagingTarget(context, id)
  const { data, checked } = await readSourceBytes(context, maxBlockBytes)
  if (data.byteLength === 0) throw refusal('InvalidRange')
  await stageBlock(context, id, data)
  return { status: 201, headers: { ...checked, 'x-ms-request-server-encrypted': 'true' } }
}

function headersFor(request: StorageRequest, source: Source): ContentHeaders {
  const own = readContentHeaders(request)
  const copies = request.headers['x-ms-copy-source-blob-properties']?.toLowerCase() !== 'false'
  const taken: ContentHeaders = copies ? source.headers : {}
  return {
    contentType: own.contentType ?? taken.contentType ?? 'application/octet-stream',
    contentEncoding: own.contentEncoding ?? taken.contentEncoding,
    contentLanguage: own.contentLanguage ?? taken.contentLanguage,
    contentDisposition: own.contentDisposition ?? taken.contentDisposition,
    cacheControl: own.cacheControl ?? taken.cacheControl,
  }
}

/** The MD5 of what is copied; 400 `Md5Mismatch` when `x-ms-source-content-md5` is another. */
async function checkSourceMd5(request: StorageRequest, { content }: Source): Promise<string> {
  const wanted = md5Header(request.headers, 'x-ms-source-content-md5')
  const hash = md5(await readContent(content, 0, content.sizeBytes))
  if (wanted !== undefined && wanted !== hash) throw refusal('Md5Mismatch')
  return hash
}

function assertSourceOnline({ record }: Source): void {
  if (record !== undefined) assertOnline(record)
}

function isFromUrl({ method, path, query, headers }: StorageRequest): boolean {
  return (
    method === 'PUT' &&
    path !== undefined &&
    !query.has('comp') &&
    headers['x-ms-copy-source'] !== undefined
  )
}

const maxSyncBytes = 256 * 1024 * 1024
const maxBlockBytes = 4000 * 1024 * 1024
const maxPutBytes = 5000 * 1024 * 1024
