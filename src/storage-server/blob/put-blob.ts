import type { Content, Extent } from '../model/extent.ts'
import { emptyContent } from '../model/extent.ts'
import { parseTagHeader } from '../model/tags.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { checkBody, md5 } from '../wire/checksums.ts'
import { readNewContentHeaders } from '../wire/content-headers.ts'
import { isFolderMarker, readMetadata, requireHeader } from '../wire/metadata.ts'
import { invalidHeader, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { newEncryption } from './encryption.ts'
import { assertReplaceable, storeBlob } from './store-blob.ts'
import { needOnPath, writeTarget, writtenHeaders } from './target.ts'
import { readTierHeader } from './tier-header.ts'

// The service takes 5,000 MiB at once; a buffer of Node 20 ends before.
const maxBytes = 4000 * 1024 * 1024

/** Put Blob of a block blob. Comes after the other types: it refuses types that are none. */
export const putBlobVerb: Verb = {
  name: 'PutBlob',
  matches: ({ method, path, query, headers }) =>
    method === 'PUT' &&
    path !== undefined &&
    !query.has('comp') &&
    headers['x-ms-copy-source'] === undefined,
  needs: (request) => needOnPath(request, 'write', 'create'),
  run: putBlob,
}

async function putBlob(context: VerbContext): Promise<StorageAnswer> {
  const { request, account } = context
  assertBlockBlob(request)
  assertLength(request)
  // Before the body, to spare the client the sending, and after it, because time has passed.
  if (!isFolderMarker(readMetadata(request))) assertReplaceable(writeTarget(context), 'BlockBlob')
  const data = await request.body(maxBytes)
  const checked = checkBody(request, data)
  const headers = readNewContentHeaders(request)
  const contentMd5 = md5(data)
  if ((headers.contentMd5 ?? contentMd5) !== contentMd5) throw refusal('Md5Mismatch')
  const content =
    data.byteLength === 0 ? emptyContent : contentOf(await account.extents.write(data))
  const target = writeTarget(context)
  if (target.record !== undefined) context.authorize(needOnPath(request, 'write'))
  const record = storeBlob(context, target, {
    kind: 'blob',
    blobType: 'BlockBlob',
    etag: account.nextEtag(),
    lastModifiedMs: account.nowMs(),
    createdMs: account.nowMs(),
    content,
    headers: { ...headers, contentMd5 },
    metadata: readMetadata(request),
    tags: parseTagHeader(request.headers['x-ms-tags'] ?? ''),
    tier: readTierHeader(request, account.nowMs()),
    encryption: newEncryption(request, target.place.container.properties),
    writtenBy: 'blob',
  })
  return {
    status: 201,
    headers: {
      'content-md5': contentMd5,
      'x-ms-content-crc64': checked['x-ms-content-crc64'],
      ...writtenHeaders(record),
    },
  }
}

function contentOf(extent: Extent): Content {
  return { sizeBytes: extent.sizeBytes, extents: [extent] }
}

function assertBlockBlob(request: StorageRequest): void {
  const type = requireHeader(request, 'x-ms-blob-type')
  if (type !== 'BlockBlob') throw invalidHeader('x-ms-blob-type', type)
}

/** 411 for a body of unsaid length that is not chunked either. */
export function assertLength({ headers }: StorageRequest): void {
  if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) {
    throw refusal('MissingContentLengthHeader')
  }
}
