import type { ByteRange } from '../../byte-range.ts'
import { overriddenHeaders } from '../access/response-headers.ts'
import type { BlobRecord } from '../model/record.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { ContentSlice, StorageAnswer } from '../wire/answer.ts'
import { md5 } from '../wire/checksums.ts'
import { checkRead, readConditions } from '../wire/conditions.ts'
import { crc64 } from '../wire/crc64.ts'
import { contentRange, readRange, satisfyRange } from '../wire/range.ts'
import { invalidHeader } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { piecesOf } from '../wire/write-answer.ts'
import { assertReadable } from './encryption.ts'
import { blobHeaders, directoryHeaders } from './read-headers.ts'
import { needOnPath, readTarget, subjectOf, type Target, targetOf } from './target.ts'
import { assertOnline } from './tier-header.ts'

const maxChecksummedBytes = 4 * 1024 * 1024

/** Get Blob and Get Blob Properties, of snapshots and versions too. */
export const getBlobVerbs: readonly Verb[] = [
  {
    name: 'GetBlob',
    matches: (request) => isOnBlob(request, 'GET'),
    needs: (request) => needOnPath(request, 'read'),
    run: getBlob,
  },
  {
    name: 'GetBlobProperties',
    matches: (request) => isOnBlob(request, 'HEAD'),
    needs: (request) => needOnPath(request, 'read'),
    run: getProperties,
  },
]

/** Answers with the content or a range of it. */
export function getBlob(context: VerbContext): StorageAnswer | Promise<StorageAnswer> {
  const directory = directoryTarget(context)
  if (directory !== undefined) return { status: 200, headers: directoryHeaders(directory) }
  const { request } = context
  const target = readTarget(context)
  const { record } = target
  assertReadable(context.request, record.encryption)
  assertOnline(record)
  const headers = blobHeaders(target)
  Object.assign(headers, overriddenHeaders(request, context.caller))
  const { sizeBytes } = record.content
  const asked = readRange(request.headers)
  const checksums = checksumsAsked(request, asked)
  if (asked === undefined) {
    headers['content-md5'] = record.headers.contentMd5
    return { status: 200, headers, body: slice(record, { start: 0, end: sizeBytes }) }
  }
  const range = satisfyRange(asked, sizeBytes)
  headers['content-range'] = contentRange(range, sizeBytes)
  headers['x-ms-blob-content-md5'] = record.headers.contentMd5
  const body = slice(record, range)
  return checksums === undefined
    ? { status: 206, headers, body }
    : withChecksum({ status: 206, headers, body }, body, checksums)
}

/** Answers with everything but the content. */
export function getProperties(context: VerbContext): StorageAnswer {
  const directory = directoryTarget(context)
  if (directory !== undefined) return { status: 200, headers: directoryHeaders(directory) }
  const target = readTarget(context)
  const { record } = target
  assertReadable(context.request, record.encryption)
  const headers = blobHeaders(target)
  Object.assign(headers, overriddenHeaders(context.request, context.caller))
  headers['content-length'] = String(record.content.sizeBytes)
  headers['content-md5'] = record.headers.contentMd5
  return { status: 200, headers }
}

/** The target of a read that is a directory. */
function directoryTarget(context: VerbContext): Target | undefined {
  if (!context.account.settings.hierarchical) return undefined
  const target = targetOf(context)
  if (target.record?.kind !== 'directory') return undefined
  checkRead(readConditions(context.request), subjectOf(target.record))
  return target
}

function isOnBlob({ method, path, query }: StorageRequest, wanted: 'GET' | 'HEAD'): boolean {
  if (method !== wanted || path === undefined) return false
  return !query.has('comp') && !query.has('restype')
}

function slice({ content }: BlobRecord, { start, end }: ByteRange): ContentSlice {
  return { content, start, end }
}

type Checksum = 'x-ms-range-get-content-md5' | 'x-ms-range-get-content-crc64'

/** Which checksum of the range is wanted: 400 without a range, or of more than 4 MiB. */
function checksumsAsked(
  { headers }: StorageRequest,
  range: ByteRange | undefined,
): Checksum | undefined {
  const asked = checksumHeaders.filter((name) => headers[name]?.toLowerCase() === 'true')
  const [first] = asked
  if (first === undefined) return undefined
  const tooLarge = range === undefined || range.end - range.start > maxChecksummedBytes
  if (tooLarge || asked.length > 1) throw invalidHeader(first, 'true')
  return first
}

const checksumHeaders = [
  'x-ms-range-get-content-md5',
  'x-ms-range-get-content-crc64',
] as const satisfies Checksum[]

async function withChecksum(
  answer: StorageAnswer,
  body: ContentSlice,
  checksum: Checksum,
): Promise<StorageAnswer> {
  const data = Buffer.concat(await Promise.all(piecesOf(body)))
  const sums =
    checksum === 'x-ms-range-get-content-md5'
      ? { 'content-md5': md5(data) }
      : { 'x-ms-content-crc64': crc64(data) }
  return { ...answer, headers: { ...answer.headers, ...sums }, body: data }
}
