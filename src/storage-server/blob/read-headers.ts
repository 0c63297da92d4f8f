import { parseAcl } from '../dfs/acl.ts'
import { formatPermissions } from '../dfs/permissions.ts'
import { leaseHeaders } from '../model/lease.ts'
import type { BlobRecord, CopyState, Lease, Ownership, PathRecord } from '../model/record.ts'
import { httpDate } from '../wire/http-date.ts'
import { addMetadataHeaders } from '../wire/metadata.ts'
import { encryptionHeaders } from './encryption.ts'
import type { ReadTarget, Target } from './target.ts'
import { addTierHeaders } from './tier-header.ts'

type Headers = Record<string, string | undefined>

/** What Get Blob and Get Blob Properties tell of a blob, all but its length and its MD5. */
export function blobHeaders(target: ReadTarget): Headers {
  const { record, place, isCurrent } = target
  const made = contentHeaders(record)
  addMetadataHeaders(made, record.metadata)
  if (isCurrent) addLeaseHeaders(made, target.state.lease, place.account.nowMs())
  if (record.blobType === 'BlockBlob') addTierHeaders(made, record.tier)
  else Object.assign(made, typeHeaders(record))
  if (record.copy !== undefined) Object.assign(made, copyHeaders(record.copy))
  if (record.versionId !== undefined) Object.assign(made, versionHeaders(target))
  if (record.encryption !== undefined) Object.assign(made, encryptionHeaders(record.encryption))
  if (place.account.settings.hierarchical) Object.assign(made, resourceHeaders(record))
  return made
}

function contentHeaders(record: BlobRecord): Headers {
  const { headers } = record
  // Written out: what is spread into one takes a read as long as all else that it does here.
  return {
    etag: record.etag,
    'last-modified': httpDate(record.lastModifiedMs),
    'x-ms-creation-time': httpDate(record.createdMs),
    'accept-ranges': 'bytes',
    'x-ms-server-encrypted': 'true',
    'content-type': headers.contentType ?? 'application/octet-stream',
    'content-encoding': headers.contentEncoding,
    'content-language': headers.contentLanguage,
    'content-disposition': headers.contentDisposition,
    'cache-control': headers.cacheControl,
    'x-ms-blob-type': record.blobType,
    'x-ms-tag-count': tagCount(record),
    'x-ms-expiry-time': record.expiresMs === undefined ? undefined : httpDate(record.expiresMs),
  }
}

/** The same of a directory of a hierarchical account. */
export function directoryHeaders({ record, state, place }: Target): Headers {
  if (record === undefined) return {}
  const made: Headers = {
    etag: record.etag,
    'last-modified': httpDate(record.lastModifiedMs),
    'x-ms-creation-time': httpDate(record.createdMs),
    'accept-ranges': 'bytes',
    'x-ms-server-encrypted': 'true',
    'content-length': '0',
    'content-type': 'application/octet-stream',
    'x-ms-blob-type': 'BlockBlob',
  }
  addMetadataHeaders(made, record.metadata)
  made['x-ms-meta-hdi_isfolder'] = 'true'
  addLeaseHeaders(made, state.lease, place.account.nowMs())
  return Object.assign(made, resourceHeaders(record))
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

function addLeaseHeaders(made: Headers, lease: Lease | undefined, nowMs: number): void {
  if (lease !== undefined) {
    Object.assign(made, leaseHeaders(lease, nowMs))
    return
  }
  made['x-ms-lease-status'] = 'unlocked'
  made['x-ms-lease-state'] = 'available'
}

function typeHeaders(record: BlobRecord): Headers {
  if (record.blobType === 'PageBlob') {
    return { 'x-ms-blob-sequence-number': String(record.sequenceNumber ?? 0) }
  }
  return {
    'x-ms-blob-committed-block-count': String(record.appendedBlocks ?? 0),
    'x-ms-blob-sealed': record.sealed === true ? 'true' : undefined,
  }
}

function versionHeaders({ record, isCurrent }: ReadTarget): Headers {
  return {
    'x-ms-version-id': record.versionId,
    'x-ms-is-current-version': isCurrent ? 'true' : undefined,
  }
}

function tagCount({ tags }: BlobRecord): string | undefined {
  const count = Object.keys(tags).length
  return count === 0 ? undefined : String(count)
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
