import { parseAcl } from '../dfs/acl.ts'
import { formatPermissions } from '../dfs/permissions.ts'
import { leaseHeaders } from '../model/lease.ts'
import type { BlobRecord, CopyState, Ownership, PathRecord } from '../model/record.ts'
import { httpDate } from '../wire/http-date.ts'
import { metadataHeaders } from '../wire/metadata.ts'
import { encryptionHeaders } from './encryption.ts'
import type { ReadTarget, Target } from './target.ts'
import { tierHeaders } from './tier-header.ts'

type Headers = Record<string, string | undefined>

/** What Get Blob and Get Blob Properties tell of a blob, all but its length and its MD5. */
export function blobHeaders(target: ReadTarget): Headers {
  const { record, place } = target
  const { headers } = record
  return {
    ...commonHeaders(record),
    ...metadataHeaders(record.metadata),
    'content-type': headers.contentType ?? 'application/octet-stream',
    'content-encoding': headers.contentEncoding,
    'content-language': headers.contentLanguage,
    'content-disposition': headers.contentDisposition,
    'cache-control': headers.cacheControl,
    'x-ms-blob-type': record.blobType,
    ...(target.isCurrent ? leaseHeaders(target.state.lease, place.account.nowMs()) : {}),
    ...tierHeaders(record),
    ...typeHeaders(record),
    ...copyHeaders(record.copy),
    ...versionHeaders(target),
    ...tagCount(record),
    ...encryptionHeaders(record.encryption),
    'x-ms-expiry-time': record.expiresMs === undefined ? undefined : httpDate(record.expiresMs),
    ...(place.account.settings.hierarchical ? resourceHeaders(record) : {}),
  }
}

/** The same of a directory of a hierarchical account. */
export function directoryHeaders({ record, state, place }: Target): Headers {
  if (record === undefined) return {}
  return {
    ...commonHeaders(record),
    ...metadataHeaders({ ...record.metadata, hdi_isfolder: 'true' }),
    'content-length': '0',
    'content-type': 'application/octet-stream',
    'x-ms-blob-type': 'BlockBlob',
    ...leaseHeaders(state.lease, place.account.nowMs()),
    ...resourceHeaders(record),
  }
}

/** `x-ms-copy-…` of a blob that a copy made. */
export function copyHeaders(copy: CopyState | undefined): Headers {
  if (copy === undefined) return {}
  return {
    'x-ms-copy-id': copy.id,
    'x-ms-copy-source': copy.source,
    'x-ms-copy-status': copy.status,
    'x-ms-copy-progress': `${copy.progressBytes}/${copy.totalBytes}`,
    'x-ms-copy-completion-time':
      copy.completedMs === undefined ? undefined : httpDate(copy.completedMs),
  }
}

function commonHeaders(record: PathRecord): Headers {
  return {
    etag: record.etag,
    'last-modified': httpDate(record.lastModifiedMs),
    'x-ms-creation-time': httpDate(record.createdMs),
    'accept-ranges': 'bytes',
    'x-ms-server-encrypted': 'true',
  }
}

function typeHeaders(record: BlobRecord): Headers {
  if (record.blobType === 'PageBlob') {
    return { 'x-ms-blob-sequence-number': String(record.sequenceNumber ?? 0) }
  }
  if (record.blobType === 'BlockBlob') return {}
  return {
    'x-ms-blob-committed-block-count': String(record.appendedBlocks ?? 0),
    'x-ms-blob-sealed': record.sealed === true ? 'true' : undefined,
  }
}

function versionHeaders({ record, isCurrent }: ReadTarget): Headers {
  if (record.versionId === undefined) return {}
  return {
    'x-ms-version-id': record.versionId,
    'x-ms-is-current-version': isCurrent ? 'true' : undefined,
  }
}

function tagCount({ tags }: BlobRecord): Headers {
  const count = Object.keys(tags).length
  return count === 0 ? {} : { 'x-ms-tag-count': String(count) }
}

function resourceHeaders(record: PathRecord): Headers {
  return {
    'x-ms-resource-type': record.kind === 'directory' ? 'directory' : 'file',
    ...ownerHeaders(record.ownership),
  }
}

function ownerHeaders(ownership: Ownership | undefined): Headers {
  if (ownership === undefined) return {}
  const acl = parseAcl(ownership.acl)
  return {
    'x-ms-owner': ownership.owner,
    'x-ms-group': ownership.group,
    'x-ms-permissions': formatPermissions(acl, ownership.sticky),
    'x-ms-acl': ownership.acl,
  }
}
