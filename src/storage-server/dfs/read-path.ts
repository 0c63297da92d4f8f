import { assertLease, leaseHeaders } from '../model/lease.ts'
import type { BlobRecord, Ownership, PathRecord } from '../model/record.ts'
import type { Verb, VerbContext } from '../verb.ts'
import { md5 } from '../wire/checksums.ts'
import { checkRead, readConditions } from '../wire/conditions.ts'
import { contentRange, readRange, satisfyRange } from '../wire/range.ts'
import { invalidQuery, refusal } from '../wire/refusals.ts'
import { isDirectory } from './create-path.ts'
import { ownershipOf } from './ownership.ts'
import { parsePermissions, permissionsOf } from './permissions.ts'
import { writeProperties } from './properties.ts'
import { missingQuery } from './refusals.ts'
import {
  changedHeaders,
  type ExistingTarget,
  existingTarget,
  needOnPath,
  queryFlag,
  requireHierarchical,
  subjectOf,
  targetOf,
} from './target.ts'

type Headers = Record<string, string | undefined>

const maxMd5RangeBytes = 4 * 1024 * 1024

/** Path - Read: the content, or a range of it. */
export const readPath: Verb = {
  name: 'Path - Read',
  matches: ({ face, method, path }) => face === 'dfs' && method === 'GET' && path !== undefined,
  needs: (request) => needOnPath(request, 'read'),
  run: async (context) => {
    const target = readable(context)
    const { record } = target
    const headers = pathHeaders(context, target)
    if (record.kind !== 'blob') {
      return { status: 200, headers, body: '' }
    }
    const { content } = record
    const asked = readRange(context.request.headers)
    if (!asked) {
      return { status: 200, headers, body: { content, start: 0, end: content.sizeBytes } }
    }
    const range = satisfyRange(asked, content.sizeBytes)
    const rangeHeaders = {
      ...headers,
      'content-length': String(range.end - range.start),
      'content-range': contentRange(range, content.sizeBytes),
      'content-md5': await rangeMd5(context, record, range),
      'x-ms-content-md5': record.headers.contentMd5,
    }
    return { status: 206, headers: rangeHeaders, body: { content, ...range } }
  },
}

/** Path - Get Properties: all, the status alone, or the access control list. */
export const getPathProperties: Verb = {
  name: 'Path - Get Properties',
  matches: ({ face, method, path, query }) =>
    face === 'dfs' && method === 'HEAD' && (path !== undefined || query.has('action')),
  needs: (request) =>
    request.query.get('action')?.toLowerCase() === 'checkaccess'
      ? []
      : needOnPath(request, 'read', 'execute'),
  run: (context) => {
    const action = context.request.query.get('action')?.toLowerCase()
    queryFlag(context.request, 'upn')
    switch (action) {
      case 'getaccesscontrol':
        return { status: 200, headers: accessControlHeaders(context) }
      case 'checkaccess':
        return checkAccess(context)
      case 'getstatus': {
        const { 'x-ms-properties': _, ...headers } = pathHeaders(context, readable(context))
        return { status: 200, headers }
      }
      case undefined:
        return { status: 200, headers: pathHeaders(context, readable(context)) }
      default:
        throw invalidQuery('action', action)
    }
  },
}

/** The path of a read: conditions and lease are checked. The root is there even without a record. */
function readable(context: VerbContext): ExistingTarget {
  const { request, account } = context
  const target = targetOf(context).name === '' ? rootTarget(context) : existingTarget(context)
  checkRead(readConditions(request), subjectOf(target.record))
  assertLease(target.state, request, { use: 'read', nowMs: account.nowMs() })
  return target
}

function rootTarget(context: VerbContext): ExistingTarget {
  const { properties } = context.container()
  const { etag, lastModifiedMs } = properties
  const createdMs = lastModifiedMs
  const record: PathRecord = {
    kind: 'directory',
    etag,
    createdMs,
    lastModifiedMs,
    metadata: {},
  }
  return { ...targetOf(context), record }
}

function pathHeaders(
  { account }: VerbContext,
  { place, name, record, state }: ExistingTarget,
): Headers {
  const directory = isDirectory(record)
  const ownership = account.settings.hierarchical ? ownershipOf(place.container, name) : undefined
  return {
    ...changedHeaders(record),
    ...(record.kind === 'blob' ? contentHeaders(record) : { 'content-length': '0' }),
    ...leaseHeaders(state.lease, account.nowMs()),
    'accept-ranges': 'bytes',
    'x-ms-resource-type': directory ? 'directory' : 'file',
    'x-ms-properties': writeProperties(record.metadata, record.kind),
    'x-ms-creation-time': new Date(record.createdMs).toUTCString(),
    'x-ms-server-encrypted': 'true',
    ...(ownership ? ownershipHeaders(ownership) : {}),
  }
}

function contentHeaders({ headers, content, expiresMs }: BlobRecord): Headers {
  return {
    'content-length': String(content.sizeBytes),
    'content-type': headers.contentType,
    'content-encoding': headers.contentEncoding,
    'content-language': headers.contentLanguage,
    'content-disposition': headers.contentDisposition,
    'cache-control': headers.cacheControl,
    'content-md5': headers.contentMd5,
    'x-ms-expiry-time': expiresMs === undefined ? undefined : new Date(expiresMs).toUTCString(),
  }
}

function ownershipHeaders(ownership: Ownership): Headers {
  return {
    'x-ms-owner': ownership.owner,
    'x-ms-group': ownership.group,
    'x-ms-permissions': permissionsOf(ownership),
  }
}

function accessControlHeaders(context: VerbContext): Headers {
  requireHierarchical(context)
  const { place, name, record } = readable(context)
  const ownership = ownershipOf(place.container, name)
  return { ...changedHeaders(record), ...ownershipHeaders(ownership), 'x-ms-acl': ownership.acl }
}

/** `action=checkAccess&fsAction=r-x`: whether the caller may. */
function checkAccess(context: VerbContext): { status: number; headers: Headers } {
  requireHierarchical(context)
  const { request } = context
  const wanted = request.query.get('fsaction')
  if (wanted === undefined) {
    throw missingQuery('fsAction')
  }
  const bits = parsePermissions(`${wanted}------`, 'fsAction') >> 6
  const { record } = readable(context)
  const needs = [
    ...(bits & 4 ? needOnPath(request, 'read') : []),
    ...(bits & 2 ? needOnPath(request, 'write') : []),
    ...(bits & 1 ? needOnPath(request, 'execute') : []),
  ]
  context.authorize(needs)
  return { status: 200, headers: changedHeaders(record) }
}

/** The checksum of a range that the request asks for; the service works it out up to 4 MiB. */
async function rangeMd5(
  { request }: VerbContext,
  record: BlobRecord,
  { start, end }: { start: number; end: number },
): Promise<string | undefined> {
  if (request.headers['x-ms-range-get-content-md5']?.toLowerCase() !== 'true') {
    return undefined
  }
  if (end - start > maxMd5RangeBytes) {
    throw refusal('OutOfRangeInput')
  }
  const pieces: Uint8Array[] = []
  let at = 0
  for (const extent of record.content.extents) {
    const from = Math.max(start - at, 0)
    const to = Math.min(end - at, extent.sizeBytes)
    if (from < to) {
      pieces.push(await extent.read(from, to))
    }
    at += extent.sizeBytes
  }
  return md5(Buffer.concat(pieces))
}
